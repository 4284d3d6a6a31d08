#!lua flags=allow-oom
-- Brings entries that were set aside back: each moves to the end of `in`, with the fields o (its
-- order) and h (handlers that have run). Repeating a call is harmless: what was moved is not in w.
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
  if v then
    local p = cmsgpack.unpack(v)
    local fields = {'o', p[1], 'h', p[2]}
    for j = 1, #p[4], 2 do
      if p[4][j] ~= 'o' and p[4][j] ~= 'h' then
        fields[#fields + 1] = p[4][j]
        fields[#fields + 1] = p[4][j + 1]
      end
    end
    redis.call('XADD', KEYS[2], '*', unpack(fields))
    redis.call('HDEL', KEYS[3], ARGV[i])
    n = n + 1
  end
end
return n
