#!lua flags=allow-oom
-- Brings deferred entries back: each moves to the end of `in`, with the fields o (its order) and h
-- (handlers that have run). A mark without fields stays in w under the new id until the entry is
-- committed: the next owner has to know that it is ahead. Repeating a call is harmless. What is not
-- there, or was written by some other program, cannot come back: it is removed, and the caller told,
-- so that the rest of its lane does not wait for it.
--
-- KEYS  1 own   2 in   3 w
-- ARGV  1 holder   2 term   then the ids
-- Reply number of entries moved, or {number, id, value, id, value …} with those that cannot come back;
--       value is cut at 256 bytes   error "FENCED by <holder>"
local o = redis.call('HMGET', KEYS[1], 'h', 't')
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then
  return redis.error_reply('FENCED by ' .. tostring(o[1]))
end
local function unpacked(value)
  local is_good, p = pcall(cmsgpack.unpack, value)
  is_good = is_good and type(p) == 'table' and type(p[4]) == 'table' and #p[4] % 2 == 0 and #p[4] <= 64
  for i = 1, 3 do is_good = is_good and type(p[i]) == 'string' end
  for i = 1, is_good and #p[4] or 0 do is_good = is_good and type(p[4][i]) == 'string' end
  return is_good and p
end
local reply = {0}
for i = 3, #ARGV do
  local v = redis.call('HGET', KEYS[3], ARGV[i])
  local p = v and unpacked(v)
  if not p then
    reply[#reply + 1] = ARGV[i]
    reply[#reply + 1] = string.sub(v or '', 1, 256)
    redis.call('HDEL', KEYS[3], ARGV[i])
  elseif #p[4] > 0 then
    local fields = {'o', p[1], 'h', p[2]}
    for j = 1, #p[4], 2 do
      if p[4][j] ~= 'o' and p[4][j] ~= 'h' then
        fields[#fields + 1] = p[4][j]
        fields[#fields + 1] = p[4][j + 1]
      end
    end
    local id = redis.call('XADD', KEYS[2], '*', unpack(fields))
    redis.call('HDEL', KEYS[3], ARGV[i])
    redis.call('HSET', KEYS[3], id, cmsgpack.pack({p[1], p[2], p[3], {}}))
    reply[1] = reply[1] + 1
  end
end
if #reply == 1 then return reply[1] end
return reply
