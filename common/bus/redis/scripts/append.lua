#!lua
-- Appends one batch of entries to a partition's `in`, all or nothing. Repeating a call is harmless:
-- the source's high-water mark moves in the same script as the entries it stands for.
--
-- KEYS  1 in    stream of the partition      2 src   hash: source -> high-water mark
-- ARGV  1 source   2 limit   then (seq, blob) for each message, seq rising
--       seq is a string of digits, of one width for the life of the source: marks are compared
--       as strings. limit is the stream length at which the batch is refused. Owners that forward
--       between partitions pass a far higher one than gateways do, or two full partitions that
--       forward to each other would wait for ever.
-- Reply number of entries appended (fewer than sent: the others were there already)
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
