#!lua flags=allow-oom
-- Tells what was answered to messages that came with an id of their own.
--
-- KEYS  for each message the two hashes in which its answer may be
-- ARGV  for each message its id
-- Reply for each message the answer, or "" when there is none. A key that is no hash has none
local reply = {}
for i = 1, #ARGV do
  reply[i] = ''
  for j = 2 * i - 1, 2 * i do
    local answer = redis.pcall('HGET', KEYS[j], ARGV[i])
    if type(answer) == 'string' then reply[i] = answer end
  end
end
return reply
