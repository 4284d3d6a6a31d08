-- For test_hostile_handlers.py: a handler whose work depends on what a client says.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.route("GET", "/up", function(web) web:convert { name = "Room", client_id = web.query.id } end)
signalbox.static("/files", ".")
local function seek(text)
    return text:find((".-"):rep(8) .. "!")
end
signalbox.route("GET", "/find", function(web)
    seek(web.query.text)
    web:text("found")
end)
signalbox.route("GET", "/later", function(web)
    signalbox.sleep(0.02)
    seek(web.query.text)
end)
signalbox.on("connect", "Connect", "work", function(event)
    signalbox.sleep(0.001)
    seek(event.connection.client_id)
end)
signalbox.on("disconnect", "Disconnect", "work", function(event)
    seek(event.connection.client_id)
end)
signalbox.route("GET", "/local/:name", function(web)
    web:convert { name = web.params.name, client_id = web.query.id, scope = "local" }
end)
signalbox.signal_route("/up", function(event)
    seek(event.data.message)
    event.response:send("found")
end)
