#!lua flags=allow-oom
-- Lists the deferred entries for the owner that takes the partition, and tidies up after the last one:
--   passed by the cursor      a copy waits in w; a mark belongs to an entry that was committed: dropped
--   not passed by it          the entry is ahead in `in`. If it has come back before, its lane has to
--                             wait for it, and a copy becomes a mark; otherwise its copy is dropped
--
-- KEYS  1 own   2 in   3 w
-- ARGV  1 holder   2 term
-- Reply {id, order, lane, bytes, 1 when it is ahead} for each, in no order
--       {field, value}, cut at 64 and 256 bytes, for what some other program wrote there: it is dropped
--       error "FENCED by <holder>"
local o = redis.call('HMGET', KEYS[1], 'h', 't', 'c')
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then
  return redis.error_reply('FENCED by ' .. tostring(o[1]))
end
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function unpacked(id, value)
  local is_good, p = pcall(cmsgpack.unpack, value)
  is_good = is_good and parts(id) and #id <= 41 and type(p) == 'table' and type(p[4]) == 'table'
  for i = 1, 3 do is_good = is_good and type(p[i]) == 'string' end
  for i = 1, is_good and #p[4] or 0 do is_good = is_good and type(p[4][i]) == 'string' end
  return is_good and parts(p[1]) and tonumber(p[2]) and #p[4] % 2 == 0 and p
end
local ms, seq = parts(o[3] or '0-0')
local all, list = redis.call('HGETALL', KEYS[3]), {}
for i = 1, #all, 2 do
  local id, p = all[i], unpacked(all[i], all[i + 1])
  local m, s = parts(id)
  local is_ahead = p and (m > ms or m == ms and s > seq)
  if not p then
    list[#list + 1] = {string.sub(id, 1, 64), string.sub(all[i + 1], 1, 256)}
  elseif is_ahead then
    is_ahead = p[1] ~= id and #redis.call('XRANGE', KEYS[2], id, id) > 0
    if is_ahead then
      redis.call('HSET', KEYS[3], id, cmsgpack.pack({p[1], p[2], p[3], {}}))
    end
  end
  if is_ahead or p and #p[4] > 0 and (m < ms or m == ms and s <= seq) then
    list[#list + 1] = {id, p[1], p[3], #all[i + 1], is_ahead and 1 or 0}
  else
    redis.call('HDEL', KEYS[3], id)
  end
end
return list
