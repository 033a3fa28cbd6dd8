-- Asks for an attempt. KEYS: record, guard, schedule. ARGV: the fixed part, the channels' prefix.
local SESSION_OVER, GRANTED, RUNS, WAITS, FINISHED, MISMATCHED, UNSURE, VACANT, STALE =
  0, 1, 2, 3, 4, 5, 6, 7, 8
local CREATED, RETRIED, EXPIRED = 0, 1, 2
local UNKNOWN_LAPSE, FAILED_LAPSE = 1, 2
local CREATES, TAKES_SCHEDULED, WATCHES = 1, 2, 4
-- The start of 2020, the latest time in a token, the last token there is.
local START, MAX_TIME, LAST_MS, LAST_N = 1577836800000, 1099511627775, 2199023255551, 4194303

local epoch, shift, lapse, asks, counter, above_ms, above_n, lease, keep, table_, digest =
  struct.unpack('<c8i8BBI6I6I3I6I6c16c8', ARGV[1])
local found = redis.call('MGET', KEYS[1], KEYS[2])
local guard = found[2]
if not guard or string.sub(guard, 1, 8) ~= epoch then
  return {SESSION_OVER}
end
local now = now_ms(shift)
local r = nil
if found[1] then
  r = parse(found[1])
  if not r then
    return unknown_form()
  end
end

-- What is granted, if anything is.
local attempt, status = nil, nil
if not r or over(r, now) then
  if not has(asks, CREATES) then
    return {VACANT}
  end
  attempt, status = 1, r and EXPIRED or CREATED
elseif r.digest ~= digest then
  return {MISMATCHED, r.digest}
else
  local same = r.table == table_
  if r.state == RUNNING and same and r.counter == counter then
    -- Asked again: the reply was lost.
    r.ends, r.keep = now + lease, keep
    save(r, now)
    return {GRANTED, r.fence_ms, r.fence_n, r.attempt, r.status}
  end

  local function note()
    if not has(asks, WATCHES) then
      return
    end
    for at = 1, #r.watchers, 16 do
      if string.sub(r.watchers, at, at + 15) == table_ then
        return
      end
    end
    if #r.watchers < 16 * MOST_WATCHERS then
      r.watchers = r.watchers .. table_
    elseif has(r.flags, CROWDED) then
      return
    else
      r.flags = r.flags + CROWDED
    end
    save(r, now)
  end

  local function finished()
    return {FINISHED, r.state == FAILED and 1 or 0, r.ends - now, r.status, r.flags, r.body}
  end

  attempt, status = r.attempt + 1, RETRIED
  if r.state == SUCCEEDED or r.state == FAILED then
    return finished()
  elseif r.state == UNRESOLVED then
    return {UNSURE}
  elseif same and counter <= r.counter then
    return {STALE}
  elseif r.state == RUNNING then
    local lapsed = now >= r.ends
    if lapsed then
      status = EXPIRED
    end
    if not same and not lapsed then
      note()
      return {RUNS, r.attempt, r.ends - now}
    end
    local policy = bit.band(r.flags, 3)
    if not same and (policy == UNKNOWN_LAPSE or policy == FAILED_LAPSE) then
      r.state = policy == UNKNOWN_LAPSE and UNRESOLVED or FAILED
      r.ends, r.keep, r.status = now + r.keep, 0, 504
      r.flags = bit.band(r.flags, CROWDED + LEFT) + LAPSED
      if r.state == FAILED then
        r.flags, r.body = r.flags - bit.band(r.flags, LEFT), ''
      end
      publish(r, ARGV[2])
      save(r, now)
      return policy == UNKNOWN_LAPSE and {UNSURE} or finished()
    end
  elseif not same and now < r.ends then
    note()
    return {WAITS, r.attempt + 1, r.ends - now}
  elseif not same and has(r.flags, LEFT) and not has(asks, TAKES_SCHEDULED) then
    note()
    return {WAITS, r.attempt + 1, 0}
  end
end

-- The next token: the server's time, or one more than the highest that is known, if there is one.
local high_ms, high_n = struct.unpack('<I6I3', guard, 9)
if above_ms > high_ms or (above_ms == high_ms and above_n > high_n) then
  high_ms, high_n = above_ms, above_n
end
if r and (r.fence_ms > high_ms or (r.fence_ms == high_ms and r.fence_n > high_n)) then
  high_ms, high_n = r.fence_ms, r.fence_n
end
local ms, n = math.min(math.max(now - START, 0), MAX_TIME), 0
if ms <= high_ms then
  if high_n < LAST_N then
    ms, n = high_ms, high_n + 1
  elseif high_ms < LAST_MS then
    ms = high_ms + 1
  else
    return redis.error_reply('ONCEGATE the fencing tokens are used up')
  end
end

local left, body = 0, ''
if attempt > 1 and has(r.flags, LEFT) then
  left, body = LEFT, r.body
end
save({state = RUNNING, flags = lapse + left, status = status, attempt = attempt,
  counter = counter, fence_ms = ms, fence_n = n, ends = now + lease, keep = keep, table = table_,
  digest = digest, watchers = '', body = body}, now)
redis.call('SETRANGE', KEYS[2], '8', struct.pack('<I6I3', ms, n))
if r then
  unschedule(r)
  publish(r, ARGV[2])
end
return {GRANTED, ms, n, attempt, status}
