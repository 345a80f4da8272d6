-- Gives a message the next position in its room's history, keeps it and publishes it, all at once.
--
-- KEYS  1 meta hash, 2 history stream, 3 channel, 4 idempotency key (may be absent)
-- ARGV  1 epoch to begin if there is none, 2 messages to keep, 3 their time to live in ms,
--       4 the meta hash's in ms, 5 envelope without position, 6 PUBLISH or SPUBLISH
-- Returns epoch (string), offset, receivers; receivers 0 if the key was used before.

if KEYS[4] then
  local first = redis.call('GET', KEYS[4])
  local offset, epoch = string.match(first or '', '^(%d+):(%d+)$')
  if offset then
    return {epoch, tonumber(offset), 0}
  end
end

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'offset')
local epoch, offset = meta[1], tonumber(meta[2] or nil)
if not tonumber(epoch or nil) or not offset then
  epoch, offset = ARGV[1], 0
end
offset = offset + 1
if offset == 1 then
  -- A stream that is there already is one whose meta was lost.
  redis.call('DEL', KEYS[2])
end

local function add()
  return redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], string.format('%.0f-0', offset), 'e', ARGV[5])
end
local added = add()
if type(added) == 'table' and added.err
    and (string.find(added.err, 'equal or smaller', 1, true) or string.find(added.err, 'WRONGTYPE', 1, true)) then
  -- The stream is ahead of the meta, or no stream: two contents under one offset must not be.
  redis.call('DEL', KEYS[2])
  epoch, offset = ARGV[1], 1
  added = add()
end
if type(added) == 'table' and added.err then
  return added
end

redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', string.format('%.0f', offset))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
if KEYS[4] then
  redis.call('SET', KEYS[4], string.format('%.0f:%s', offset, epoch), 'PX', ARGV[3])
end

local envelope = ARGV[5]
local position = struct.pack('>I8I8', tonumber(epoch), offset)
local receivers = redis.call(ARGV[6], KEYS[3],
  string.char(1, string.byte(envelope, 2) + 8) .. position .. string.sub(envelope, 3))
return {epoch, offset, receivers}
