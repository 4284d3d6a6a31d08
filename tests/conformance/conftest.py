"""The clusters that the conformance tests share, each started when the first test asks for it, and their fixtures."""
import ssl

import pytest

from harness import Cluster, cluster as harness_cluster
from conformance_world import APP, G1, G2, Audit, Endpoints, Ticks, World, make_certificate


@pytest.fixture(scope="session")
def cluster():
    """Two gateways, one broker, the app of these tests."""
    with Cluster(APP / "app.lua") as running, Ticks(running) as running.ticks:
        yield running


@pytest.fixture(scope="session")
def ticks(cluster):
    return cluster.ticks


def a_world(cluster):
    world = World(cluster)
    yield world
    crashed = cluster.revive()
    world.leave()
    assert not crashed, "\n".join(crashed)


@pytest.fixture
def w(cluster):
    yield from a_world(cluster)


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
def signed(signing_cluster):
    yield from a_world(signing_cluster)


@pytest.fixture
def strict(strict_cluster):
    yield from a_world(strict_cluster)


@pytest.fixture
def small(small_cluster):
    yield from a_world(small_cluster)


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
