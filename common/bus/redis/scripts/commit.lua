#!lua flags=allow-oom
-- Commits one batch: the outputs go into their histories and channels and the cursor moves, in one
-- step or not at all. No other script writes a history.
--
-- KEYS  1 own   2 in   3.. two for each output, in the order of ARGV: its history, and its log's key
--       l: that outlives the history ("no message of this log has a later id"); for an output that
--       a later one of the same log follows, the history once more, unless its `from` asks for l:
-- ARGV  1 holder   2 term   3 prev_cursor   4 new_cursor   5 trim: drop `in` below this id;
--         0 only while more entries are known to wait: append.lua counts what is not dropped
--       then (id, from, ttl_s, channel, blob) for each output, ids rising; or, for an answer
--       (answers.h), whose KEYS are two hashes, (id, '=' <message's own id> LF <answer>, ttl_s, '', '')
--       from: the oldest id that the history keeps; 0: no history, publish only. With a ? before it
--       both, history and l:, are written only if l: is there: register.lua makes it, and what
--       goes to a Name that nobody has joined leaves no key
--       or, for what is kept of a Name beyond its history, whose KEYS are that stream twice,
--       (id, '+<from> <n>', ttl_s, '', blob): the newest n from `from` on; n = 0: nothing any more
--       ttl_s: 0 leaves the expiry as it is; a negative one is set only if there is none, for the
--       history may have expired meanwhile and be a new one. An l: that is not there gets it, too
-- Reply 1 committed   0 was committed before (the reply was lost)
--       {1, key}        committed; the key of a history is of another type: what belongs there was
--                       published, and is not kept
--       error "FENCED by <holder>"   the partition is another's: forget it
--       error "FENCED by the floor <term>"  ids of a later term were read already: take it again
--       error "CURSOR is <cursor>"   Redis went back in time under us: forget it, take it again
--
-- own.i is the id of the last output of the partition: ids rise over all its Names and the
-- nameless log (history K h*, channel K n*), so everything up to own.i was published.
-- It runs also when Redis is full: what it trims is what fills Redis.
-- What fails after it (a command that this user may not run) gives both back, so that the batch is
-- not taken for committed; repeated (own.u), it passes over what it has appended already.
local o = redis.call('HMGET', KEYS[1], 'h', 't', 'c', 'f', 'i', 'u')
if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then
  return redis.error_reply('FENCED by ' .. tostring(o[1]))
end
if o[4] and tonumber(o[4]) >= tonumber(o[2]) then
  return redis.error_reply('FENCED by the floor ' .. o[4])
end
local c = o[3] or '0-0'
if c == ARGV[4] then return 0 end
if c ~= ARGV[3] then return redis.error_reply('CURSOR is ' .. c) end
if #ARGV > 5 then
  redis.call('HSET', KEYS[1], 'c', ARGV[4], 'i', ARGV[#ARGV - 4])
else
  redis.call('HSET', KEYS[1], 'c', ARGV[4])
end
-- l: ends after its Name's last connection, and Redis may have lost it.
local function set_last(key, id, ttl)
  local was = redis.pcall('SET', key, id, 'XX', 'KEEPTTL')
  if not was then
    ttl = math.abs(tonumber(ttl))
    was = redis.pcall('SET', key, id, 'EX', ttl > 0 and string.format('%.0f', ttl) or '3600')
  end
  return was.err
end
-- The first hash until it has 128, then the second; the older one goes when the newer one is full.
local function keep_answer(first, second, text, ttl)
  local id, answer = string.match(text, '^=([^\n]*)\n(.*)$')
  local has = redis.pcall('HLEN', first)
  if type(has) ~= 'number' then return has.err end
  local key, other = first, second
  if has >= 128 then key, other = second, first end
  local set = redis.pcall('HSET', key, id, answer)
  if type(set) ~= 'number' then return set.err end
  redis.call('EXPIRE', key, ttl)
  if redis.call('HLEN', key) >= 128 then redis.call('DEL', other) end
end
-- A stream with a later id is of data that was given up.
local function keep(key, id, text, ttl, blob)
  local from, n = string.match(text, '^%+(%S+) (%d+)$')
  if n == '0' then
    redis.call('DEL', key)
    return
  end
  local added = redis.pcall('XADD', key, 'MINID', from, id, 'm', blob)
  if type(added) == 'table' and string.find(added.err, 'equal or smaller', 1, true) then
    if o[6] == ARGV[4] then return end
    redis.call('DEL', key)
    added = redis.pcall('XADD', key, id, 'm', blob)
  end
  if type(added) == 'table' then return added.err end
  redis.call('XTRIM', key, 'MAXLEN', n)
  redis.call('EXPIRE', key, ttl)
end
local k, wrong = 3, nil
for j = 6, #ARGV, 5 do
  local from, err, is_there, is_nobodys = ARGV[j + 1]
  local is_beside = string.byte(from) == 61 or string.byte(from) == 43
  if is_beside then
    if string.byte(from) == 61 then
      err = keep_answer(KEYS[k], KEYS[k + 1], from, ARGV[j + 2])
    else
      err = keep(KEYS[k], ARGV[j], from, ARGV[j + 2], ARGV[j + 4])
    end
    from = '0'
    if err and string.find(err, 'WRONGTYPE', 1, true) then wrong, err = KEYS[k], nil end
  elseif string.byte(from) == 63 then
    is_nobodys = redis.pcall('EXISTS', KEYS[k + 1]) == 0
    from = is_nobodys and '0' or string.sub(from, 2)
  end
  if from ~= '0' then
    local ttl = ARGV[j + 2]
    local added = redis.pcall('XADD', KEYS[k], 'MINID', from, ARGV[j], 'm', ARGV[j + 4])
    err = type(added) == 'table' and added.err
    if err and string.find(err, 'WRONGTYPE', 1, true) then
      wrong, err = KEYS[k], nil
    elseif err and o[6] == ARGV[4] and string.find(err, 'equal or smaller', 1, true) then
      is_there, err = true, nil
    elseif not err and string.byte(ttl) == 45 then
      redis.call('EXPIRE', KEYS[k], string.sub(ttl, 2), 'NX')
    elseif not err and ttl ~= '0' then
      redis.call('EXPIRE', KEYS[k], ttl)
    end
  end
  if not err and not is_beside and not is_nobodys and KEYS[k + 1] ~= KEYS[k] then
    err = set_last(KEYS[k + 1], ARGV[j], ARGV[j + 2])
  end
  if not err and not is_beside and not is_there then
    local heard = redis.pcall('PUBLISH', ARGV[j + 3], ARGV[j + 4])
    err = type(heard) == 'table' and heard.err
  end
  if err then
    redis.call('HSET', KEYS[1], 'c', c, 'i', o[5] or '0-0', 'u', ARGV[4])
    return redis.error_reply(err)
  end
  k = k + 2
end
if ARGV[5] ~= '0' then redis.call('XTRIM', KEYS[2], 'MINID', ARGV[5]) end
if wrong then return {1, wrong} end
return 1
