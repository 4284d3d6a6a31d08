module signalbox.example/room

go 1.19
