#!lua flags=allow-oom
-- Closes one partition to a buried gateway: from now on conn.lua refuses it here, so that a call
-- of its that was on the way cannot register a connection after the reaping. The owner calls this
-- first, then disc.lua for every other member of the set, then removes gid from gws.
--
-- KEYS  1 g:<gid>
-- ARGV  1 ttl_s of the mark, that of the tombstone
-- Reply number of members left to remove
redis.call('SADD', KEYS[1], '')
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('SCARD', KEYS[1]) - 1
