-- What there is. KEYS: record, guard, schedule. ARGV: the fixed part.
local SWEEPS = 1
local shift, asks = struct.unpack('<i8B', ARGV[1])
local raw = redis.call('GET', KEYS[1])
local now = now_ms(shift)
local r = nil
if raw then
  r = parse(raw)
  if not r then
    return unknown_form()
  end
  if over(r, now) then
    r = nil
  end
end
if has(asks, SWEEPS) and not (r and r.state == WAITING and has(r.flags, LEFT)) then
  -- The schedule has it, and nothing is scheduled.
  redis.call('ZREM', KEYS[3], unhex(KEYS[1]))
end
if not r then
  return {0}
end
return {r.state, r.attempt, math.max(0, r.ends - now), r.status, r.flags, r.table, r.counter,
  r.digest, r.body}
