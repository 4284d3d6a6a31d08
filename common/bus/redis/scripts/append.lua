#!lua
-- Appends one batch of entries to a partition's `in`, all or nothing. Repeating a call is harmless:
-- the source's high-water mark moves in the same script as the entries it stands for.
--
-- KEYS  1 in    stream of the partition      2 src   hash: source -> high-water mark
-- ARGV  1 source   2 limit   3 limit in bytes   then (seq, blob) for each message, seq rising
--       seq is a string of digits, of one width for the life of the source: marks are compared
--       as strings. The limits are the length and the memory of the stream at which the batch is
--       refused; a stream of one entry has room whatever its size. Without a message the call
--       tells whether there is room, and the one entry counts.
-- Reply number of entries appended (fewer than sent: the others were there already)
--       error "BUSY ingest full": nothing was appended, send the same batch again later
local hwm = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if #ARGV > 3 and ARGV[#ARGV - 1] <= hwm then return 0 end
local length, used = redis.call('XLEN', KEYS[1]), 0
if length > 1 or length == 1 and #ARGV == 3 then used = redis.pcall('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0) end
if length >= tonumber(ARGV[2]) or type(used) == 'number' and used >= tonumber(ARGV[3]) then
  return redis.error_reply('BUSY ingest full')
end
local n = 0
for i = 4, #ARGV, 2 do
  if ARGV[i] > hwm then
    redis.call('XADD', KEYS[1], '*', 'm', ARGV[i + 1])
    hwm, n = ARGV[i], n + 1
  end
end
if n > 0 then redis.call('HSET', KEYS[2], ARGV[1], hwm) end
return n
