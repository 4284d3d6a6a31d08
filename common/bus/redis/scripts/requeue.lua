#!lua flags=allow-oom
-- Brings deferred entries back: each moves to the end of `in`, with the fields o (its order) and h
-- (handlers that have run). A mark without fields stays in w under the new id until the entry is
-- committed: the next owner has to know that it is ahead. Repeating a call is harmless. A value that
-- some other program wrote is passed over, so that only its own connection waits: for the next owner.
--
-- KEYS  1 own   2 in   3 w
-- ARGV  1 holder   2 term   then the ids
-- Reply number of entries moved   error "FENCED by <holder>"
local o = redis.call('HMGET', KEYS[1], 'h', 't')
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then
  return redis.error_reply('FENCED by ' .. tostring(o[1]))
end
local n = 0
for i = 3, #ARGV do
  local v = redis.call('HGET', KEYS[3], ARGV[i])
  local is_good, p = pcall(cmsgpack.unpack, v or '')
  if is_good and type(p) == 'table' and type(p[4]) == 'table' and #p[4] > 0 then
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
    n = n + 1
  end
end
return n
