#!lua flags=allow-oom
-- Fences one partition against a gateway that was declared dead: from now on register.lua refuses it
-- here, so that a call of that gateway which is still on its way cannot register a connection after
-- the reaping. The partition's owner calls this first, then unregister.lua for every other member of
-- the set, and then removes gid from gws.
--
-- KEYS  1 g:<gid>
-- ARGV  1 ttl_s of the mark, that of the tombstone
-- Reply number of members left to remove
redis.call('SADD', KEYS[1], '')
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('SCARD', KEYS[1]) - 1
