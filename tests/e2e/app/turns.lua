-- For test_turns.py: handlers that wait, and write down in which order they began and ended.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.name("Watch", { slow = "close" })

local function up(web)
    web:convert { name = web.query.name, client_id = web.query.id, scope = web.query.scope }
    if web.query.scope == "local" then signalbox.sleep(0.05) end
end

signalbox.route("GET", "/plain", up)
signalbox.route("GET", "/slow", up)
signalbox.route("GET", "/up", up)

local function note(id, text)
    signalbox.send { name = "Watch", data = id .. " " .. text }
end

local function wait(gate)
    while not signalbox.store.get("open:" .. gate) do signalbox.sleep(0.02) end
end

-- a message: {"say": text, "wait": seconds, "gate": wait until it is opened, "store": wait for Redis, "answer": tell the sender}
signalbox.signal_route("/slow", function(event)
    local m = event.data.message
    note(event.client_id, "begin " .. m.say)
    if m.store then signalbox.store.incr("turns") end
    if m.wait > 0 then signalbox.sleep(m.wait) end
    if m.gate then wait(m.gate) end
    if m.answer then event.response:send("answer to " .. m.say) end
    note(event.client_id, "end " .. m.say)
end)

for _, type in ipairs { "connect", "disconnect" } do
    for _, handler in ipairs { "first", "second", "third" } do
        signalbox.on(type, "Ev", handler, function(event)
            local id = event.connection.client_id
            note(id, "begin " .. type .. " " .. handler)
            if handler ~= "second" then signalbox.sleep(0.05) end
            note(id, "end " .. type .. " " .. handler)
        end)
    end
end

-- Who is there, kept by hand: a Connect takes longer than a Disconnect.
signalbox.on("connect", "Presence", "in", function(event)
    local id = event.connection.client_id
    signalbox.sleep(0.1)
    signalbox.store.set("online:" .. id, "yes")
    note(id, "in")
end)
signalbox.on("disconnect", "Presence", "out", function(event)
    local id = event.connection.client_id
    signalbox.store.delete("online:" .. id)
    note(id, "out")
end)
signalbox.route("GET", "/online", function(web)
    web:text(signalbox.store.get("online:" .. web.query.id) or "no")
end)
signalbox.route("GET", "/who", function(web)
    web:json { names = signalbox.names(), here = signalbox.exists { client_id = "nobody" } }
end)
