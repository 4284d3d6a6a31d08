-- A room for every transport: the page listens with EventSource and speaks with fetch, the clients
-- in other languages (examples/README.md) use WebSockets or curl. Run it with
-- `./dev up examples/events`, and open the page twice.

signalbox.endpoint { address = "localhost", port = 8091, protocol = "http" }
signalbox.endpoint { address = "localhost", port = 8091, protocol = "ws" }

signalbox.route("GET", "/", function(web) web:file("views/index.html") end)

-- One route for every transport. A GET that accepts text/event-stream becomes an event stream, a
-- WebSocket stays one, and a POST to it is a message of the client that its headers name.
signalbox.route("GET", "/room", function(web) web:convert { name = "Room" } end)

-- What anybody says on /room, over whatever it came.
signalbox.signal_route("/room", function(event)
  local from = event.client_id:sub(1, 8)
  signalbox.send { name = "Room", data = { from = from, text = event.data.message } }
end)
