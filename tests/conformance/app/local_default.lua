-- As app.lua, with Local as the default scope.
signalbox.default_scope("local")
require "app"
