-- For test_compression.py: Names with and without compression, and every way to send from a handler.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }

signalbox.name("Secret", { compress = false })
signalbox.name("Oldest", { slow = "drop_oldest" })
signalbox.name("Latest", { slow = "latest" })

signalbox.route("GET", "/up", function(web)
    web:convert { name = web.query.name, group = web.query.group, client_id = web.query.id, compress = web.query.compress ~= "no" }
end)

-- No signal route has this path.
signalbox.route("GET", "/elsewhere", function(web) web:convert { name = web.query.name } end)

-- A page from which a browser may connect.
signalbox.route("GET", "/page", function(web)
    web:respond { headers = { ["Content-Type"] = "text/html" }, body = "<p>compression</p>" }
end)

-- A Local connection: what it asks for is sent to it alone.
signalbox.route("GET", "/local", function(web)
    web:convert { name = "Local", scope = "local" }
    for _, compress in ipairs { true, false } do
        signalbox.send { data = ("local "):rep(200) .. tostring(compress), compress = compress }
    end
    signalbox.sleep(5)
end)

-- A gateway's handler, and one that sends to the connection that it has just made.
signalbox.route("POST", "/send", function(web)
    signalbox.send(signalbox.parse_json(web.body))
    web:text("sent")
end)
signalbox.route("GET", "/direct", function(web)
    web:convert { name = web.query.name }
    signalbox.send { data = ("direct "):rep(200), mode = "direct" }
    signalbox.send { data = ("direct "):rep(200) .. "plain", mode = "direct", compress = false }
end)

-- A broker's handlers. `say` sends what it is given, `answer` replies to the sender.
signalbox.signal_route("/up", function(event)
    local message = event.data.message
    if type(message) == "table" and message.say then
        signalbox.send(message.say)
    elseif type(message) == "table" and message.answer then
        event.response:send(message.answer, "text", { compress = message.compress })
    else
        event.response:send(event.request.body, event.request.opcode)
    end
end)
