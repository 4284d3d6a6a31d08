#!lua flags=allow-oom
-- Prolongs a lock, unless another token holds it. A lock that ran out because Redis' clock jumped, or
-- while Redis refused to prolong it, is the caller's again if nobody took it meanwhile.
--
-- KEYS  1 lock
-- ARGV  1 token   2 ttl_ms
-- Reply 1 prolonged   0 lost: it is another's
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
