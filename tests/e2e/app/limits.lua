-- For test_limits.py: what happens to a slow client, Name by Name, and which origins may come.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.origins { "https://friend.example.test", "HTTPS://Slash.example.test:443/", "http://[0::1]:8091" }

signalbox.name("oldest", { slow = "drop_oldest" })
signalbox.name("newest", { slow = "drop_newest" })
signalbox.name("latest", { slow = "latest" })

signalbox.route("GET", "/up", function(web) web:convert { name = web.query.name } end)
signalbox.route("POST", "/send", function(web)
    signalbox.send { name = web.query.name, data = web.body }
    web:text("sent")
end)
signalbox.on("disconnect", "close", "why", function(event)
    signalbox.send { name = "Why", data = event.connection.close_code .. " " .. event.connection.cause }
end)
signalbox.route("GET", "/large", function(web) web:text(("x"):rep(4000000)) end)
