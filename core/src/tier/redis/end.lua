-- Ends an attempt, or settles a record. KEYS: record, guard, schedule. ARGV: the fixed part, the
-- bytes, the channels' prefix.
local SUCCEEDS, FAILS, RETRIES, DOUBTS, NEVER = 1, 2, 3, 4, 5
local RESTORES, LEFT_TO_SCHEDULER, WITHOUT_BYTES, SETTLES, AGAIN = 1, 2, 4, 8, 16
local shift, kind, asks, attempt, counter, fence_ms, fence_n, lasts, keep, table_, digest, settler =
  struct.unpack('<i8BBI4I6I6I3I6I6c16c8I4', ARGV[1])
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

-- Whether the record already is what this end would make of it.
local function is_repetition(r, kind)
  if has(r.flags, SETTLED) or has(r.flags, LAPSED) then
    return false
  elseif kind == SUCCEEDS then
    return r.state == SUCCEEDED
  elseif kind == FAILS then
    return r.state == FAILED
  elseif kind == DOUBTS then
    return r.state == UNRESOLVED
  end
  return r.state == WAITING and (kind == NEVER) == has(r.flags, NEVER_RAN)
end

-- Straight on from here: a function that knew `r` and `now` would cost as much as a command.
local repeats = false
if has(asks, SETTLES) then
  if r and (r.state == UNRESOLVED or kind == RETRIES and r.state == FAILED) then
    repeats = false
  elseif r and has(r.flags, SETTLED) and r.settled == settler then
    repeats = true
  else
    return 0
  end
elseif not r or (r.table ~= table_ or r.counter ~= counter) and is_older(r, fence_ms, fence_n) then
  -- Forgotten.
  if kind == NEVER and (has(asks, RESTORES) or not r and attempt <= 1) then
    return 1
  elseif not has(asks, RESTORES) then
    return 0
  end
  if r then
    unschedule(r)
    publish(r, ARGV[3])
  end
  raise_guard(fence_ms, fence_n)
  r = {flags = 0, attempt = attempt, counter = counter, fence_ms = fence_ms, fence_n = fence_n,
    table = table_, digest = digest, watchers = '', body = ''}
elseif r.table ~= table_ or r.counter ~= counter then
  return 0
elseif r.state ~= RUNNING and is_repetition(r, kind) then
  repeats = true
elseif r.state ~= RUNNING and r.state ~= UNRESOLVED then
  return 0
elseif kind == NEVER then
  publish(r, ARGV[3])
  if r.attempt == 1 then
    redis.call('DEL', KEYS[1])
    return 1
  end
  -- As it was before: what was left for a scheduler is left again.
  r.keep = math.max(1, r.state == RUNNING and r.keep or r.ends - now)
  r.state, r.flags, r.status = WAITING, bit.band(r.flags, 3 + LEFT) + NEVER_RAN, 0
  r.attempt, r.ends = r.attempt - 1, now
  save(r, now)
  schedule(r, now)
  return 1
end
if repeats then
  -- Written once more, so that replicas can be asked whether they have it.
  if has(asks, AGAIN) then
    save(r, now)
  end
  return 1
end

-- The record is what this end makes of it.
r.status = 0
-- What is in doubt may turn out never to have run: then what was left is left again.
r.flags = bit.band(r.flags, 3 + CROWDED + (kind == DOUBTS and LEFT or 0))
r.body = kind == DOUBTS and r.body or ARGV[2]
r.ends = now + lasts
r.keep = 0
if kind == SUCCEEDS or kind == FAILS then
  r.state = kind == SUCCEEDS and SUCCEEDED or FAILED
  if has(asks, WITHOUT_BYTES) then
    r.flags = r.flags + NO_BYTES
  end
elseif kind == DOUBTS then
  r.state = UNRESOLVED
else
  r.state = WAITING
  r.keep = keep
  if has(asks, LEFT_TO_SCHEDULER) then
    r.flags = r.flags + LEFT
  end
end
if has(asks, SETTLES) then
  r.flags, r.settled = r.flags + SETTLED, settler
end
publish(r, ARGV[3])
save(r, now)
if r.state == WAITING then
  schedule(r, now)
end
return 1
