"""Clients that make the app's handlers work: nobody else waits behind them, and nothing is lost."""
import pathlib

import pytest

from harness import Cluster, RawWs, eventually

APP = pathlib.Path(__file__).parent / "app" / "hostile_handlers.lua"
MESSAGES = 20
MANY = 500


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


@pytest.fixture(scope="module")
def gateway():
    """Its handlers have 20 ms, and 100 ms a second for each address."""
    with Cluster(APP, gateways=1, gateway_args=["--lua-budget-ms", "20", "--max-handler-ms-per-second-per-address", "100"]) as cluster:
        yield cluster.gateways[0]


@pytest.mark.parametrize("number, path", [
    (1, "/find?text="), (2, "/later?text="), (3, "/local/Connect?id="), (4, "/local/Disconnect?id=")])
def test_an_address_whose_requests_use_up_the_budget(gateway, number, path):
    """Handlers of its requests, before and after a wait, or of its Local connections: it is refused after three seconds'
    worth of their work, and others are not."""
    offender, other = f"127.0.0.{number * 2}", f"127.0.0.{number * 2 + 1}"
    is_local = path.startswith("/local")
    text = "a" * (1000 if is_local else 5000)

    def status(source, path, handshake=False):
        with RawWs(("127.0.0.1", gateway.port), source=source) as raw:
            raw.request(path, handshake=handshake)
            return raw.read_head().status
    assert status(other, "/find?text=!") == 200
    assert any(status(offender, path + text, handshake=is_local) == 429 for _ in range(MANY))
    assert status(offender, "/files/hostile_handlers.lua") == 200, "what needs no handler is not refused"
    assert status(other, "/find?text=!") == 200
    assert gateway.metrics()["signalbox_refused_address_handlers_total"] >= 1
    gateway.wait_log(f"refused address={offender} limit=--max-handler-ms-per-second-per-address")
    eventually(lambda: status(offender, "/find?text=!") == 200, what="an address that may ask again")
