-- For test_json_entrances.py: a Name, and a signal route that passes on what it read.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }

signalbox.route("GET", "/plain", function(web) web:convert { name = web.query.name } end)
signalbox.route("GET", "/lua", function(web) web:convert { name = web.query.name } end)
signalbox.route("POST", "/parse", function(web)
    local ok, value = pcall(signalbox.parse_json, web.body)
    web:text(ok and signalbox.json(value, 100) or "no JSON", ok and 200 or 400)
end)

signalbox.signal_route("/lua", function(event)
    signalbox.send { name = event.name, data = { event.data.message }, depth = 100, ignore_event = true }
end)
