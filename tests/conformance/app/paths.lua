-- Guards over what lies below them: a static folder, a route with a placeholder, signal routes.

signalbox.static("/walled", "walled")
signalbox.route("*", "/walled/private/*", function(web) web:text("keep out", 401) end)
signalbox.static("/shut", "walled/folder")
signalbox.route("*", "/shut/*", function(web) web:text("keep out", 401) end)

local function say(text)
    return function(event) event.response:send(text .. " " .. event.path) end
end

signalbox.route("GET", "/halls/staff", function(web) web:text("keep out", 401) end)
signalbox.route("GET", "/halls/:hall", function(web)
    web:convert { name = web.query.name or "Halls", group = web.params.hall }
end)
signalbox.signal_route("/halls/staff", say("the staff's"))
signalbox.signal_route("/halls/*", say("a hall's"))

-- The same path, however the app or the client spells it.
local function show(web) web:json { path = web.path, params = web.params } end

signalbox.route("GET", "/café", show)
signalbox.route("GET", "/th%C3%A9", show)
signalbox.route("GET", "/shown/:one", show)
signalbox.route("GET", "/shown/:one/:two", show)
signalbox.route("GET", "/all/*", show)

-- A folder and a file by hand.
signalbox.route("GET", "/filed/*", function(web) web:file("walled/folder") end)
signalbox.route("POST", "/filed", function(web) web:file("walled/open.txt") end)
