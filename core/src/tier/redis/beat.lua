-- Tells that a table is there, or asks. KEYS: the table. ARGV: the fixed part.
local shift, lasts = struct.unpack('<i8I6', ARGV[1])
local now = now_ms(shift)
if lasts > 0 then
  redis.call('SET', KEYS[1], string.format('%d', now + lasts), 'PX', string.format('%d', lasts))
  return 1
end
local ends = redis.call('GET', KEYS[1])
return ends and tonumber(ends) > now and 1 or 0
