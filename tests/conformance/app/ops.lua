-- Every server-side call as an operation with named arguments, so that a test can make it in any process:
-- POST /adm/:op runs it in that gateway (an error is a 500), POST /try/:op reports an error as JSON,
-- and a message { op, args, ref } on a socket of /s/adm runs it in a broker.

local M = {}
local ops = {}

local function audit(event)
    signalbox.send { name = "Audit", data = { type = event.type, name = event.name, id = event.connection.client_id } }
end

function ops.send(args) signalbox.send(args) end
function ops.close(args) signalbox.close(args) end
function ops.join(args) signalbox.join(args) end
function ops.leave(args) signalbox.leave(args) end
-- Many changes and sends, one behind the other.
function ops.in_and_out(args)
    for i = 1, args.count do
        signalbox.join { name = args.name, client_id = args.id, group = "odd" }
        signalbox.send { name = args.name, group = "odd", data = "in " .. i }
        signalbox.leave { name = args.name, client_id = args.id, group = "odd" }
        signalbox.send { name = args.name, group = "odd", data = "out " .. i }
    end
end
function ops.after_a_wait(args)
    signalbox.sleep(args.seconds)
    return ops[args.call](args.args)
end
function ops.names() return signalbox.names() end
function ops.groups(args) return signalbox.groups(args.name) end
function ops.clients(args) return signalbox.clients(args) end
function ops.exists(args) return signalbox.exists(args) end

function ops.send_many(args)
    for i = 1, args.count do
        signalbox.send { name = args.name, data = string.format(args.format or "%05d", i) }
    end
end

function ops.send_nested(args)
    local value = "leaf"
    for _ = 1, args.levels do value = { n = value } end
    signalbox.send { name = args.name, data = value, depth = args.depth }
end

function ops.set_level(args)
    if args.name then signalbox.broadcast_level(args.name, args.level) else signalbox.broadcast_level(args.level) end
end
function ops.get_level(args) return signalbox.broadcast_level(args.name) end
function ops.allows(args) return signalbox.allows(args) end

function ops.sign(args) return signalbox.sign(args.id) end
function ops.verify(args) return signalbox.verify(args.id) end
function ops.is_signed(args) return signalbox.is_signed(args.id) end
function ops.signing(args) signalbox.signing { secret = args.secret, strict = args.strict } end
function ops.signing_off() signalbox.signing(false) end
function ops.server_secret() return signalbox.server_secret() end

function ops.set_default_scope(args) signalbox.default_scope(args.scope) end
function ops.get_default_scope() return signalbox.default_scope() end

function ops.store_set(args) signalbox.store.set(args.key, args.value, args.ttl) end
function ops.store_get(args) return signalbox.store.get(args.key) end
function ops.store_incr(args) return signalbox.store.incr(args.key) end
function ops.store_delete(args) signalbox.store.delete(args.key) end

-- Reads, waits and writes: loses updates unless the lock holds over all processes.
function ops.locked_increment(args)
    for _ = 1, args.times do
        signalbox.lock(args.key, function()
            local value = tonumber(signalbox.store.get(args.key) or "0")
            signalbox.sleep(0.002)
            signalbox.store.set(args.key, tostring(value + 1))
        end)
    end
end

function ops.on(args) signalbox.on(args.type, args.name, args.event_name, audit) end
function ops.off(args) signalbox.off(args.type, args.name, args.event_name) end
function ops.event_test(args) return signalbox.signal_event_test(args.type, args.name, args.event_name) end

function ops.route_add(args)
    local answer = args.answer
    signalbox.signal_route(args.path, function(event) event.response:send(answer) end, { if_exists = args.if_exists })
end
function ops.route_remove(args) signalbox.signal_route_remove(args.path) end
function ops.route_test(args) return signalbox.signal_route_test(args.path) end
function ops.route_get(args)
    local paths = {}
    for i, route in ipairs(signalbox.signal_route_get(args.path)) do paths[i] = route.path end
    return paths
end

-- What a handler must not have.
function ops.sandbox()
    return { io = type(io), debug = type(debug), execute = type(os.execute), exit = type(os.exit), remove = type(os.remove),
             rename = type(os.rename), tmpname = type(os.tmpname), dofile = type(dofile), loadfile = type(loadfile),
             loadlib = type(package and package.loadlib), dump = type(string.dump),
             bytecode = tostring(load("\27Lua", "x", "b")), date = type(os.date), getenv = type(os.getenv) }
end
function ops.require_outside() return require "/etc/passwd" end
function ops.require_above() return require "..conftest" end

function M.run(name, args)
    local op = ops[name] or error("no such op: " .. tostring(name))
    return op(args)
end

function M.try(name, args)
    local ok, result = pcall(M.run, name, args)
    if ok then return { ok = true, result = result } end
    return { ok = false, error = tostring(result) }
end

signalbox.route("POST", "/adm/:op", function(web)
    web:json { result = M.run(web.params.op, signalbox.parse_json(web.body)) }
end)

signalbox.route("POST", "/try/:op", function(web)
    web:json(M.try(web.params.op, signalbox.parse_json(web.body)))
end)

signalbox.signal_route("/s/adm", function(event)
    local call = signalbox.parse_json(event.request.body)
    local answer = M.try(call.op, call.args)
    answer.ref = call.ref
    event.response:send(signalbox.json(answer))
end)

return M
