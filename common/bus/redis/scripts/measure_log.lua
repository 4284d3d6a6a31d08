#!lua flags=allow-oom
-- Tells the next writer of a log what it must know: the log's last id, and how large its history is,
-- in chunks (history.h).
--
-- KEYS  1 l:<name>   2 h:<name>   3 c:<name>, or none: the log for every Name
-- ARGV  1 bytes of a chunk   2 messages of a chunk   3 bytes that an entry costs beside its message
-- Reply {last id, or "-" when none is known, or "" when nobody has joined the Name, first id of a chunk, messages, bytes, first id of the next, …}
--       A key that is no stream has no history.
local reply, from, chunk, n, bytes = {redis.call('GET', KEYS[1])}, '-', nil, 0, 0
if not reply[1] then reply[1] = KEYS[3] and redis.call('EXISTS', KEYS[3]) == 0 and '' or '-' end
local function close()
  if chunk then
    for _, v in ipairs({chunk, n, bytes}) do reply[#reply + 1] = v end
  end
end
if redis.call('TYPE', KEYS[2]).ok ~= 'stream' then return reply end
repeat
  local page = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', 100)
  for _, e in ipairs(page) do
    local size = #(e[2][2] or '') + tonumber(ARGV[3])
    if not chunk or n + 1 > tonumber(ARGV[2]) or bytes + size > tonumber(ARGV[1]) then
      close()
      chunk, n, bytes = e[1], 0, 0
    end
    n, bytes = n + 1, bytes + size
    from = '(' .. e[1]
  end
until #page < 100
close()
return reply
