-- The smallest whole app: a page, its script, and one Name that everybody on the page listens to.
-- Run it with `./dev up`, open the page twice, and say something. Send "[date]" to be told the
-- time.

signalbox.endpoint { address = "localhost", port = 8091, protocol = "http" }
signalbox.endpoint { address = "localhost", port = 8091, protocol = "ws" }

-- The page and what it loads. Runs in the gateways.
signalbox.route("GET", "/", function(web)
  web:file("views/index.html")
end)

signalbox.static("/", "public")

-- The upgrade: from here on this request is a connection of the Name "Msg".
signalbox.route("GET", "/msg", function(web)
  web:convert { name = "Msg" }
end)

-- What a client says on /msg arrives here, in a broker, and goes out to every client of every
-- gateway.
signalbox.signal_route("/msg", function(event)
  local message = event.data.message

  if type(message) == "string" and message:lower() == "[date]" then
    message = os.date()
  end

  signalbox.send { name = "Msg", data = { message = message } }
end)
