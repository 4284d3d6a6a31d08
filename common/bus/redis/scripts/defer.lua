#!lua flags=allow-oom
-- Defers entries of `in` before the cursor passes them: each waits for an earlier handler of its
-- connection, and its copy waits in w. The commit follows (commit.lua); if it does not, the entry is
-- still behind the cursor, and list_deferred.lua removes the copy. Repeating a call is harmless.
--
-- KEYS  1 own   2 in   3 w   hash: entry id -> packed {order, handled, lane, fields}
-- ARGV  1 holder   2 term
--       then (id, order, handled, lane) for each entry: id is its place in `in`; order, the id it had
--       when it first came, tells which of a lane is next; handled is how many handlers of its event
--       have run; lane is what it waits for
-- Reply 1   error "FENCED by <holder>": the partition is another's
local o = redis.call('HMGET', KEYS[1], 'h', 't')
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then
  return redis.error_reply('FENCED by ' .. tostring(o[1]))
end
for i = 3, #ARGV, 4 do
  local e = redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
  if e then
    redis.call('HSET', KEYS[3], ARGV[i], cmsgpack.pack({ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], e[2]}))
  end
end
return 1
