#!lua
-- Whether Redis takes what this process has to write: unlike hb.lua it is refused when memory is
-- out, and it asks for the time, as taking partitions and ticks of schedules do.
--
-- KEYS  1 way   stream of one entry
-- Reply 1, or the error that Redis answers to all writes
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then return answer.err .. ' (' .. select(1, ...) .. ')' end
end
local wrong = try('TIME') or try('XADD', KEYS[1], 'MAXLEN', '1', '*', 'm', '')
return wrong and redis.error_reply(wrong) or 1
