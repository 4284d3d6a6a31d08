-- For test_hostile_handlers.py: a handler whose work depends on what a client says.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.route("GET", "/up", function(web) web:convert { name = "Room", client_id = web.query.id } end)
signalbox.signal_route("/up", function(event)
    local text = event.data.message
    text:find((".-"):rep(8) .. "!")
    event.response:send("found")
end)
