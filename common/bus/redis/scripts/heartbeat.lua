#!lua flags=allow-oom
-- One heartbeat of a gateway; the counter also comes back to it over its own probe channel, which
-- proves that its subscriptions are alive.
--
-- KEYS  1 gw   hash: gid -> counter   2 dead:<gid>   tombstone
-- ARGV  1 gid   2 counter   3 probe_channel
-- Reply 1   2 the gateway was not in the hash: it just came, or Redis lost its data
--       error "DEAD expired": close every client with 1012 and begin again under a new gid
if redis.call('EXISTS', KEYS[2]) == 1 then return redis.error_reply('DEAD expired') end
local is_new = redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[2])
return 1 + is_new
