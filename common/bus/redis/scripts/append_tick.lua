#!lua
-- Puts one tick of a schedule into its partition, once in the cluster, whoever asks. Redis' clock
-- decides: no tick comes before its time, and a mark that a wrong clock left in the future is
-- ignored, so that it silences nothing.
--
-- KEYS  1 in   2 src   hash: source -> the last tick, in seconds
-- ARGV  1 source   2 limit   3 tick   4 next   the tick after it   5 blob
--       tick and next are seconds, 20 digits; tick is the last one before the caller's reading of
--       this clock, or 0: none is due, but the schedule begins now
-- Reply 1 added
--       0 this tick or a later one is in the stream already, or it was over before the schedule began
--       -1 the tick is not due: the clock was set back since the caller read it
--       error "BUSY ingest full"
--
-- A mark later than now is believed as long as it is not later than `next`: then the clock was set
-- back by less than a period, and the tick of the mark has taken place. A mark that is later still
-- comes from a wrong clock. A schedule without a mark begins now, with what is due right now, and
-- gets one: from then on none is missed.
local now, tick = tonumber(redis.call('TIME')[1]), tonumber(ARGV[3])
local mark = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or nil)
if mark and mark > now and mark > tonumber(ARGV[4]) then mark = nil end
if tick > now then return -1 end
if not mark then
  mark = now - 3
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%020.0f', mark))
end
if tick <= mark then return 0 end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then
  return redis.error_reply('BUSY ingest full')
end
redis.call('XADD', KEYS[1], '*', 'm', ARGV[5])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
