"""The clusters that the conformance tests share, each started when the first test asks for it, and their fixtures."""
import ssl

import pytest

from harness import Cluster, cluster as harness_cluster
from conformance_world import (APP, G1, G2, Audit, Endpoints, Ticks, World, make_certificate,
                               left_out)


@pytest.fixture(scope="session")
def cluster():
    """Two gateways, one broker, the app of these tests."""
    with Cluster(APP / "app.lua") as running, Ticks(running) as running.ticks:
        yield running


@pytest.fixture(scope="session")
def ticks(cluster):
    return cluster.ticks


def pytest_collection_modifyitems(config, items):
    without = {"sse": left_out("## Over event streams"), "channel": left_out("## Over channels")}
    out = [item for item in items if getattr(item, "callspec", None)
           and item.originalname in without.get(item.callspec.params.get("transport"), ())]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]


def a_world(cluster, transport="ws"):
    world = World(cluster, transport)
    yield world
    crashed = cluster.revive()
    world.leave()
    assert not crashed, "\n".join(crashed)


@pytest.fixture(params=["ws", "sse", "channel"])
def transport(request):
    """What carries the connections of the test."""
    return request.param


@pytest.fixture
def w(cluster, transport):
    yield from a_world(cluster, transport)


def world_of(app, **options):
    """A session cluster of another app or with other settings, started when the first test asks for it."""
    @pytest.fixture(scope="session")
    def shared():
        with Cluster(APP / app, **options) as running:
            yield running
    return shared


signing_cluster = world_of("signing.lua", env={"SECRET": "super-secret"})
strict_cluster = world_of("signing.lua", env={"SECRET": "super-secret", "STRICT": "1"})
small_cluster = world_of("app.lua", args=["--max-message-bytes", "32768"])
impatient_cluster = world_of("app.lua", gateways=1, gateway_args=["--ping-ms", "800", "--pong-timeout-ms", "800",
                                                                  "--head-timeout-ms", "800"])


@pytest.fixture
def signed(signing_cluster, transport):
    yield from a_world(signing_cluster, transport)


@pytest.fixture
def strict(strict_cluster, transport):
    yield from a_world(strict_cluster, transport)


@pytest.fixture
def small(small_cluster, transport):
    yield from a_world(small_cluster, transport)


@pytest.fixture
def impatient(impatient_cluster):
    yield from a_world(impatient_cluster)


@pytest.fixture(params=[G1, G2], ids=["G1", "G2"])
def trigger(request):
    """The gateway that the server call is made on, or that the sending client is connected to."""
    return request.param


# -- one port for each kind of endpoint

PORTS = ["MERGED", "HTTP", "WS", "AUTO", "HOST", "WSS"]


@pytest.fixture(scope="session")
def endpoints_cluster(tmp_path_factory):
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"), "dummy")
    ports = [{kind: harness_cluster.free_port() for kind in PORTS} for _ in range(3)]

    def environment(index):
        chosen = ports[2 if index is None else index]
        return {"CERTIFICATE": str(certificate), "KEY": str(key), "PASSWORD": "dummy",
                **{f"PORT_{kind}": str(port) for kind, port in chosen.items()}}

    with Cluster(APP / "endpoints.lua", listen=None, env=environment) as running:
        running.ports, running.tls = ports, ssl.create_default_context(cafile=str(certificate))
        yield running


@pytest.fixture
def endpoints(endpoints_cluster):
    world = Endpoints(endpoints_cluster, endpoints_cluster.ports, endpoints_cluster.tls)
    yield world
    world.leave()


@pytest.fixture
def audit(w):
    return Audit(w.up(G1, "Audit"))
