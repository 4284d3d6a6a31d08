-- The app of the CLI's tests. A client chooses its Name, group and id by the query.

signalbox.endpoint { address = "127.0.0.1", port = 18091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 18091, protocol = "ws", name = "Main" }

signalbox.broadcast_level("Strict", "client_id")
signalbox.broadcast_level("Guarded", "group")
signalbox.name("Strict", { slow = "latest", keep = 7 })

local function up(web)
  web:convert { name = web.query.name, group = web.query.group, client_id = web.query.id }
end
signalbox.route("GET", "/up", up)
signalbox.route("GET", "/date", up)
signalbox.route("GET", "/strict", up)
signalbox.route("GET", "/late", up)

signalbox.signal_route("/date", function(event)
  event.response:send("it is late")
  signalbox.send { name = "Msg", group = "g", data = { said = event.data.message, by = event.client_id } }
end)

signalbox.signal_route("/plain", function(event)
  signalbox.send { data = event.data.message }
end)

signalbox.signal_route("/strict", function(event)
  signalbox.send { name = "Strict", data = "refused" }
end)

signalbox.signal_route("/late", function(event)
  signalbox.sleep(0.01)
  signalbox.close { name = "Msg", client_id = event.client_id, code = 4000, reason = "late" }
end)

signalbox.on("connect", "Msg", "greet", function(event) end)

signalbox.schedule("Nightly", "@daily", function() end)
