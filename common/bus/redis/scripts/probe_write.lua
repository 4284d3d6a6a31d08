#!lua
-- Tells whether Redis accepts what this process has to write. Unlike heartbeat.lua it is refused when
-- Redis is out of memory, and it asks for the time, as take_partition.lua and append_tick.lua do.
--
-- KEYS  1 way   stream of one entry
-- Reply 1, or the error that Redis answers to all writes
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then return answer.err .. ' (' .. select(1, ...) .. ')' end
end
local wrong = try('TIME') or try('XADD', KEYS[1], 'MAXLEN', '1', '*', 'm', '')
return wrong and redis.error_reply(wrong) or 1
