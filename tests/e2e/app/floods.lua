-- For test_log_floods.py: an app in which every message of a client leads to a line of the log.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.broadcast_level("Guarded", "client_id")

signalbox.route("GET", "/up", function(web) web:convert { name = web.query.name } end)
signalbox.route("GET", "/fails", function(web) web:convert { name = "Fails" } end)
signalbox.route("GET", "/prints", function(web) web:convert { name = "Prints" } end)
signalbox.route("GET", "/error", function(web) error("the route fails") end)
signalbox.signal_route("/fails", function(event) error("the handler fails") end)
signalbox.signal_route("/prints", function(event) print("a line for each message") end)
