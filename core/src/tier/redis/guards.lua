-- Reads the epochs of guards, and makes those guards that are not there. KEYS: the guards, as many
-- as the caller names. ARGV: an epoch for each, one behind the other.
local epochs = {}
for at, key in ipairs(KEYS) do
  local guard = redis.call('GET', key)
  if not guard then
    -- The epoch, and no token given out yet.
    guard = string.sub(ARGV[1], 8 * at - 7, 8 * at) .. struct.pack('<I6I3', 0, 0)
    redis.call('SET', key, guard)
  end
  epochs[at] = string.sub(guard, 1, 8)
end
return table.concat(epochs)
