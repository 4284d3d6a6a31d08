#!lua flags=allow-oom
-- Appends what a broker forwards to a partition's `in`, all or nothing. As append.lua, but also when
-- Redis is full: the entry that led to it leaves another partition with the commit that follows, and
-- partitions that wait for each other would free nothing.
--
-- KEYS  1 in    2 src
-- ARGV  1 source   2 limit   then (seq, blob) for each message, as append.lua; limit is far higher
--       than that of gateways, or two full partitions that forward to each other would wait for ever
-- Reply number of entries appended
--       error "BUSY ingest full": nothing was appended, send the same batch again later
local hwm = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if #ARGV < 4 or ARGV[#ARGV - 1] <= hwm then return 0 end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then
  return redis.error_reply('BUSY ingest full')
end
local n = 0
for i = 3, #ARGV, 2 do
  if ARGV[i] > hwm then
    redis.call('XADD', KEYS[1], '*', 'm', ARGV[i + 1])
    hwm, n = ARGV[i], n + 1
  end
end
redis.call('HSET', KEYS[2], ARGV[1], hwm)
return n
