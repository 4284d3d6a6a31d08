-- Names with and without a history that outlives its time, and what is listed of them.
signalbox.endpoint { address = "127.0.0.1", port = 18091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 18091, protocol = "ws" }

signalbox.name("Latest", { keep = "latest" })
signalbox.name("Few", { keep = 3 })
signalbox.name("Only", { keep = 2, history = false })

signalbox.route("GET", "/up", function(web)
  web:convert { name = web.query.name, group = web.query.group, client_id = web.query.id, last = 10 }
end)

signalbox.route("GET", "/history", function(web)
  web:json(signalbox.history { name = web.query.name })
end)

signalbox.signal_route("/up", function(event)
  local texts = {}
  for i, row in ipairs(signalbox.history { name = event.name }) do texts[i] = row.data end
  event.response:send(table.concat(texts, " "))
end)
