-- Events and the schedule tell the Name Audit what they saw.

local function audit(event)
    local c = event.connection
    event.metadata.mine = "writable"
    signalbox.send { name = "Audit", data = {
        type = event.type, name = event.name, timestamp = event.timestamp, metadata = event.metadata,
        has_lockable = event.lockable ~= nil, id = c.client_id,
        connection = { name = c.name, group = c.group, client_id = c.client_id, scope = c.scope, connected_at = c.connected_at,
                       gateway = c.gateway, close_code = c.close_code, close_reason = c.close_reason, cause = c.cause },
    } }
end

for _, kind in ipairs { "connect", "disconnect" } do
    signalbox.on(kind, { "Ev", "Ev2" }, "audit", audit)
end

for _, kind in ipairs { "connect", "disconnect" } do
    signalbox.on(kind, "Presence", "presence", function(event)
        local c = event.connection
        signalbox.send { name = "Audit", data = { type = event.type, id = c.client_id, group = c.group, groups = c.groups, data = c.data } }
    end)
end

-- In registration order, and an error in one stops no other.
local function step(text)
    return function(event)
        signalbox.send { name = "Audit", data = { type = text, id = event.connection.client_id } }
        if text == "first" then error("thrown in an event handler") end
    end
end
signalbox.on("connect", "Chain", "first", step("first"))
signalbox.on("connect", "Chain", "second", step("second"))
signalbox.on("connect", "Chain", "third", step("third"))

-- Every minute: a tick for the Name Tick, and what a handler without a current connection may not do.
signalbox.schedule("Tick", "* * * * *", function()
    local ok, why = pcall(signalbox.send, { data = "to nobody", mode = "direct" })
    signalbox.send { name = "Tick", data = {
        minute = os.date("%H:%M"), count = signalbox.store.incr("ticks"), direct = ok, why = tostring(why) } }
end)
