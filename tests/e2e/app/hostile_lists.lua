-- For test_hostile_lists.py: whoever asks gets the Name, the group and the id of its choice.

signalbox.endpoint { address = "127.0.0.1", port = 8092, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8092, protocol = "ws" }

signalbox.route("GET", "/up", function(web)
    web:convert { name = web.query.name, group = web.query.group, client_id = web.query.id }
end)
