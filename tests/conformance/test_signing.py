"""Signing: rows S141 to S156, and the vectors V1 to V10."""
import base64
import hashlib
import hmac
import re
import socket

import pytest

from harness import Client, Cluster, Refused, eventually, free_port
from conformance_world import APP, G1, G2, World, query, unique
from test_listening import start_error

UUID = "5d12f974-7b1a-4524-ab93-6afbf42c4ffa"
MOZILLA = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"

# name: (secret, user agent and address when strict, raw id, signature)
VECTORS = {
    "V1": ("super-secret", None, UUID, "8qHWZA7dMwgbAO0uW3pncXp8U6YpaOJBiaXpPFqdVlg="),
    "V2": ("Sup3rS3cr37!", None, "my-client-id", "dWeBSAxPRuhkQKBBIiLvAcRZ6vAZAI8G7+qcGvoOA+Q="),
    "V3": ("super-secret", None, "123456", "LRfqtigDk9NuvkwNN7CxGDhd1oxugnaM019TeEpqYMQ="),
    "V4": ("super-secret", None, "a.b.c", "tBB4oIVEdS4brO2pweVwWIqaVLmq6wZ4vrqEX2G66Fw="),
    "V5": ("sécret€", None, "clïent", "MmaRATGR2SGRXz4mERyNCJz0TI4Tfr5mqpkzlj1rIrs="),
    "V6": ("super-secret", (MOZILLA, "127.0.0.1"), UUID, "02fwhUCf4dFHXU7Q75D3wMsRwtUDZj3Qghl6Li1sm1c="),
    "V7": ("super-secret", ("", "127.0.0.1"), "my-client-id", "g+xJucfwhDoNuxzOUb9JirwnslHWDMxj8yhAVX5yKF4="),
    "V8": ("super-secret", ("curl/8.5.0", "::1"), "my-client-id", "hfjQCc1cINRs58Hkv/9iWrbOlkOrqH7Jt2pK6EMamug="),
    "V9": ("super-secret", ("curl/8.5.0", "::ffff:127.0.0.1"), "my-client-id",
           "WR/Z/g2JRRNUQIVqktKGS0zd8GMi/zud7/IVQjCWI3I="),
    "V10": ("super-secret", ("", ""), "my-client-id", "tunfLy/VtJtfFFxBGFhAeTX/0TVQK0DhVgemMszmIMQ="),
}
SECRET_KEY = "sb:{sb}:secret"
PLAIN = [name for name, (_, strict, _, _) in VECTORS.items() if strict is None]


def vector(name):
    secret, strict, raw, signature = VECTORS[name]
    return secret, strict, raw, f"s:{raw}.{signature}"


def signature_of(secret, raw):
    return base64.b64encode(hmac.new(secret.encode(), raw.encode(), hashlib.sha256).digest()).decode()


def reference(world, gateway, id, name, **headers):
    """GET /signal with the headers that refer to a connection."""
    fields = {"X-PODE-SIGNAL-CLIENT-ID": id.encode(), "X-PODE-SIGNAL-NAME": name, **headers}
    return world.cluster.http(gateway, "GET", "/signal", headers=fields)


@pytest.fixture
def with_secret(signed):
    """Change the secret in gateway 1; the secret of the app file is put back."""
    yield lambda secret, strict=False: signed.adm("signing", secret=secret, strict=strict)
    signed.adm("signing", secret="super-secret", strict=False)


def cli_options(secret, strict):
    options = ["--secret", secret]
    if strict:
        options += ["--strict", "--user-agent", strict[0], "--address", strict[1]]
    return options


def test_the_vectors_hold_by_an_independent_hmac():
    for name in VECTORS:
        secret, strict, raw, signed_id = vector(name)
        key = secret if strict is None else f"{secret};{strict[0]};{strict[1]}"
        assert signed_id == f"s:{raw}.{signature_of(key, raw)}", name


