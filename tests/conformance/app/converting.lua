-- HTTP routes: those that convert, and those that show what the conversion or the reference headers gave.

local function options(web)
    local q = web.query
    return { name = q.name, group = q.group, client_id = q.id, scope = q.scope, last = tonumber(q.last) }
end

local function shown(signal)
    if not signal then return "none" end
    return { name = signal.name, group = signal.group, client_id = signal.client_id,
             is_local = signal.is_local, is_global = signal.is_global }
end

-- Wait until the test says so: POST /adm/store_set { key }.
local function wait_for(key)
    while not signalbox.store.get(key) do signalbox.sleep(0.01) end
end

local function to_self(web, data)
    signalbox.send { name = web.signal.name, client_id = web.signal.client_id, data = data }
end

signalbox.route("GET", "/up", function(web) web:convert(options(web)) end)
signalbox.route("POST", "/up-post", function(web) web:convert(options(web)) end)
signalbox.route("GET", "/plain", function(web) web:text("plain") end)
signalbox.route("GET", "/tls", function(web) web:json(web.tls or signalbox.null) end)
signalbox.route("GET", "/headers", function(web) web:json(web.headers) end)
signalbox.route("GET", "/signal", function(web) web:json { signal = shown(web.signal) } end)

-- Any socket under /s/ : its path chooses the signal route, its Name is given by the query.
signalbox.route("GET", "/s/*", function(web)
    web:convert { name = web.query.name or "S", group = web.query.group, client_id = web.query.id }
end)

-- Several groups, with bars between, and data, which is JSON.
local function convert_with_details(web)
    local q, groups = web.query, {}
    for group in (q.groups or ""):gmatch("[^|]+") do groups[#groups + 1] = group end
    web:convert { name = q.name, group = groups, client_id = q.id, scope = q.scope,
                  data = q.data and signalbox.parse_json(q.data) }
    return web.signal
end
signalbox.route("GET", "/s/details", convert_with_details)
signalbox.route("GET", "/local/details", function(web)
    local signal = convert_with_details(web)
    signalbox.send { name = signal.name, data = { groups = signal.groups, data = signal.data } }
    wait_for(web.query.key)
end)
signalbox.route("GET", "/signal-details", function(web)
    local s = web.signal
    web:json { group = s.group, groups = s.groups, data = s.data }
end)

signalbox.route("GET", "/up-shown", function(web)
    local before = shown(web.signal)
    web:convert(options(web))
    to_self(web, { before = before, after = shown(web.signal) })
end)

signalbox.route("GET", "/up-cookie", function(web)
    web:header("Set-Cookie", "session=1; HttpOnly")
    web:header("X-Mine", "yes")
    web:convert(options(web))
end)

-- Names that will not do, and what a handler makes of the error.
signalbox.route("GET", "/up-caught", function(web)
    if not pcall(web.convert, web, options(web)) then web:text("taken", 409) end
end)
signalbox.route("GET", "/up-again", function(web)
    local ok, why = pcall(web.convert, web, options(web))
    if not ok then error("/up-again: " .. why) end
end)
signalbox.route("GET", "/up-bug", function(web)
    local ok = pcall(web.convert, web, options(web))
    if not ok then error("a mistake of the app's own") end
end)
signalbox.route("GET", "/up-nil", function(web) web:convert { group = web.query.name } end)

signalbox.route("GET", "/up-twice", function(web)
    web:convert(options(web))
    pcall(web.convert, web, { name = web.query.second })
    to_self(web, web.signal.name)
end)

signalbox.route("GET", "/up-throw", function(web)
    web:convert(options(web))
    error("thrown after the conversion")
end)

signalbox.route("GET", "/up-hold", function(web)
    web:convert(options(web))
    wait_for(web.query.key)
end)

signalbox.route("GET", "/up-number", function(web) web:convert { name = web.query.name, client_id = 12345 } end)

signalbox.route("GET", "/guarded", function(web)
    if web.headers.authorization ~= "Bearer open" then
        return web:respond { status = 401, headers = { ["WWW-Authenticate"] = "Bearer" }, body = "who are you?" }
    end
    web:convert(options(web))
end)

local last_web
signalbox.route("GET", "/keep-web", function(web)
    last_web = web
    web:text("kept")
end)
signalbox.route("GET", "/stale-convert", function(web)
    local ok, why = pcall(last_web.convert, last_web, { name = "Stale" })
    web:json { ok = ok, error = tostring(why) }
end)

-- An answer streamed over the socket that the request's headers refer to.
signalbox.route("POST", "/answer", function(web)
    to_self(web, web.body)
    web:text("streamed")
end)

-- Local connections: two messages, the second and the end when the test says so.
signalbox.route("GET", "/local/two", function(web)
    web:convert { name = web.query.name, group = web.query.group, client_id = web.query.id, scope = "local" }
    signalbox.send { name = web.query.name, data = "first" }
    wait_for(web.query.key)
    signalbox.send { name = web.query.name, data = "second" }
end)

signalbox.route("GET", "/local/other", function(web)
    web:convert { name = web.query.name, scope = "local" }
    signalbox.send { name = web.query.other, data = "to myself" }
end)

signalbox.route("GET", "/local/ignore", function(web)
    web:convert { name = web.query.name, scope = "local" }
    signalbox.send { name = web.query.name, data = "to the others", ignore_event = true }
    signalbox.send { name = web.query.name, data = "to myself" }
end)

signalbox.route("GET", "/local/nobody", function(web)
    web:convert { name = web.query.name, scope = "local" }
    for _, address in ipairs { { client_id = {} }, { group = { "" } }, { name = {} } } do
        address.data = "secret"
        signalbox.send(address)
    end
    signalbox.send { data = "direct", client_id = {}, mode = "direct" }
end)

signalbox.route("GET", "/local/throw", function(web)
    web:convert { name = web.query.name, scope = "local" }
    error("thrown in a local route")
end)

-- Handlers that misbehave, in a gateway.
signalbox.route("GET", "/bad/loop", function() while true do end end)
signalbox.route("GET", "/bad/alloc", function() local t = {} while true do t[#t + 1] = string.rep("x", 65536) .. #t end end)
signalbox.route("GET", "/bad/recurse", function()
    local function f() return 1 + f() end
    return f()
end)
signalbox.route("GET", "/bad/throw", function() error({ no = "text" }) end)

signalbox.route("*", "/echo", function(web) web:respond { body = web.body, headers = { ["X-Method"] = web.method } } end)
