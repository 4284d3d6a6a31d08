-- For test_hostile_references.py: handlers that look at web.signal, and one that does not.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.static("/files", ".")

signalbox.route("GET", "/blind", function(web) web:text("hi") end)
signalbox.route("GET", "/up", function(web) web:convert { name = web.query.name, client_id = web.query.id } end)
signalbox.route("GET", "/who", function(web)
    local signal = web.signal
    web:json { name = signal and signal.name, is_kept = signal == web.signal }
end)
signalbox.route("GET", "/caught", function(web)
    local ok, why = pcall(function() return web.signal.name end)
    web:text(tostring(why), ok and 200 or 409)
end)
signalbox.route("GET", "/sorted", function(web)
    local ok, why = pcall(table.sort, { 2, 1 }, function() return web.signal == nil end)
    web:text(tostring(ok) .. tostring(why))
end)
signalbox.route("GET", "/exists", function(web)
    web:json { name = signalbox.exists { name = web.query.name }, id = signalbox.exists { client_id = web.query.id } }
end)
signalbox.route("GET", "/count", function(web) web:json { count = #signalbox.names() } end)
