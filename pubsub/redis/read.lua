-- Reads a room's newest position and a part of its history, at one moment. Begins the epoch of a
-- room without one, and keeps the meta hash alive.
--
-- KEYS  1 meta hash, 2 history stream
-- ARGV  1 epoch to begin if there is none, 2 the meta hash's time to live in ms,
--       3 what is wanted: 'top', 'since', 'last', 4 since: the first offset wanted, last: how many
-- Returns epoch (string), offset (string), entries; those of 'last' newest first.

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'offset')
local epoch, offset = meta[1], meta[2]
if not tonumber(epoch or nil) or not tonumber(offset or nil) then
  epoch, offset = ARGV[1], '0'
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', offset)
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) / 2 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end

local entries = {}
if ARGV[3] == 'since' then
  entries = redis.call('XRANGE', KEYS[2], ARGV[4] .. '-0', '+')
elseif ARGV[3] == 'last' then
  entries = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[4])
end
return {epoch, offset, entries}
