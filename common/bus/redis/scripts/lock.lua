#!lua
-- Acquires a lock, or prolongs it when the same token already holds it.
--
-- KEYS  1 lock
-- ARGV  1 token, unlike any other holder's   2 ttl_ms
-- Reply 1 held by this token   0 held by another
local holder = redis.call('GET', KEYS[1])
-- A lock that lasts longer than any process would request was taken before the clock was set back, and
-- one without an expiry is nobody's: both are ignored.
local left = redis.call('PTTL', KEYS[1])
if holder and holder ~= ARGV[1] and left >= 0 and left <= 2 * ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
