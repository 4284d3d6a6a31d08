#!lua flags=allow-oom
-- Removes a connection from the registry and writes its Disconnect, once, and only this
-- connection: a newer one with the same client id stays. Called by its gateway when it closes, and
-- for each member of a dead gateway's set by the owner of the partition.
--
-- KEYS  1 c:<name>   2 g:<gid>   3 in   4 i (register.lua)
--       5 l:<name>   6 s:<name>   they end some time after the last connection
-- ARGV  1 client_id   2 val   3 member (name NUL client_id NUL val)   4 name
--       5 reason   '': its Disconnect was written before, in data that Redis lost; none is now
--       6 seconds for which clients may come back and resume
-- Reply 1 removed   0 it was not registered any more
redis.call('SREM', KEYS[2], ARGV[3])
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
local details = redis.call('HGET', KEYS[1], '\0' .. ARGV[1]) -- register.lua
redis.call('HDEL', KEYS[1], ARGV[1], '\0' .. ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1] .. '\0' .. ARGV[4])
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('EXPIRE', KEYS[5], ARGV[6])
  redis.call('EXPIRE', KEYS[6], ARGV[6])
end
if ARGV[5] ~= '' then
  local fields = {'t', 'D', 'n', ARGV[4], 'i', ARGV[1], 'v', ARGV[2], 'r', ARGV[5]}
  if details then fields[11], fields[12] = 'x', details end
  redis.call('XADD', KEYS[3], '*', unpack(fields))
end
return 1
