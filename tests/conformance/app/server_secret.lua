-- As app.lua, signed with the secret of the cluster.
signalbox.signing { secret = signalbox.server_secret() }
require "app"
