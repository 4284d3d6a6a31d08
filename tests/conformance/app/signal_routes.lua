-- Signal routes, each one property of routing or of the event. They run in a broker.

local function say(text)
    return function(event) event.response:send(text) end
end

signalbox.signal_route("/s/echo", function(event) event.response:send(event.request.body, event.request.opcode) end)
signalbox.signal_route("/s/silent", function() end)
signalbox.signal_route("/s/throw", function(event)
    if event.data.message == "throw" then error("thrown in a signal route") end
    event.response:send("fine")
end)

-- Sending from a route.
signalbox.signal_route("/s/inherit", function(event) signalbox.send { data = event.data.message } end)
signalbox.signal_route("/s/direct", function(event) signalbox.send { data = event.data.message, mode = "direct" } end)
signalbox.signal_route("/s/broadcast", function(event) signalbox.send { data = event.data.message, mode = "broadcast" } end)
signalbox.signal_route("/s/ignore", function(event) signalbox.send { data = event.data.message, ignore_event = true } end)
signalbox.signal_route("/s/to-name", function(event) signalbox.send { name = event.name, data = event.data.message } end)

-- Matching.
signalbox.signal_route("/s/Date", function(event)
    local message = event.data.message
    if message:lower() == "[date]" then message = os.date("%d/%m/%Y %H:%M:%S") end
    signalbox.send { name = event.name, data = message }
end)
signalbox.signal_route("s/noslash", say("noslash"))
signalbox.signal_route("/s/room/*", say("any room"))
signalbox.signal_route("/s/room/1", say("room 1"))
signalbox.signal_route("/s/r/:id", say("literal"))
signalbox.signal_route("/Msg", say("the Name is not the path"))
signalbox.signal_route("/s/args", function(event, first, second)
    event.response:send(first .. "," .. second)
end, { args = { "one", "two" } })

-- Registered twice.
signalbox.signal_route("/s/overwrite", say("old"))
signalbox.signal_route("/s/overwrite", say("new"), { if_exists = "overwrite" })
signalbox.signal_route("/s/skip", say("old"))
signalbox.signal_route("/s/skip", say("new"), { if_exists = "skip" })

signalbox.signal_route_group("/s/group", {}, function(group)
    group.signal_route("/m1", say("m1"))
    group.signal_route_group("/deep", {}, function(deep)
        deep.signal_route("/m2", say("m2"))
    end)
end)

-- The whole event.
local function dump(event)
    local data, request, endpoint = event.data, event.request, event.endpoint
    event.metadata.mine = "writable"
    event.response:send(signalbox.json {
        data = { message = data.message, path = data.path, group = data.group, client_id = data.client_id, direct = data.direct },
        endpoint = { address = endpoint.address, protocol = endpoint.protocol, name = endpoint.name },
        path = event.path,
        request = { url = request.url, host = request.headers.host, remote_address = request.remote_address,
                    body = request.body, opcode = request.opcode },
        route = { path = event.route.path },
        streamed = event.streamed,
        timestamp = event.timestamp,
        client_id = event.client_id,
        name = event.name,
        group = event.group,
        has_lockable = event.lockable ~= nil,
        metadata = event.metadata,
    })
end
signalbox.signal_route("/s/dump", dump)
signalbox.signal_route("/s/headers", function(event)
    event.response:send(signalbox.json { headers = event.request.headers, url = event.request.url })
end)
signalbox.signal_route("/s/details", function(event)
    local c = event.connection
    event.response:send(signalbox.json { group = event.group, groups = event.groups, data = event.data.message,
        connection = { name = c.name, client_id = c.client_id, group = c.group, groups = c.groups, data = c.data, scope = c.scope } })
end)
signalbox.signal_route("/s/a b", dump)

signalbox.signal_route("/s/close", function(event)
    event.response:close(event.data.message.code, event.data.message.reason)
end)

signalbox.signal_route("/s/locked", function(event)
    signalbox.lock(event.lockable, function()
        local value = tonumber(signalbox.store.get("locked") or "0")
        signalbox.sleep(0.002)
        signalbox.store.set("locked", tostring(value + 1))
    end)
    event.response:send("done")
end)

-- Handlers that misbehave, in a broker.
signalbox.signal_route("/s/bad/loop", function() while true do end end)
signalbox.signal_route("/s/bad/alloc", function()
    local t = {}
    while true do t[#t + 1] = string.rep("x", 65536) .. #t end
end)
signalbox.signal_route("/s/bad/recurse", function()
    local function f() return 1 + f() end
    return f()
end)
signalbox.signal_route("/s/bad/throw", function() error({ no = "text" }) end)
signalbox.signal_route("/s/bad/catch", function() while true do pcall(function() while true do end end) end end)
signalbox.signal_route("/s/bad/yield", function() for _ = 1, 1000000 do signalbox.sleep(0) end end)
signalbox.signal_route("/s/bad/match", function() return string.find(string.rep("a", 100000), string.rep("a*", 200) .. "b") end)
