-- Each kind of endpoint on a port of its own: PORT_… in the environment says which. One app file, many listeners.

local function port(name) return tonumber(os.getenv("PORT_" .. name)) end
local here = "127.0.0.1"

signalbox.endpoint { address = here, port = port("MERGED"), protocol = "http", name = "merged" }
signalbox.endpoint { address = here, port = port("MERGED"), protocol = "ws", name = "merged-ws" }
signalbox.endpoint { address = here, port = port("HTTP"), protocol = "http", name = "plain" }
signalbox.endpoint { address = here, port = port("WS"), protocol = "ws", name = "sockets" }
signalbox.endpoint { address = here, port = port("AUTO"), protocol = "http", name = "auto" }
signalbox.endpoint { address = here, port = port("AUTO"), protocol = "ws", name = "auto-ws", auto_upgrade = true }
signalbox.endpoint { address = here, port = port("HOST"), protocol = "ws", hostname = "signals.example.test", name = "hosted" }
signalbox.endpoint { address = here, port = port("WSS"), protocol = "wss", name = "secure",
    certificate = os.getenv("CERTIFICATE"), key = os.getenv("KEY"), password = os.getenv("PASSWORD") }

signalbox.signing { secret = "super-secret" }

require "ops"
require "converting"
require "signal_routes"

-- A route of one endpoint only.
signalbox.signal_route("/s/bound", function(event) event.response:send("bound to sockets") end, { endpoint = "sockets" })

-- Auto-upgraded connections have their path as Name.
for _, kind in ipairs { "connect", "disconnect" } do
    signalbox.on(kind, "/messages", "audit", function(event)
        signalbox.send { name = "Audit", data = { type = event.type, name = event.name, id = event.connection.client_id } }
    end)
end