@pytest.mark.parametrize("name", VECTORS)
def test_S156_vectors_by_the_command_line(cluster, name):
    secret, strict, raw, signed_id = vector(name)
    options = cli_options(secret, strict)
    assert cluster.cli("sign", raw, *options).stdout.strip() == signed_id
    assert cluster.cli("verify", signed_id, *options).returncode == 0
    for forged in signed_id[:-2] + ("A=" if signed_id[-2] != "A" else "B="), raw:
        assert cluster.cli("verify", forged, *options, check=False).returncode == 1


@pytest.mark.parametrize("name", PLAIN)
def test_S156_vectors_in_lua(signed, with_secret, name):
    secret, _, raw, signed_id = vector(name)
    with_secret(secret)
    assert signed.adm("sign", id=raw) == signed_id
    assert signed.adm("verify", id=signed_id) is True
    assert signed.adm("is_signed", id=signed_id) is True


@pytest.mark.parametrize("name", PLAIN)
def test_S145_supplied_ids_are_signed(signed, with_secret, name):
    """S145, S147 with V4: the vectors in a real upgrade."""
    secret, _, raw, signed_id = vector(name)
    with_secret(secret)
    assert signed.up(G1, unique(), id=raw).id == signed_id


def test_S145_the_bound_counts_the_signature(signed, trigger):
    """An id that is given out can be given back, and be addressed."""
    a = signed.up(trigger, unique(), id="x" * 977)
    assert len(a.id) == 1024 and signed.up(trigger, unique(), id=a.id).id == a.id
    signed.send("to you", name=a.name, client_id=a.id)
    assert a.recv() == "to you"
    with pytest.raises(Refused) as refused:
        signed.up(trigger, unique(), id="x" * 978)
    assert refused.value.status == 400 and "1024 bytes with its signature" in refused.value.body.decode()
    assert "1024 bytes with its signature" in signed.refused("sign", id="x" * 978)


def test_V10_strict_outside_a_request(strict):
    _, _, raw, signed_id = vector("V10")
    assert strict.broker("sign", id=raw) == signed_id
    assert strict.broker("verify", id=signed_id) is True


def test_S141_ids_are_signed_from_then_on(signed, trigger):
    assert signed.up(trigger, unique()).id.startswith("s:")


@pytest.mark.parametrize("options", ['{ secret = "" }', "{ }", '{ secret = "  " }', "{ secret = 7 }"])
def test_S142_secret_is_mandatory(cluster, tmp_path, options):
    assert "secret" in start_error(cluster, f"signalbox.signing {options}", tmp_path).lower()


def test_S143_server_secret_is_one_for_the_cluster():
    """S143: an id signed on one gateway holds on the other; a new start of the whole cluster has a new secret.

    The secret lives as long as a process of the cluster does: without one it is gone within a minute. The test looks
    at that time and does what it would do.
    """
    with Cluster(APP / "server_secret.lua") as cluster:
        world = World(cluster)
        a = world.up(G1, unique(), id="me")
        assert reference(world, G2, a.id, a.name).status == 200
        secret = world.adm("server_secret")
        assert secret and secret == world.adm("server_secret", G2) == world.broker("server_secret")
        for daemon in cluster.daemons:
            daemon.term()
        for daemon in cluster.daemons:
            daemon.wait()
        assert cluster.redis.pttl(SECRET_KEY) <= 60000
        cluster.redis.delete(SECRET_KEY)
        for daemon in cluster.daemons:
            daemon.start()
        cluster.wait_ready()
        renewed = World(cluster)
        assert renewed.adm("server_secret") == renewed.adm("server_secret", G2) != secret
        assert renewed.up(G1, a.name, id="me").id != a.id
        world.leave(), renewed.leave()


