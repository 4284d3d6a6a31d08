-- For test_hostile_paths.py: rooms whose signal route decides, and ways for a client to go around it.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.default_broadcast(false)
signalbox.default_broadcast("Lobby", true)

local function enter(web, name) web:convert { name = name, group = web.query.group, client_id = web.query.id } end

signalbox.route("GET", "/rooms/:room", function(web) enter(web, "Room") end)
signalbox.route("GET", "/lobby", function(web) enter(web, "Lobby") end)
signalbox.route("GET", "/", function(web) enter(web, "Root") end)
signalbox.route("GET", "/*", function(web) enter(web, "Other") end)
signalbox.route("POST", "/open", function(web)
    signalbox.default_broadcast(web.query.name, web.query.open == "true")
    web:text("done")
end)

signalbox.signal_route("/rooms/*", function(event)
    signalbox.send { name = "Room", data = "checked: " .. event.data.message, ignore_event = true }
end)
