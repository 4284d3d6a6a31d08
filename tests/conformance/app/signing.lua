-- As app.lua, with signed client ids; STRICT=1 binds them to address and user agent.
signalbox.signing { secret = os.getenv("SECRET"), strict = os.getenv("STRICT") == "1" }
require "app"
