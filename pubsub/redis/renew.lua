-- Begins a new epoch of a room's history, without messages, if it is still in the old one.
--
-- KEYS  1 meta hash, 2 history stream
-- ARGV  1 the new epoch, 2 the meta hash's time to live in ms, 3 the old epoch
-- Returns epoch (string), offset (string), {}; as read.lua does.

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'offset')
local epoch, offset = meta[1], meta[2]
if not tonumber(epoch or nil) or not tonumber(offset or nil) or epoch == ARGV[3] then
  epoch, offset = ARGV[1], '0'
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', offset)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {epoch, offset, {}}
