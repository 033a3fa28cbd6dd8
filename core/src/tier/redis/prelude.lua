-- What all scripts begin with. Integers only: a Lua number is a double, exact below 2^53, so a
-- fencing token is two integers, and whatever is printed goes through '%d'.
--
-- A record: version, state, flags, status, attempt, counter of its holder, fencing token
-- (milliseconds, count), end of its lease or window or delay, how long it is remembered after that,
-- table of its holder, payload digest, number of who settled it, number of watchers; then the
-- watchers, then the bytes.
local FORM = '<BBBHI4I6I6I3I6I6c16c8I4B'
local HEAD = 65
local VERSION = 1
local RUNNING, WAITING, SUCCEEDED, FAILED, UNRESOLVED = 1, 2, 3, 4, 5
-- Flags: the two low bits are the policy of a lapsed lease. CROWDED: more watch than have room,
-- all of which is taken. LEFT: the bytes are what was left for a scheduler; they stay while the
-- next attempt runs, which may turn out never to have run.
local LEFT, CROWDED, NO_BYTES, SETTLED, NEVER_RAN, LAPSED = 4, 8, 16, 32, 64, 128
local MOST_WATCHERS = 4

local function now_ms(shift)
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000) + shift
end

local function has(flags, flag)
  return bit.band(flags, flag) ~= 0
end

local function parse(raw)
  local version, state, flags, status, attempt, counter, fence_ms, fence_n, ends, keep, table_,
    digest, settled, watchers = struct.unpack(FORM, raw)
  if version ~= VERSION then
    return nil
  end
  local body = HEAD + 16 * watchers
  return {state = state, flags = flags, status = status, attempt = attempt, counter = counter,
    fence_ms = fence_ms, fence_n = fence_n, ends = ends, keep = keep, table = table_,
    digest = digest, settled = settled, watchers = string.sub(raw, HEAD + 1, body),
    body = string.sub(raw, body + 1)}
end

-- Whether its time is over: it is only still there because nobody has cleared it.
local function over(r, now)
  return now >= r.ends + r.keep
end

local function save(r, now)
  local raw = struct.pack(FORM, VERSION, r.state, r.flags, r.status, r.attempt, r.counter,
    r.fence_ms, r.fence_n, r.ends, r.keep, r.table, r.digest, r.settled or 0,
    #r.watchers / 16)
  local ttl = math.max(1, r.ends + r.keep - now)
  redis.call('SET', KEYS[1], raw .. r.watchers .. r.body, 'PX', string.format('%d', ttl))
end

-- The last part of the record's key, as the twenty-eight bytes that it stands for.
local function unhex(key)
  return (string.gsub(string.match(key, '{(%x%x)}:') .. string.match(key, '}:(%x+)$'), '%x%x',
    function(pair) return string.char(tonumber(pair, 16)) end))
end

local function unschedule(r)
  if r.state == WAITING and has(r.flags, LEFT) then
    redis.call('ZREM', KEYS[3], unhex(KEYS[1]))
  end
end

local function schedule(r, now)
  if not has(r.flags, LEFT) then
    return
  end
  redis.call('ZADD', KEYS[3], string.format('%d', r.ends), unhex(KEYS[1]))
  local ttl = r.ends + r.keep - now
  if ttl > redis.call('PTTL', KEYS[3]) then
    redis.call('PEXPIRE', KEYS[3], string.format('%d', ttl))
  end
end

-- Tells whoever watches the record, and forgets them.
local function publish(r, channel)
  -- Almost always nobody does, and the key below takes as long as the rest of an end.
  if r.watchers == '' then
    return
  end
  local key = unhex(KEYS[1])
  for at = 1, #r.watchers, 16 do
    local name = string.gsub(string.sub(r.watchers, at, at + 15), '.', function(byte)
      return string.format('%02x', string.byte(byte))
    end)
    redis.call('PUBLISH', channel .. name, key)
  end
  if has(r.flags, CROWDED) then
    redis.call('PUBLISH', channel .. 'all', key)
    r.flags = r.flags - CROWDED
  end
  r.watchers = ''
end

-- Whether a fail-over has brought back what was there before a grant with this token.
local function is_older(r, ms, n)
  return r.fence_ms < ms or (r.fence_ms == ms and r.fence_n < n)
end

-- A record that was lost, and is made again, has a token that the guard may not know of.
local function raise_guard(ms, n)
  local known = redis.call('GETRANGE', KEYS[2], '8', '16')
  if #known < 9 then
    return
  end
  local known_ms, known_n = struct.unpack('<I6I3', known)
  if ms > known_ms or (ms == known_ms and n > known_n) then
    redis.call('SETRANGE', KEYS[2], '8', struct.pack('<I6I3', ms, n))
  end
end

-- Made where it is answered: made beforehand it cost a twentieth of each script.
local function unknown_form()
  return redis.error_reply('ONCEGATE a record of another version')
end
