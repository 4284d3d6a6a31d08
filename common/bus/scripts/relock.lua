#!lua flags=allow-oom
-- Prolongs a lock, only if this token still holds it.
--
-- KEYS  1 lock
-- ARGV  1 token   2 ttl_ms
-- Reply 1 prolonged   0 lost: it expired, or is another's
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
