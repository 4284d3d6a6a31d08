-- For test_hostile.py and test_hostile_memory.py: large answers, slow handlers and every way to become a WebSocket.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.static("/files", ".")

local big, large, huge = string.rep("x", 20000), string.rep("z", 4000000), string.rep("y", 16000000)

signalbox.route("GET", "/hi", function(web) web:text("hi") end)
signalbox.route("GET", "/big", function(web) web:text(big) end)
signalbox.route("GET", "/large", function(web) web:text(large) end)

-- A handler waits until the test opens its gate.
local function wait(gate)
    while not signalbox.store.get("open:" .. gate) do signalbox.sleep(0.05) end
end
signalbox.route("POST", "/wait", function(web)
    wait("wait")
    web:text("waited")
end)
signalbox.route("GET", "/hog", function(web)
    local kept = {}
    for i = 1, 18 do
        kept[i] = string.rep("k", 8000000)
        signalbox.sleep(0.001)
    end
    wait("hog")
    kept = nil
    for _ = 1, 20 do signalbox.sleep(string.rep("g", 8000000) and 0.01) end -- garbage is collected when there is more
    web:text("done")
end)
signalbox.route("POST", "/hi", function(web) web:text("hi") end)
signalbox.route("GET", "/huge/:size", function(web) web:text(huge:sub(1, tonumber(web.params.size))) end)
signalbox.route("GET", "/up", function(web) web:convert { name = web.query.name } end)
signalbox.route("GET", "/late", function(web)
    signalbox.sleep(0.5)
    web:convert { name = "Late" }
end)
signalbox.route("GET", "/gate", function(web) web:convert { name = "Gate" } end)
signalbox.signal_route("/gate", function() wait("gate") end)
