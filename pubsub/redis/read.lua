-- Reads a room's newest position and a part of its history, at one moment. Begins the epoch of a
-- room without one, and keeps the meta hash alive.
--
-- KEYS  1 meta hash, 2 history stream
-- ARGV  1 epoch to begin if there is none, 2 the meta hash's time to live in ms,
--       3 what is wanted: 'top', 'since', 'last', 4 since: the first offset wanted, last: how many,
--       5 since: as many entries as make up so many bytes, and no more than 63 beyond
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
  local from, size = ARGV[4], 0
  repeat
    local some = redis.call('XRANGE', KEYS[2], from .. '-0', '+', 'COUNT', 64)
    for _, e in ipairs(some) do
      entries[#entries + 1] = e
      size = size + #(e[2][2] or '')
    end
    local last = #some == 64 and string.match(some[64][1], '^(%d+)%-0$')
    from = last and string.format('%.0f', tonumber(last) + 1)
  until not from or size >= tonumber(ARGV[5])
elseif ARGV[3] == 'last' then
  entries = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[4])
end
return {epoch, offset, entries}
