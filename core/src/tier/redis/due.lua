-- Which scheduled records of some buckets are due. KEYS: their schedules, which are as many as the
-- caller names. ARGV: the fixed part.
local shift, limit = struct.unpack('<i8I4', ARGV[1])
local now, due = string.format('%d', now_ms(shift)), {}
for _, key in ipairs(KEYS) do
  local left = string.format('%d', limit - #due)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', '0', left)) do
    due[#due + 1] = member
  end
end
return due
