#!lua flags=allow-oom
-- Gives up a lock, only if this token holds it.
--
-- KEYS  1 lock
-- ARGV  1 token
-- Reply 1 given up   0 it was not ours (expired, or another's)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
