#!lua flags=allow-oom
-- Gives up the lease of a partition the caller still owns, so that another may take it at once.
-- Ownership itself stays written until then: send no `out` after this.
--
-- KEYS  1 own   2 lease
-- ARGV  1 holder   2 term
-- Reply 1 released (or there was no lease any more)   0 it is another's
local o, l = redis.call('HMGET', KEYS[1], 'h', 't'), redis.call('GET', KEYS[2])
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] or (l and l ~= ARGV[1]) then return 0 end
redis.call('DEL', KEYS[2])
return 1
