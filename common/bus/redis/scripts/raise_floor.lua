#!lua flags=allow-oom
-- Makes the next outputs of a partition later than a term that only data which Redis gave up has:
-- somebody has read ids of that term already. The owner of an earlier term is fenced, and takes the
-- partition again under a later one (take_partition.lua).
--
-- KEYS  1 own
-- ARGV  1 term, at most 2^52: numbers stay exact
-- Reply 1 raised   0 the term of today is later, or the floor is there already
--       error "TERM too large"
local term, o = tonumber(ARGV[1]), redis.call('HMGET', KEYS[1], 't', 'f')
if not term or term > 4503599627370496 then return redis.error_reply('TERM too large') end
if term < (tonumber(o[1]) or 0) or term <= (tonumber(o[2]) or 0) then return 0 end
redis.call('HSET', KEYS[1], 'f', string.format('%.0f', term))
return 1
