#!lua flags=allow-oom
-- Tells the next writer of a log what it must know: the log's last id, and how large its history is,
-- in chunks (history.h).
--
-- KEYS  1 l:<name>   2 h:<name>   3 c:<name>   4 k:<name>; or the first two only: the log for every Name
-- ARGV  1 bytes of a chunk   2 messages of a chunk   3 bytes that an entry costs beside its message
-- Reply {last id, or "-" when none is known, or "" when nobody has joined the Name, first id of a chunk, messages, bytes, first id of the next, …,
--       "kept", the same of k:, if that is there}
--       A key that is no stream has no history.
local reply = {redis.call('GET', KEYS[1])}
if not reply[1] then reply[1] = KEYS[3] and redis.call('EXISTS', KEYS[3]) == 0 and '' or '-' end
local function measure(key)
  local from, chunk, n, bytes = '-', nil, 0, 0
  local function close()
    if chunk then
      for _, v in ipairs({chunk, n, bytes}) do reply[#reply + 1] = v end
    end
  end
  repeat
    local page = redis.call('XRANGE', key, from, '+', 'COUNT', 100)
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
end
local function is_stream(key) return redis.call('TYPE', key).ok == 'stream' end
if is_stream(KEYS[2]) then measure(KEYS[2]) end
if KEYS[4] and is_stream(KEYS[4]) then
  reply[#reply + 1] = 'kept'
  measure(KEYS[4])
end
return reply
