#!lua flags=allow-oom
-- Counts the tries of one entry before its route runs, over all owners: an entry that kills the
-- process that runs it is found by its count and goes to the dead letters.
--
-- KEYS  1 own
-- ARGV  1 holder   2 term   3 entry_id
-- Reply number of tries of this entry, this one included
--       error "FENCED by <holder>": the partition is another's
local o = redis.call('HMGET', KEYS[1], 'h', 't', 'x')
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then
  return redis.error_reply('FENCED by ' .. tostring(o[1]))
end
local id, n = string.match(o[3] or '', '^(%S+) (%d+)$')
local tries = id == ARGV[3] and tonumber(n) + 1 or 1
redis.call('HSET', KEYS[1], 'x', ARGV[3] .. ' ' .. tries)
return tries
