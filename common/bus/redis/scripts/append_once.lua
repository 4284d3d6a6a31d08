#!lua flags=allow-oom
-- Appends one entry under a publisher's idempotency key: one entry for each key and window, however
-- often and by however many publishers it is sent.
--
-- KEYS  1 in   2 src   3 dedupe   string: id of the entry that was appended under this key
-- ARGV  1 source ('': none, seq is ignored)   2 limit   3 ttl_ms of the key   4 seq   5 blob
--       source, limit and seq as in append.lua; the mark moves for a suppressed message too, so that
--       a call repeated after its key has expired stays suppressed.
-- Reply {1, entry id}   appended by this call
--       {0, entry id}   the key was used before, by anybody, or by this call with its reply lost
--       {0, ''}         this call was decided before and its key has expired since
--       error "BUSY ingest full" (nothing happened), "TTL must be positive"
local ttl = tonumber(ARGV[3])
if not ttl or ttl < 1 then return redis.error_reply('TTL must be positive') end
local first = redis.call('GET', KEYS[3])
local has_mark = ARGV[1] ~= ''
local hwm = has_mark and redis.call('HGET', KEYS[2], ARGV[1]) or ''
local is_repeat = has_mark and ARGV[4] <= hwm
if first or is_repeat then
  if has_mark and not is_repeat then redis.call('HSET', KEYS[2], ARGV[1], ARGV[4]) end
  return {0, first or ''}
end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then
  return redis.error_reply('BUSY ingest full')
end
local id = redis.call('XADD', KEYS[1], '*', 'm', ARGV[5])
redis.call('SET', KEYS[3], id, 'PX', ARGV[3])
if has_mark then redis.call('HSET', KEYS[2], ARGV[1], ARGV[4]) end
return {1, id}
