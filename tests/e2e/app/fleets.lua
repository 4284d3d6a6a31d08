-- For test_fleets.py: everything that lives in Redis, by one short name each.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }

signalbox.on("connect", "Msg", "count", function() signalbox.store.incr("connects") end)
signalbox.on("disconnect", "Msg", "count", function() signalbox.store.incr("disconnects") end)
signalbox.route("GET", "/up", function(web) web:convert { name = web.query.name, client_id = web.query.id } end)
signalbox.route("GET", "/secret", function(web) web:text(signalbox.server_secret()) end)
signalbox.route("GET", "/names", function(web) web:json { names = signalbox.names() } end)
signalbox.route("GET", "/store/:key", function(web) web:text(signalbox.store.get(web.params.key) or "") end)
signalbox.route("POST", "/store/:key", function(web) signalbox.store.set(web.params.key, web.body) web:text("set") end)
signalbox.route("POST", "/locked/:key", function(web)
    signalbox.lock(web.params.key, function()
        signalbox.send { name = "Locks", data = web.body }
        while signalbox.store.get("release") ~= "yes" do signalbox.sleep(0.02) end
    end)
    web:text("unlocked")
end)
signalbox.route("POST", "/send", function(web)
    signalbox.send { name = "Msg", data = web.body }
    web:text("sent")
end)
