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
--       or, for a change of the groups of a connection, whose KEYS are c:<name> twice, (id of the next
--       output, '~' <client id>, '0', '', change): its details (envelope.h) change here, and what they
--       are then ends the blob of the next output; empty when there is nothing to tell. change:
--       {'+' or '-', how many groups, and bytes of them, a connection may have, folded group, group, …}
--       ttl_s: 0 leaves the expiry as it is; a negative one is set only if there is none, for the
--       history may have expired meanwhile and be a new one. An l: that is not there gets it, too
-- Reply 1 committed   0 was committed before (the reply was lost)
--       {1, key}        committed; the key of a history is of another type: what belongs there was
--                       published, and is not kept
--       {1, key or '', n}   committed; n changes would have led to too many groups: not made
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
-- The details of a connection as a table; is_kept: it has some of its own. What the value says is ASCII
-- otherwise (conn_details_are_needed).
local function details_of(key, id)
  local found = redis.pcall('HMGET', key, id, '\0' .. id)
  if found.err or not found[1] then return nil, nil, found.err end
  local is_good, d = pcall(cmsgpack.unpack, found[2] or '')
  is_good = is_good and type(d) == 'table' and d[1] == found[1] and #d >= 3 and #d % 2 == 1
  for i = 1, is_good and #d or 0 do is_good = is_good and type(d[i]) == 'string' end
  if is_good then return d, true end
  local group = string.match(found[1], '^[^|]*|(.+)$')
  if not group then return {found[1], '0-0', ''}, false end
  return {found[1], '0-0', '', string.lower(group), group}, false
end
-- The packed details after the change, or ''.
local over = 0
local function change_groups(key, id, text, at)
  local d, is_kept, err = details_of(key, id)
  if not d then return '', err end
  local change = cmsgpack.unpack(text)
  local is_join, named, new, bytes = change[1] == '+', {}, {d[1], at, d[3]}, 0
  local function add(folded, group)
    new[#new + 1] = folded
    new[#new + 1] = group
    bytes = bytes + #group
  end
  for i = 4, #change, 2 do named[change[i]] = true end
  for i = 4, #d, 2 do
    if is_join or not named[d[i]] then add(d[i], d[i + 1]) end
    if is_join then named[d[i]] = nil end
  end
  for i = 4, is_join and #change or 0, 2 do
    if named[change[i]] then add(change[i], change[i + 1]) end
    named[change[i]] = nil
  end
  local is_over = #new > #d and ((#new - 3) / 2 > change[2] or bytes > change[3])
  if is_over then over = over + 1 end
  if is_over or #new == #d then return is_kept and cmsgpack.pack(d) or '' end
  local packed = cmsgpack.pack(new)
  local set = redis.pcall('HSET', key, '\0' .. id, packed)
  if type(set) ~= 'number' then return '', set.err end
  return packed
end
local k, wrong, tail = 3, nil, ''
for j = 6, #ARGV, 5 do
  local from, err, is_there, is_nobodys = ARGV[j + 1]
  local blob, mark = ARGV[j + 4] .. tail, string.byte(from)
  local is_beside = mark == 61 or mark == 43 or mark == 126
  tail = ''
  if is_beside then
    if mark == 61 then
      err = keep_answer(KEYS[k], KEYS[k + 1], from, ARGV[j + 2])
    elseif mark == 43 then
      err = keep(KEYS[k], ARGV[j], from, ARGV[j + 2], blob)
    else
      tail, err = change_groups(KEYS[k], string.sub(from, 2), ARGV[j + 4], ARGV[j])
      tail = cmsgpack.pack(tail)
    end
    from = '0'
    if err and string.find(err, 'WRONGTYPE', 1, true) then wrong, err = KEYS[k], nil end
  elseif mark == 63 then
    is_nobodys = redis.pcall('EXISTS', KEYS[k + 1]) == 0
    from = is_nobodys and '0' or string.sub(from, 2)
  end
  if from ~= '0' then
    local ttl = ARGV[j + 2]
    local added = redis.pcall('XADD', KEYS[k], 'MINID', from, ARGV[j], 'm', blob)
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
    local heard = redis.pcall('PUBLISH', ARGV[j + 3], blob)
    err = type(heard) == 'table' and heard.err
  end
  if err then
    redis.call('HSET', KEYS[1], 'c', c, 'i', o[5] or '0-0', 'u', ARGV[4])
    return redis.error_reply(err)
  end
  k = k + 2
end
if ARGV[5] ~= '0' then redis.call('XTRIM', KEYS[2], 'MINID', ARGV[5]) end
if over > 0 then return {1, wrong or '', over} end
if wrong then return {1, wrong} end
return 1
