-- The app of the fault tests. Whatever a handler sends is one message for the same input, so that a handler that runs
-- again after a fault must not be visible.
--
--   /n/:name      a client of the Name; what it says goes to the Name in its `path`: no signal route
--   /hop/:name    the same, but a signal route sends what it says on, to a Name of another partition
--   /loop/:name   a signal route that never ends
--   Audit         hears of each Connect and Disconnect
--
-- The group of a connection is a token of the test's: it says which connection an event is about.

local NAMES = { "n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7" }
local NEXT = { n0 = "n1", n1 = "n2", n2 = "n3", n3 = "n4", n4 = "n5", n5 = "n6", n6 = "n7", n7 = "n0" }

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }

signalbox.origins { "*" } -- the page of a test is served by the test

local function convert(web)
    web:convert { name = web.params.name, client_id = web.query.client_id, group = web.query.token }
end

signalbox.route("GET", "/n/:name", convert)
signalbox.route("GET", "/hop/:name", convert)
signalbox.route("GET", "/loop/:name", convert)

signalbox.signal_route("/hop/*", function(event)
    signalbox.send { name = NEXT[event.name], data = event.data.message, ignore_event = true }
end)
signalbox.signal_route("/loop/*", function() while true do end end)

local function audit(event)
    signalbox.send { name = "Audit", data = {
        type = event.type, name = event.name, client_id = event.connection.client_id, token = event.connection.group,
        cause = event.connection.cause,
    } }
end

signalbox.on("connect", NAMES, "audit", audit)
signalbox.on("disconnect", NAMES, "audit", audit)
