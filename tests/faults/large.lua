-- For test_too_large.py: messages and sends of any size.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }

signalbox.route("GET", "/up", function(web) web:convert { name = web.query.name } end)
signalbox.route("GET", "/grow", function(web) web:convert { name = "Grow" } end)
signalbox.route("GET", "/gateway/:size", function(web)
    local ok, why = pcall(signalbox.send, { name = "a", data = string.rep("x", tonumber(web.params.size)) })
    web:text(tostring(ok) .. " " .. tostring(why))
end)
signalbox.route("GET", "/store/:size", function(web)
    local ok, why = pcall(signalbox.store.set, "key", string.rep("x", tonumber(web.params.size)))
    web:text(tostring(ok) .. " " .. tostring(why))
end)

-- A few bytes become many.
signalbox.signal_route("/grow", function(event)
    signalbox.send { name = "a", data = string.rep("x", tonumber(event.data.message)) }
end)
