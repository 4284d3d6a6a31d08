#!lua flags=allow-oom
-- Takes a partition whose lease is free, or is the caller's own, under a new term. The term fences
-- every write of the previous owner; the lease says only when a take-over may be tried.
--
-- KEYS  1 own   hash: h holder, t term, c cursor, i last output, x try counter, y lineage,
--                f floor (raise_floor.lua), g generation (restart_stream.lua), k since when
--                the logs of all Names are kept   2 lease
-- ARGV  1 holder   2 ttl_ms of the lease   3 highest term the caller has ever seen here ('0')
--       4 keep_ms   for so long the caller keeps the logs of all Names, because Redis may have lost who
--                   has joined which; 0: only those of Names that were joined
--       5 channel   is told of it: '<slot> <term>'. What a subscriber gets behind that was published
--                   after the lease was taken
--       6 slot      for that
-- Reply {term, cursor, last_id, generation}   all strings; '0-0' for an id and '0' for a generation
--                                 when there is none
--       {0, left_ms}              another holder has the lease; it runs out after left_ms unless renewed
--       error "DAMAGED field <f> of <key>"   some other program wrote something there that is no term
--                                 or floor or generation (at most 2^52, so that numbers
--                                 stay exact) and no id
--
-- A term is greater than the stored one, than the floor, than the one the caller knows (Redis may
-- have lost its data) and not less than the clock in ms, so that ids <term>-<seq> never come back.
--
-- own.y names the latest 32 terms of this data set, oldest first, separated by spaces; it begins
-- with 0 while it names all of them. <id behind a term is the partition's last output when it began.
-- An id whose term is not among them belongs to a data set that was given up (a failover, a
-- restart): see lineage.h.
-- Where own is new, or was lost, the generation is the term: marks of an earlier one are below it.
--
-- own.k is "<until> <id>": until this time of Redis' clock, in ms, every log has all that was published
-- after this id, also that of a Name of which nothing says that it was joined.
local l = redis.call('GET', KEYS[2])
if l and l ~= ARGV[1] then
  -- A lease longer than any process would request was taken before the clock was set back, and one
  -- without an expiry is nobody's: both are ignored.
  local left = redis.call('PTTL', KEYS[2])
  if left >= 0 and left <= 2 * ARGV[2] then return {0, left} end
end
local o, tm = redis.call('HMGET', KEYS[1], 't', 'c', 'i', 'y', 'f', 'g', 'k'), redis.call('TIME')
local function is_term(v) return not string.find(v, '%D') and tonumber(v) <= 4503599627370496 end
local function is_id(v) return #v <= 41 and string.find(v, '^%d+%-%d+$') end
for i, check in pairs({is_term, is_id, is_id, [5] = is_term, [6] = is_term}) do
  if o[i] and (o[i] == '' or not check(o[i])) then
    return redis.error_reply('DAMAGED field ' .. string.sub('tciyfg', i, i) .. ' of ' .. KEYS[1])
  end
end
local now = tm[1] * 1000 + math.floor(tm[2] / 1000)
local t = math.max((tonumber(o[1]) or 0) + 1, (tonumber(o[5]) or 0) + 1, now, tonumber(ARGV[3]) + 1)
t = string.format('%.0f', t)
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
local terms = o[1] and o[4] or '0'
if #terms > 4096 or string.find(terms, '[^%d <-]') then terms = o[1] or '0' end
-- Anchored: what some other program wrote there must not keep Redis busy.
local newest = string.match(' ' .. terms, '^.* (.*)$')
if o[1] and string.match(newest, '^%d*') ~= o[1] then terms = o[1] end
terms = terms .. ' ' .. t .. (o[3] and '<' .. o[3] or '')
while select(2, string.gsub(terms, ' ', '')) >= 32 do terms = string.match(terms, ' (.*)$') end
local g = o[6] or o[1] and '0' or t
redis.call('HSET', KEYS[1], 'h', ARGV[1], 't', t, 'y', terms, 'g', g)
if ARGV[4] ~= '0' then
  local till, id = string.match(o[7] or '', '^(%d+) (%d+%-%d+)$')
  if not till or tonumber(till) < now then id = o[3] or '0-0' end
  redis.call('HSET', KEYS[1], 'k', string.format('%.0f ', now + ARGV[4]) .. id)
elseif o[7] then
  redis.call('HDEL', KEYS[1], 'k')
end
redis.pcall('PUBLISH', ARGV[5], ARGV[6] .. ' ' .. t)
return {t, o[2] or '0-0', o[3] or '0-0', g}
