-- For test_client_library.py: a Name that everybody may join and speak to, and paths that turn clients away.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }

signalbox.static("/", "public")

signalbox.route("GET", "/room", function(web) web:convert { name = "Room" } end)
signalbox.route("GET", "/last", function(web) web:convert { name = "Room", last = 10 } end)

signalbox.route("GET", "/token", function(web)
    if web.headers.authorization ~= "Bearer good" and web.query.access_token ~= "good" then
        return web:respond { status = 401, body = "who are you\n" }
    end
    web:convert { name = "Room" }
end)

signalbox.route("GET", "/forbidden", function(web) web:respond { status = 403, body = "not you\n" } end)
signalbox.route("GET", "/plain", function(web) web:text("no connection here\n") end)
