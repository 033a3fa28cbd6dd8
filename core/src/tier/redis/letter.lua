-- Enters a dead letter in the log, unless it is there. KEYS: the log; what it has, by the order of
-- entry. ARGV: how many it keeps, what makes it the same, the fields of its entry and their values.
local last = redis.call('ZREVRANGE', KEYS[2], '0', '0', 'WITHSCORES')
local at = string.format('%d', (tonumber(last[2]) or 0) + 1)
if redis.call('ZADD', KEYS[2], 'NX', at, ARGV[2]) == 0 then
  return 0
end
-- What could not be entered is not known: it is asked again.
local entered = redis.pcall('XADD', KEYS[1], 'MAXLEN', ARGV[1], '*', unpack(ARGV, 3))
if type(entered) == 'table' then
  redis.call('ZREM', KEYS[2], ARGV[2])
  return entered
end
redis.call('ZREMRANGEBYRANK', KEYS[2], '0', string.format('%d', -1 - ARGV[1]))
return 1
