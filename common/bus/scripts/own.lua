#!lua flags=allow-oom
-- Takes a partition whose lease is free, or is the caller's own, under a new term. The term fences
-- every write of the previous owner; the lease says only when a take-over may be tried.
--
-- KEYS  1 own   hash: h holder, t term, c cursor, i last output, x try counter   2 lease
-- ARGV  1 holder   2 ttl_ms of the lease   3 highest term the caller has ever seen here ('0')
-- Reply {term, cursor, last_id}   all strings; cursor and last_id '0-0' when there is none
--       {0}                       another holder has the lease
--
-- A term is greater than the stored one, than the one the caller knows (Redis may have lost its
-- data) and not less than the clock in ms, so that ids <term>-<seq> never come back.
local l = redis.call('GET', KEYS[2])
-- A lease that outlasts what anybody asks for is a clock's that was set back since: nobody renews it.
if l and l ~= ARGV[1] and redis.call('PTTL', KEYS[2]) <= 2 * ARGV[2] then return {0} end
local o, tm = redis.call('HMGET', KEYS[1], 't', 'c', 'i'), redis.call('TIME')
local now = tm[1] * 1000 + math.floor(tm[2] / 1000)
local t = math.max((tonumber(o[1]) or 0) + 1, now, tonumber(ARGV[3]) + 1)
t = string.format('%.0f', t)
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[1], 'h', ARGV[1], 't', t)
return {t, o[2] or '0-0', o[3] or '0-0'}
