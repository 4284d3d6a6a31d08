#!lua flags=allow-oom
-- Lists what was set aside, for the owner that takes the partition; first drops copies of entries
-- that the cursor has not passed: those are read again from `in`.
--
-- KEYS  1 own   2 w
-- ARGV  1 holder   2 term
-- Reply {id, order, lane, bytes} for each entry, in no order   error "FENCED by <holder>"
local o = redis.call('HMGET', KEYS[1], 'h', 't', 'c')
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then
  return redis.error_reply('FENCED by ' .. tostring(o[1]))
end
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local ms, seq = parts(o[3] or '0-0')
local all, list = redis.call('HGETALL', KEYS[2]), {}
for i = 1, #all, 2 do
  local m, s = parts(all[i])
  if m > ms or m == ms and s > seq then
    redis.call('HDEL', KEYS[2], all[i])
  else
    local p = cmsgpack.unpack(all[i + 1])
    list[#list + 1] = {all[i], p[1], p[3], #all[i + 1]}
  end
end
return list
