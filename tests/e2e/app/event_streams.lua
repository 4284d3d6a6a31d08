-- For test_event_streams.py: one path for every transport, and what becomes of connections.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.origins { "https://friend.example.test" }

signalbox.route("GET", "/up", function(web)
    web:convert { name = web.query.name, group = web.query.group, client_id = web.query.id }
end)
signalbox.route("GET", "/user", function(web)
    local user = (web.headers.cookie or ""):match("user=(%w+)")
    if not user then return web:text("log in", 401) end
    web:convert { name = "Users", client_id = user }
end)
signalbox.route("GET", "/echo", function(web) web:convert { name = web.query.name } end)
signalbox.signal_route("/echo", function(event)
    event.response:send(event.data.message or "")
end)

for _, kind in ipairs { "connect", "disconnect" } do
    signalbox.on(kind, "Watched", "tell", function(event)
        local c = event.connection
        signalbox.send { name = "Audit", data = { kind, c.client_id, c.close_code, c.cause } }
    end)
end
