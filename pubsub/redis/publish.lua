-- Gives a message the next position in its room's history, keeps it and publishes it, all at once.
--
-- KEYS  1 meta hash, 2 history stream, 3 idempotency key (may be absent)
-- ARGV  1 channel, 2 epoch to begin if there is none, 3 messages to keep, 4 their time to live in ms,
--       5 the meta hash's in ms, 6 envelope without position, 7 publish or spublish
-- The channel is no key: while a cluster moves the slot, a key that does not exist is a TRYAGAIN.
-- Returns epoch (string), offset, receivers; receivers 0 if the key was used before.

if KEYS[3] then
  local first = redis.call('GET', KEYS[3])
  local offset, epoch = string.match(first or '', '^(%d+):(%d+)$')
  if offset then
    return {epoch, tonumber(offset), 0}
  end
end

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'offset')
local epoch, offset = meta[1], tonumber(meta[2] or nil)
if not tonumber(epoch or nil) or not offset then
  epoch, offset = ARGV[2], 0
end
offset = offset + 1
if offset == 1 then
  -- A stream that is there already is one whose meta was lost.
  redis.call('DEL', KEYS[2])
end

local function add()
  return redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], string.format('%.0f-0', offset), 'e', ARGV[6])
end
local added = add()
if type(added) == 'table' and added.err
    and (string.find(added.err, 'equal or smaller', 1, true) or string.find(added.err, 'WRONGTYPE', 1, true)) then
  -- The stream is ahead of the meta, or no stream: two contents under one offset must not be.
  redis.call('DEL', KEYS[2])
  epoch, offset = ARGV[2], 1
  added = add()
end
if type(added) == 'table' and added.err then
  return added
end

redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', string.format('%.0f', offset))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if KEYS[3] then
  redis.call('SET', KEYS[3], string.format('%.0f:%s', offset, epoch), 'PX', ARGV[4])
end

local envelope = ARGV[6]
local position = struct.pack('>I8I8', tonumber(epoch), offset)
local receivers = redis.call(ARGV[7], ARGV[1],
  string.char(1, string.byte(envelope, 2) + 8) .. position .. string.sub(envelope, 3))
return {epoch, offset, receivers}
