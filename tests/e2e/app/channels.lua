-- For test_channels.py: what an open can meet, and what becomes of connections.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.origins { "https://friend.example.test" }
if os.getenv("MULTIPLEX") then
    signalbox.multiplex(os.getenv("MULTIPLEX") ~= "off" and os.getenv("MULTIPLEX"))
end

signalbox.route("GET", "/up", function(web)
    web:convert { name = web.query.name, group = web.query.group, client_id = web.query.id }
end)
signalbox.route("GET", "/seen", function(web)
    local headers = web.headers
    web:convert { name = "Seen", scope = "local" }
    signalbox.send { mode = "direct", data = { path = web.path, query = web.query, cookie = headers.cookie,
        authorization = headers.authorization, origin = headers.origin, address = web.remote_address,
        own = web.signal.client_id } }
end)
signalbox.route("GET", "/user", function(web)
    local user = (web.headers.authorization or ""):match("^Bearer (%w+)$")
    if not user then return web:text("log in", 401) end
    if user == "banned" then return web:respond { status = 403, body = "no\nmore" } end
    web:convert { name = "Users", client_id = user }
end)
signalbox.route("GET", "/text", function(web) web:text("just a text") end)
signalbox.route("GET", "/file", function(web) web:file("channels.lua") end)
signalbox.route("GET", "/later", function(web) web:respond { status = 503, headers = { ["Retry-After"] = "7" }, body = "later" } end)
signalbox.route("GET", "/fails", function() error("on purpose") end)
signalbox.route("GET", "/sleeps", function(web)
    signalbox.sleep(tonumber(web.query.ms or 60000) / 1000)
    web:convert { name = web.query.name or "Slept" }
end)
signalbox.route("GET", "/local", function(web)
    web:convert { name = "Mine", scope = "local" }
    for i = 1, 3 do
        signalbox.send { mode = "direct", data = i }
    end
end)
signalbox.route("GET", "/last", function(web) web:convert { name = web.query.name, last = 100 } end)
signalbox.route("GET", "/echo", function(web) web:convert { name = web.query.name } end)
signalbox.signal_route("/echo", function(event)
    event.response:send(event.request.body)
end)
signalbox.name("Latest", { slow = "latest" })

for _, kind in ipairs { "connect", "disconnect" } do
    signalbox.on(kind, "Watched", "tell", function(event)
        local c = event.connection
        signalbox.send { name = "Audit", data = { kind, c.client_id, c.close_code, c.cause } }
    end)
end
