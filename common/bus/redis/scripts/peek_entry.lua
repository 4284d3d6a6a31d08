#!lua flags=allow-oom
-- Describes the next entry of a stream without returning all of it: for an entry that is too large for
-- client-output-buffer-limit.
--
-- KEYS  1 stream
-- ARGV  1 id: the entry after this one   2 how many bytes of the first value to return
-- Reply {id, bytes of all its fields and values, the beginning of its first value}, or {} when there
--       is none
local e = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', 1)[1]
if not e then return {} end
local n = 0
for i = 1, #e[2] do n = n + #e[2][i] end
return {e[1], n, string.sub(e[2][2] or '', 1, tonumber(ARGV[2]))}
