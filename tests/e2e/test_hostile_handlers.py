"""Clients that make the app's handlers work: nobody else waits behind them, and nothing is lost."""
import pathlib

from harness import Cluster, eventually

APP = pathlib.Path(__file__).parent / "app" / "hostile_handlers.lua"
MESSAGES = 20


def test_a_client_that_uses_up_the_budget():
    """After three budgets its messages wait, and those that came later to others are handled first."""
    with Cluster(APP, gateways=1, broker_args=["--lua-budget-ms", "20"]) as cluster:
        attacker = cluster.client(0, "/up?id=attacker")
        other = cluster.client(0, "/up?id=other")

        def failed():
            return cluster.brokers[0].metrics()["signalbox_handler_errors_total"]
        for _ in range(MESSAGES):
            attacker.say("a" * 5000)
        attacker.say("!")
        eventually(lambda: failed() >= 1)
        other.say("!")
        assert other.recv(5) == "found"
        assert failed() < MESSAGES, "the attacker's last ones still wait"
        assert cluster.brokers[0].metrics()["signalbox_connections_slowed_total"] >= 1
        cluster.brokers[0].wait_log('slowed client="attacker" name="Room"')
        assert attacker.recv(30) == "found"
        assert failed() == MESSAGES
