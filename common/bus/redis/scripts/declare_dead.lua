#!lua flags=allow-oom
-- Declares a gateway dead (it is expired) after the caller saw its heartbeat counter unchanged for
-- long enough on its own clock. Refuses when the counter has moved meanwhile.
--
-- KEYS  1 gw   2 dead:<gid>
-- ARGV  1 gid   2 last_seen_counter
-- Reply 1 declared dead (now or before)   0 the counter moved: it is alive
local v = redis.call('HGET', KEYS[1], ARGV[1])
if v and v ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], '1', 'EX', 86400)
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
