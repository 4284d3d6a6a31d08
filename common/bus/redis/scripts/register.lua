#!lua
-- Registers a connection and writes its Connect; a connection it replaces gets its Disconnect
-- before. Repeating a call is harmless, even when the connection was replaced in between.
--
-- KEYS  1 c:<name>   hash: client id -> connection value
--       2 g:<gid>    set: members registered by this gateway in this partition; the empty member
--                    says that the gateway is fenced here (fence_gateway.lua)
--       3 gws        set: gateways that ever registered in this partition
--       4 in         5 own
--       6 l:<name>   7 l*   no message of these logs has a later id; made here when absent, so that
--                    what a client misses from now on can be told (they outlive the history). An
--                    id with seq 0 is no message's: it says that the log is empty in this data set
--                    l:<name> stays while the Name has a connection (unregister.lua)
--       8 i          sorted set: client id NUL name of every connection, for who asks by id alone
--       9 s:<name>   what was sent up to here is not known: the position when the Name was joined, or,
--                    while the logs of all Names are kept (own.k, take_partition.lua), since when
-- ARGV  1 client_id
--       2 val        connection value, gid:connno:connected_ms|group, unlike any other ever
--       3 gid
--       4 member     name NUL client_id NUL val; it ends with val so that a repeated call is told
--                    from a newer connection with the same client id at the same gateway
--       5 name
--       6 restore    1: the connection is known to be open, Redis may have forgotten it: write no
--                    event, and leave another connection that took the client id meanwhile
--       7 details    its conn_details (envelope.h), kept in c:<name> under NUL client id: what its value
--                    does not say of its groups, and its data. '' or absent: there is nothing to say
-- Reply {1, position}   registered. Messages with id <= position were published before, all later
--                       ones after: clients follow from there
--       Before the partition's first output that is where its term begins, or, before its first
--       owner, the time: all ids are later, and all ids of a data set that was lost are earlier. The
--       time becomes the floor of the first owner's term (own.f): the clock may be set back meanwhile
--       {2, position}   another connection took the client id since: close ours as replaced
--       error "DEAD expired": the gateway was declared dead, and all its connections have had their
--                       Disconnect
local id, val, member, details = ARGV[1], ARGV[2], ARGV[4], ARGV[7] or ''
if string.sub(member, -#val) ~= val then return redis.error_reply('MEMBER without value') end
if redis.call('SISMEMBER', KEYS[2], '') == 1 then return redis.error_reply('DEAD expired') end
local o, tm = redis.call('HMGET', KEYS[5], 'i', 't', 'f', 'k'), redis.call('TIME')
local now, floor = tm[1] * 1000 + math.floor(tm[2] / 1000), o[2] and o[2] .. '-0'
if not floor then
  local term = string.format('%.0f', math.max(now, tonumber(o[3]) or 0))
  floor = term .. '-0'
  redis.call('HSET', KEYS[5], 'f', term)
end
local position = o[1] or floor
local old = redis.call('HGET', KEYS[1], id)
if old and old ~= val and ARGV[6] == '1' then return {2, position} end
local is_first = redis.call('SADD', KEYS[2], member) == 1
redis.call('SADD', KEYS[3], ARGV[3])
local till, since = string.match(o[4] or '', '^(%d+) (%d+%-%d+)$')
if not till or tonumber(till) < now then since = position end
if redis.call('SET', KEYS[6], floor, 'NX') then
  redis.call('SET', KEYS[9], since)
else
  redis.call('PERSIST', KEYS[6])
  if not redis.call('SET', KEYS[9], since, 'NX') then redis.call('PERSIST', KEYS[9]) end
end
redis.call('SET', KEYS[7], floor, 'NX')
-- Of two states of one connection the one that a later message made counts.
local function changed(d)
  local is_good, p = pcall(cmsgpack.unpack, d)
  local at = is_good and type(p) == 'table' and p[1] == val and tostring(p[2]) or ''
  local term, seq = string.match(at, '^(%d+)%-(%d+)$')
  return tonumber(term) or -1, tonumber(seq) or -1
end
if old == val then
  if details ~= '' then
    local term, seq = changed(redis.call('HGET', KEYS[1], '\0' .. id) or '')
    local our_term, our_seq = changed(details)
    if our_term > term or our_term == term and our_seq > seq then
      redis.call('HSET', KEYS[1], '\0' .. id, details)
    end
  end
  return {1, position}
end
if not is_first then return {2, position} end
local old_details = old and redis.call('HGET', KEYS[1], '\0' .. id)
if details ~= '' then
  redis.call('HSET', KEYS[1], id, val, '\0' .. id, details)
else
  redis.call('HSET', KEYS[1], id, val)
  if old_details then redis.call('HDEL', KEYS[1], '\0' .. id) end
end
redis.call('ZADD', KEYS[8], 0, id .. '\0' .. ARGV[5])
local function event(kind, v, d, ...)
  local fields = {'t', kind, 'n', ARGV[5], 'i', id, 'v', v, ...}
  if d and d ~= '' then
    fields[#fields + 1] = 'x'
    fields[#fields + 1] = d
  end
  redis.call('XADD', KEYS[4], '*', unpack(fields))
end
if ARGV[6] ~= '1' then
  if old then event('D', old, old_details, 'r', 'replaced') end
  event('C', val, details)
end
return {1, position}
