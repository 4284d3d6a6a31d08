-- For test_hostile.py: large answers, slow handlers and every way to become a WebSocket.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.static("/files", ".")

local big, huge = string.rep("x", 20000), string.rep("y", 30000000)

signalbox.route("GET", "/hi", function(web) web:text("hi") end)
signalbox.route("GET", "/big", function(web) web:text(big) end)
signalbox.route("GET", "/huge/:size", function(web) web:text(huge:sub(1, tonumber(web.params.size))) end)
signalbox.route("GET", "/up", function(web) web:convert { name = web.query.name } end)
signalbox.route("GET", "/late", function(web)
    signalbox.sleep(0.5)
    web:convert { name = "Late" }
end)
