-- The app that the conformance tests run against.
--
--   /up…, /local/…     HTTP routes that convert                     (converting.lua)
--   /adm/:op, /s/adm   one server call, in a gateway or a broker    (ops.lua)
--   /s/…               sockets with a signal route of that path     (signal_routes.lua)
--   /walled/…, /halls/… guards, and spellings of paths             (paths.lua)
--   Audit              the Name that hears of connects, disconnects and ticks (events.lua)

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }

signalbox.static("/public", "public")
signalbox.route("GET", "/", function(web) web:file("views/index.html") end)

require "ops"
require "converting"
require "signal_routes"
require "paths"
require "events"
