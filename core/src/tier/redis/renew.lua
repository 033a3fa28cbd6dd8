-- Lets a lease last. KEYS: record, guard, schedule. ARGV: the fixed part, the
-- channels' prefix.
local RESTORES = 1
local shift, lapse, asks, attempt, counter, fence_ms, fence_n, lease, keep, table_, digest =
  struct.unpack('<i8BBI4I6I6I3I6I6c16c8', ARGV[1])
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
if r and r.table == table_ and r.counter == counter then
  if r.state ~= RUNNING then
    return 0
  end
  r.ends = now + lease
  save(r, now)
  return 1
end
if not has(asks, RESTORES) or r and not is_older(r, fence_ms, fence_n) then
  return 0
end
if r then
  unschedule(r)
  publish(r, ARGV[2])
end
raise_guard(fence_ms, fence_n)
save({state = RUNNING, flags = lapse, status = 0, attempt = attempt, counter = counter,
  fence_ms = fence_ms, fence_n = fence_n, ends = now + lease, keep = keep, table = table_,
  digest = digest, watchers = '', body = ''}, now)
return 1
