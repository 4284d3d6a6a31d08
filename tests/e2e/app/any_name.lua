-- For test_hostile_redis.py: a connection to any Name. The attacker sends more than it reads meanwhile.

signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.route("GET", "/up", function(web) web:convert { name = web.query.name } end)
signalbox.name("Attacker", { slow = "latest" })
