"""What clients are promised, beside faults of every kind at random: each message that one says is published once, and each of its
Name comes to it once and in order. SIGNALBOX_PROMISES_SECONDS says for how long; ten minutes with SIGNALBOX_LONG."""
import json
import os
import pathlib

from fleet import Fleet
from harness import eventually
from load import NAMES
from promises import Program
from world import LONG

SECONDS = float(os.environ.get("SIGNALBOX_PROMISES_SECONDS") or (600 if LONG else 12))
PLAYERS = pathlib.Path(__file__).parent / "players"
RATE = 2  # messages that each client says a second


def clients(transport, query, count):
    """On different Names; each says something to its own and to one of another partition."""
    return [{"key": f"{transport}{at}", "transport": transport, "path": f"/n/{NAMES[at]}" + query.format(f"{transport}{at}"),
             "names": [NAMES[at], NAMES[(at + 3) % len(NAMES)]]} for at in range(count)]


def config_of(fleet, transports, queries={}, most_streams=len(NAMES), **more):
    all_clients = [one for kind in transports
                   for one in clients(kind, queries.get(kind, ""), most_streams if kind == "sse" else len(NAMES))]
    return {"port": fleet.balancer.port, "url": f"http://127.0.0.1:{fleet.balancer.port}", "rate": RATE, "clients": all_clients, **more}


def play(fleet, argv, config):
    return await_all(fleet, Program(argv, config, fleet.cluster.folder), config)


def await_all(fleet, player, config):
    """Everybody has been greeted."""
    fleet.players.append(player)
    opened = lambda: [client for client in player.book.clients.values() if client.opens > 0]
    eventually(lambda: len(opened()) == len(config["clients"]), 30, f"all open; {player.log()}")
    carried = [gateway.metrics() for gateway in fleet.cluster.gateways]
    for transport, gauge in ("sse", "signalbox_event_streams"), ("channel", "signalbox_channels"):
        meant = sum(client["transport"] == transport for client in config["clients"])
        assert sum(metrics[gauge] for metrics in carried) == meant, f"{transport} is not what carries {meant} clients"
    return player


def open_clients(fleet):
    """At the gateways, and in the registry."""
    metrics = [gateway.metrics() for gateway in fleet.cluster.gateways]
    gauges = ["signalbox_websockets", "signalbox_event_streams", "signalbox_channels"]
    return (sum(each[gauge] for each in metrics for gauge in gauges)
            + len(json.loads(fleet.cluster.cli("clients", "--json").stdout)))


def judge(fleet, player, counts):
    """Nobody says any more: what was promised was kept, and nothing is left when the player has ended."""
    fleet.settle()
    fleet.check()
    player.tell("end")
    eventually(lambda: player.is_over(), 20, f"the player ends by itself; {player.log()}")
    eventually(lambda: open_clients(fleet) == 0, 30, "no connection is left")
    book = player.book
    assert [one for one in book.said.values() if one.failure is not None] == [], "a message whose outcome nobody knows"
    print(counts, f"{len(book.said)} said, {sum(client.opens for client in book.clients.values())} connections, "
          f"{sum(len(client.seen) for client in book.clients.values())} received, {player.ended}")
    return player.ended


def test_python(seed):
    """The URLs of the WebSockets say who the client is; the event streams keep what a gateway made up by the tokens."""
    with Fleet(seed) as fleet:
        config = config_of(fleet, ["ws", "sse"], {"ws": "?client_id=own-{}"})
        player = play(fleet, ["/usr/bin/python3", PLAYERS / "player.py"], config)
        judge(fleet, player, fleet.befall(SECONDS))
