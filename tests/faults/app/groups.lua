-- Groups that change, and data: /c/:name converts with the groups and the data of its query, POST /do/:op makes a call,
-- and Audit hears of each Connect and Disconnect of the Name Rooms.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.name("Loose", { history = false, on_gap = "continue" })

signalbox.route("GET", "/c/:name", function(web)
    local groups = {}
    for group in (web.query.groups or ""):gmatch("[^|]+") do groups[#groups + 1] = group end
    web:convert { name = web.params.name, client_id = web.query.id, group = groups, data = { user = web.query.id } }
end)

local ops = { join = signalbox.join, leave = signalbox.leave, send = signalbox.send }
function ops.clients(args) return signalbox.clients(args) end
signalbox.route("POST", "/do/:op", function(web)
    web:json { result = ops[web.params.op](signalbox.parse_json(web.body)) }
end)

for _, kind in ipairs { "connect", "disconnect" } do
    signalbox.on(kind, "Rooms", "audit", function(event)
        local c = event.connection
        signalbox.send { name = "Audit", data = { type = event.type, id = c.client_id, groups = c.groups, data = c.data, cause = c.cause } }
    end)
end
