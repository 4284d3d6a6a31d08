#!lua flags=allow-oom
-- Prolongs the lease of a partition the caller still owns.
--
-- KEYS  1 own   2 lease
-- ARGV  1 holder   2 term   3 ttl_ms
-- Reply 1 prolonged   0 the partition or its lease is another's: forget the partition
local o, l = redis.call('HMGET', KEYS[1], 'h', 't'), redis.call('GET', KEYS[2])
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] or (l and l ~= ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return 1
