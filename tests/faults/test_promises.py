"""What clients are promised, beside faults of every kind at random: each message that one says is published once, and each of its
Name comes to it once and in order. SIGNALBOX_PROMISES_SECONDS says for how long; ten minutes with SIGNALBOX_LONG."""
import os
import pathlib

import pytest

from fleet import Fleet
from harness import eventually
from load import NAMES
from promises import Player
from world import LONG

SECONDS = float(os.environ.get("SIGNALBOX_PROMISES_SECONDS") or (600 if LONG else 12))
PLAYERS = pathlib.Path(__file__).parent / "players"
EACH, RATE = len(NAMES), 3  # clients of a kind, messages that each says a second


def clients(transport, query=""):
    """On different Names; each says something to its own and to one of another partition."""
    return [{"key": f"{transport}{at}", "transport": transport, "path": f"/n/{NAMES[at]}" + query.format(f"{transport}{at}"),
             "names": [NAMES[at], NAMES[(at + 3) % EACH]]} for at in range(EACH)]


def play(fleet, argv, transports, query=""):
    config = {"port": fleet.balancer.port, "rate": RATE, "clients": [one for kind in transports for one in clients(kind, query)]}
    player = Player(argv, config, fleet.cluster.folder, "player")
    fleet.players.append(player)
    count = len(config["clients"])
    eventually(lambda: sum(client.opens > 0 for client in player.book.clients.values()) == count, 30, f"all open; {player.log()}")
    return player


def open_clients(fleet):
    return sum(gateway.metrics()["signalbox_connections"] for gateway in fleet.cluster.gateways)


def test_python(seed):
    with Fleet(seed) as fleet:
        player = play(fleet, ["/usr/bin/python3", PLAYERS / "player.py"], ["ws", "sse"], "?client_id=own-{}")
        counts = fleet.befall(SECONDS)
        fleet.settle()
        fleet.check()
        player.tell("end")
        eventually(lambda: player.popen.poll() == 0, 10, "the player ends by itself")
        eventually(lambda: open_clients(fleet) == 0, 30, "no connection is left")
        said = player.book.said.values()
        print(counts, f"{len(said)} said, {sum(client.opens for client in player.book.clients.values())} connections, "
              f"{sum(len(client.seen) for client in player.book.clients.values())} received")