def test_S144_default_ids_are_signed(signed, trigger):
    id = signed.up(trigger, unique()).id
    raw, signature = id[2:].rsplit(".", 1)
    assert re.match(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", raw)
    assert signature == signature_of("super-secret", raw)


def test_S146_structure(signed):
    """S146: also the form of the seed's own sample."""
    form = re.compile(r"^s:.+\.[A-Za-z0-9+/]{43}=$")
    assert form.match(signed.up(G1, unique()).id) and form.match(signed.up(G1, unique(), id="x").id)
    assert form.match("s:5d12f974-7b1a-4524-ab93-6afbf42c4ffa.uvG49LcojTMuJ0l4yzBzr6jCqEV8gGC/0YgsYU1QEuQ=")


def test_S147_the_last_dot_splits(signed):
    _, _, raw, signed_id = vector("V4")
    assert signed.up(G1, unique(), id=raw).id == signed_id
    assert signed.adm("verify", id=signed_id) is True


def test_S148_supplied_id_that_claims_a_signature(signed, trigger):
    """S148, D13: verified, and refused when it does not hold."""
    _, _, raw, signed_id = vector("V1")
    assert signed.up(trigger, unique(), id=signed_id).id == signed_id
    for forged in "s:evil.AAAA", "s:evil", "s:", signed_id.replace("8qHW", "8qHw"):
        with pytest.raises(Refused):
            signed.up(trigger, unique(), id=forged)


@pytest.mark.parametrize("name, agent", [("V6", MOZILLA), ("V7", None)])
def test_S149_strict_adds_user_agent_and_address(strict, trigger, name, agent):
    _, _, raw, signed_id = vector(name)
    assert strict.up(trigger, unique(), id=raw, headers={"User-Agent": agent}).id == signed_id


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_S149_strict_over_ipv6():
    """S149: vector V8."""
    _, (agent, address), raw, _ = VECTORS["V8"]
    port = free_port()
    with Cluster(APP / "signing.lua", gateways=1, env={"SECRET": "super-secret", "STRICT": "1"}, listen=None,
                 gateway_args=["--listen", f"http+ws://[{address}]:{port}"]):
        with Client((address, port), query("/up", name="Six", id=raw), {"User-Agent": agent}) as client:
            assert client.id == vector("V8")[3]


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_S149_strict_on_a_socket_for_both_families(tmp_path):
    """An IPv4 client is the same to a gateway at `*`, which sees it as ::ffff:127.0.0.1, and to one at 127.0.0.1."""
    ports = {"*": free_port(), "127.0.0.1": free_port()}
    listen = [f"http+ws://{address}:{port}" for address, port in ports.items()]
    with Cluster(APP / "signing.lua", gateways=1, env={"SECRET": "super-secret", "STRICT": "1"}, listen=None,
                 gateway_args=["--listen", listen[0], "--listen", listen[1], "--max-connections-per-address", "1"]) as cluster:
        cluster.gateways[0].port = ports["*"]
        for port in ports.values():
            with Client(("127.0.0.1", port), query("/up", name="Both", id="my-client-id")) as client:
                assert client.id == vector("V7")[3]
                with pytest.raises(Refused) as refused:
                    Client(("127.0.0.1", ports["127.0.0.1"]), query("/up", name="Both"))
                assert refused.value.status == 503, "both count as one address"
                with pytest.raises(Refused) as refused:
                    Client(("127.0.0.1", ports["*"]), query("/up", name="Both"))
                assert refused.value.status == 503
            eventually(lambda: cluster.gateways[0].metrics()["signalbox_connections"] == 0)
        with Client(("::1", ports["*"]), query("/up", name="Both", id="my-client-id"), {"User-Agent": "curl/8.5.0"}) as client:
            assert client.id == vector("V8")[3]


def test_S150_strict_without_user_agent(strict):
    _, _, raw, signed_id = vector("V7")
    a = strict.up(G1, unique(), id=raw)
    assert a.id == signed_id
    assert reference(strict, G2, a.id, a.name).status == 200


def test_S151_strict_reference_by_another_client(strict, trigger):
    a = strict.up(G1, unique(), headers={"User-Agent": MOZILLA})
    mine = {"User-Agent": MOZILLA}
    assert reference(strict, trigger, a.id, a.name, **mine).status == 200
    reply = reference(strict, trigger, a.id, a.name, **{"User-Agent": "curl/8.5.0"})
    assert reply.status == 400


def test_S152_secret_changed_later(signed, with_secret):
    """S152: old ids stay addresses; references by them no longer hold."""
    a = signed.up(G1, unique())
    with_secret("another")
    assert reference(signed, G1, a.id, a.name).status == 400
    signed.send("still reachable", name=a.name, client_id=a.id)
    assert a.recv() == "still reachable"


def test_S152_signing_disabled_later(signed, with_secret):
    a = signed.up(G1, unique())
    signed.adm("signing_off")
    assert signed.up(G1, unique(), id="plain").id == "plain"
    assert signed.adm("verify", id="plain") is False and signed.adm("verify", id=a.id) is False
    assert reference(signed, G1, a.id, a.name).status == 400, "nobody can tell any more whether it was signed"
    b = signed.up(G1, a.name, id="plain too")
    assert reference(signed, G2, b.id, b.name).status == 200
    signed.send("still reachable", name=a.name, client_id=a.id)
    assert a.recv() == "still reachable"


def test_S153_auto_upgraded_ids_are_never_signed(endpoints):
    auto, manual = endpoints.at("AUTO", "/messages"), endpoints.at("WS", query("/up", name=unique()))
    assert not auto.id.startswith("s:") and manual.id.startswith("s:")


def test_S154_the_signed_id_is_the_address(signed, trigger):
    a = signed.up(G1, unique(), id="raw")
    signed.send("raw", trigger, name=a.name, client_id="raw")
    signed.send("signed", trigger, name=a.name, client_id=a.id)
    assert signed.seen(a, gateway=trigger) == [["signed"]]


def test_S155_signatures_are_compared_exactly(signed, trigger):
    _, _, raw, signed_id = vector("V1")
    assert signed.adm("verify", trigger, id=signed_id) is True
    for forged in (signed_id.replace("8qHW", "8qHw"), signed_id[:-1], signed_id + "=", signed_id.replace("s:", "S:"),
                   signed_id.replace(raw, raw.upper()), signed_id[:-2] + "h="):
        assert signed.adm("verify", trigger, id=forged) is False
    a = signed.up(G1, unique(), id=raw)
    assert reference(signed, trigger, a.id.replace("8qHW", "8qHw"), a.name).status == 404


def test_S156_new_test_and_disable(w, signed):
    assert signed.adm("is_signed", id="plain") is False and signed.adm("is_signed", id="s:x.y") is True
    assert signed.adm("verify", id="plain") is False and signed.adm("verify", id="") is False



def test_S156_signing_off_proves_nothing(w):
    """A session that is built on sign and verify stays closed: no id holds, and none is given out as signed."""
    for id in "plain", "root", "s:x.y", "s:root." + signature_of("", "root"), "":
        assert w.adm("verify", id=id) is False and w.broker("verify", id=id) is False
    assert "signing is off" in w.refused("sign", id="ann")
    with pytest.raises(Refused) as refused:
        w.up(G1, unique(), id="s:root." + signature_of("", "root"))
    assert refused.value.status == 400


def test_strict_with_the_server_secret():
    """Ids are bound to who asked, with the secret that all processes share."""
    with Cluster(APP / "server_secret.lua", gateways=1, env={"STRICT": "1"}) as cluster:
        world = World(cluster)
        mine = {"User-Agent": MOZILLA}
        a = world.up(G1, unique(), id="me", headers=mine)
        key = f"{world.adm('server_secret')};{MOZILLA};127.0.0.1"
        assert a.id == f"s:me.{signature_of(key, 'me')}"
        assert reference(world, G1, a.id, a.name, **mine).status == 200
        assert reference(world, G1, a.id, a.name, **{"User-Agent": "curl/8.5.0"}).status == 400
        with pytest.raises(Refused) as refused:
            world.up(G1, a.name, id=a.id)
        assert refused.value.status == 400
        assert world.up(G1, a.name, id=a.id, headers=mine).id == a.id
        world.leave()


@pytest.mark.parametrize("use", ["signalbox.server_secret() .. 'x'", "tostring(signalbox.server_secret())",
                                 "'' .. signalbox.server_secret()", "signalbox.server_secret():len()"])
def test_the_server_secret_is_no_text_while_the_app_file_loads(cluster, tmp_path, use):
    """Nobody builds a key from a text that is the same everywhere."""
    error = start_error(cluster, f"signalbox.signing {{ secret = {use} }}", tmp_path)
    assert "server_secret() is not known while the app file is loaded" in error

