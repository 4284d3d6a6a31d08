#!lua flags=allow-oom
-- Lets a stream begin again whose ids somebody drove into the future: after the last possible id
-- Redis takes no further entry, and what a new stream of that name gets has ids below the cursor.
--
-- KEYS  1 own   2 in
-- ARGV  1 holder   2 term   3 cursor   4 ahead_ms: by how much ids may be ahead of Redis' clock
-- Reply 1 restarted: the cursor is 0-0, of a new generation (own.g); take the partition again
--       0 nothing to do, or entries beyond the cursor wait: process them first
--       error "FENCED by <holder>", "FENCED at <cursor>"   forget the partition, take it again
--
-- The generation precedes the ids in what forward.lua compares with its high-water mark, so that a
-- repetition is recognised before and after. The last entry is at the cursor, or there is none: all
-- were processed. It is below the cursor: somebody deleted the stream, and none of these was.
local o = redis.call('HMGET', KEYS[1], 'h', 't', 'c', 'g')
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then
  return redis.error_reply('FENCED by ' .. tostring(o[1]))
end
local c = o[3] or '0-0'
if c ~= ARGV[3] then return redis.error_reply('FENCED at ' .. c) end
local tm = redis.call('TIME')
local now = tm[1] * 1000 + math.floor(tm[2] / 1000)
if tonumber(string.match(c, '^%d+')) <= now + ARGV[4] then return 0 end
local function comparable(id)
  local ms, seq = string.match(id, '^(%d+)%-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. string.rep('0', 20 - #seq) .. seq
end
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local last, cursor = comparable(newest and newest[1] or '0-0'), comparable(c)
if last > cursor then return 0 end
if not newest or last == cursor then redis.call('DEL', KEYS[2]) end
local g = math.max((tonumber(o[4]) or 0) + 1, now)
redis.call('HSET', KEYS[1], 'c', '0-0', 'g', string.format('%.0f', g))
return 1
