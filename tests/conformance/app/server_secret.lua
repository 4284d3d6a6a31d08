-- As app.lua, signed with the secret of the cluster; STRICT=1 binds the ids to address and user agent.
signalbox.signing { secret = signalbox.server_secret(), strict = os.getenv("STRICT") == "1" }
require "app"
