-- For test_trusted_proxies.py: who a handler thinks it talks to.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }

signalbox.route("GET", "/who", function(web)
    web:json { address = web.remote_address,
               endpoint = { protocol = web.endpoint.protocol, address = web.endpoint.address } }
end)

signalbox.route("GET", "/up", function(web) web:convert { name = web.query.name } end)

signalbox.signal_route("/up", function(event)
    event.response:send { address = event.request.remote_address, url = event.request.url, protocol = event.endpoint.protocol }
end)
