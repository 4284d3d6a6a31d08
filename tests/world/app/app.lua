-- The app of the simulated world. Whatever a handler sends is one message for the same input, so that a handler that
-- runs again after a fault must not be visible.
--
--   /n/:name      a client of the Name; what it says goes where the message says: no signal route
--   /hop/:name    the same, but a signal route sends what it says on, to a Name of another partition
--   /wait/:name   the same, and the signal route waits afterwards, so that what it says next is deferred; what it says to
--                 itself goes there
--   /g/:name      a client with a real group; its id is its token
--   /local        a Local connection: five messages, then the end
--   POST /say/:name   a handler of a gateway sends the body
--   Audit         hears of each Connect and Disconnect
--   Ticks         hears of each minute
--
-- Where it is not a real group, the group of a connection is a token of the world's: it says which connection an event
-- is about.

local NAMES = { "n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7" }
local NEXT = { n0 = "n1", n1 = "n2", n2 = "n3", n3 = "n4", n4 = "n5", n5 = "n6", n6 = "n7", n7 = "n0" }

signalbox.endpoint { address = "*", port = 8091, protocol = "http" }
signalbox.endpoint { address = "*", port = 8091, protocol = "ws" }

local function convert(web)
  web:convert { name = web.params.name, client_id = web.query.client_id, group = web.query.group }
end

for _, prefix in ipairs { "/n/", "/hop/", "/wait/", "/g/" } do
  signalbox.route("GET", prefix .. ":name", convert)
end

signalbox.route("GET", "/local", function(web)
  web:convert { name = "Local", client_id = web.query.client_id, scope = "local" }
  for i = 1, 5 do
    signalbox.send { name = "Local", data = "l" .. i }
    signalbox.sleep(0.05)
  end
end)

signalbox.route("POST", "/say/:name", function(web)
  signalbox.send { name = web.params.name, data = web.body }
  web:respond { status = 202 }
end)

signalbox.signal_route("/hop/*", function(event)
  signalbox.send { name = NEXT[event.name], data = event.data.message, ignore_event = true }
end)

signalbox.signal_route("/wait/*", function(event)
  if event.data.client_id then
    signalbox.send { name = event.name, client_id = event.client_id, data = event.data.message, ignore_event = true }
    return
  end
  signalbox.send { name = NEXT[event.name], data = event.data.message, ignore_event = true }
  signalbox.sleep(0.2)
end)

local function audit(event)
  local c = event.connection
  signalbox.send { name = "Audit", data = event.type .. " " .. event.name .. " " .. c.client_id .. " " ..
    (c.group or "-") .. " " .. (c.cause or "-") }
end

signalbox.on("connect", NAMES, "audit", audit)
signalbox.on("disconnect", NAMES, "audit", audit)

signalbox.schedule("minute", "* * * * *", function(event)
  signalbox.send { name = "Ticks", data = "tick " .. event.timestamp }
end)
