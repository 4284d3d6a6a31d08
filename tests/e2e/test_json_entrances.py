"""Every entrance reads JSON alike, and as Python's json does: what one refuses all refuse, what goes out means the same."""
import json
import pathlib

import pytest

from harness import Cluster, eventually

APP = pathlib.Path(__file__).parent / "app" / "json.lua"

# Values, as the bytes that stand for them.
GOOD = [b"0", b"-0", b"1E+2", b"0.10", b"123456789012345678901234567890", b"1e-400", b"-1.5e-7", b"true", b"false", b'[null]', b"[ ]",
        b'[1 ,\t2\r\n]', b'{"a":{"b":[{}]}}', b'{"a":1,"b":2,"a":3}', b'["\\u0000","\\u001f"]', b'["\\ud83d\\ude00"]', b'["\\ud83d"]',
        b'["\\ude00\\ud83d"]', b'["\\"\\\\\\/\\b\\f\\n\\r\\t"]', '["\u00e9\u65e5\U0001f600\x7f"]'.encode(), b'{"":""}', b'{"\\u0061":1}', b"[" * 90 + b"]" * 90,
        b'{"message":12}', b"[1e400]", b"[" + b"9" * 4000 + b"]", b'"text"', b'"\\u00e9"', b'{ }', b'[""]']
BAD = [b"12\0", b"\0", b"1\0 ", b"[1\0]", b'"a\0b"', b"01", b"+1", b"-", b".5", b"1.", b"1e", b"1e+", b"0x10", b"- 1", b"1 2", b"NaN", b"Infinity",
       b"-Infinity", b"nul", b"nulll", b"True", b"'a'", b'"a', b'"\\x41"', b'"\\u12"', b'"\\uD83G"', b'"\n"', b'"\t"', b'"\x1f"', b"[", b"]",
       b"[1,]", b"[,1]", b"[1 2]", b"[1,,2]", b"{", b"{]", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{a:1}', b'{1:1}', b"{'a':1}", b'{"a" 1}', b'{"a":1 "b":2}',
       b"// x\n1", b"/* */1", b"1//", b"\xef\xbb\xbf1", b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b"\x0b1", b"\x0c1", b"\xc2\xa01",
       b"\xe2\x80\xa81", b"", b"1}", b'1,"x":2}{', b"undefined", b"1#", b'"\\', b'"\\u', b'\\"a"', b'"a"b']


def strict(text):
    def refuse(word):
        raise ValueError(word)
    return json.loads(text, parse_constant=refuse)


def is_refused_by_python(body):
    try:
        strict(body.decode())
    except (ValueError, UnicodeDecodeError):
        return True
    return False


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=1) as running:
        yield running


@pytest.fixture
def reader(cluster):
    with cluster.client(0, "/plain?name=N") as client:
        yield client


def frame(cluster, value, path="/plain?name=Sender"):
    with cluster.client(0, path) as sender:
        sender.send_frame(2, b'{"path":"N","message":' + value + b"}")
        sender.say("handled", direct=True)
        sender.until("handled")


def post(cluster, value):
    return cluster.gateways[0].admin("POST", "/send", b'{"name":"N","data":' + value + b"}").status


def publish(cluster, value):
    cluster.redis.publish("signalbox:send", b'{"name":"N","data":' + value + b"}")


def add(cluster, value):
    cluster.redis.xadd("signalbox:send", {"m": b'{"name":"N","data":' + value + b"}"})


ENTRANCES = {"frame": frame, "POST": post, "PUBLISH": publish, "XADD": add}


def mark(cluster, number):
    """Behind whatever was accepted before, at every entrance."""
    for entrance in post, publish, add:
        entrance(cluster, b'"mark%d"' % number)


def until_marks(reader, number):
    before = [message for _ in range(3) for message in reader.until(f"mark{number}")]
    return before


def test_the_tables_are_python_s():
    assert [value for value in GOOD if is_refused_by_python(b'{"a":' + value + b"}")] == []
    assert [value for value in BAD if not is_refused_by_python(b'{"a":' + value + b"}")] == []


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_what_is_json_arrives_and_means_the_same(cluster, reader, entrance):
    for value in GOOD:
        if value in (b"{ }", b"[ ]"):
            continue  # empty, which is not sent
        ENTRANCES[entrance](cluster, value)
        wanted = strict(value.decode())
        arrived = reader.recv()
        assert (arrived if isinstance(wanted, str) else repr(strict(arrived))) == \
            (wanted if isinstance(wanted, str) else repr(wanted)), value


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_what_is_no_json_reaches_nobody(cluster, reader, entrance):
    number = list(ENTRANCES).index(entrance)
    for value in BAD:
        status = ENTRANCES[entrance](cluster, value)
        assert status in (None, 400), value
    mark(cluster, number)
    assert until_marks(reader, number) == []


def test_a_handler_reads_it_alike(cluster):
    for value in GOOD:
        reply = cluster.http(0, "POST", "/parse", b'{"a":' + value + b"}")
        assert reply.status == 200 and strict(reply.text) == strict(b'{"a":' + value + b"}"), value
    for value in BAD:
        assert cluster.http(0, "POST", "/parse", b'{"a":' + value + b"}").status == 400, value


@pytest.mark.parametrize("path", ["/send", "/close"])
def test_bodies_of_the_http_api(cluster, path):
    for body in b"{\n}", b'{"name":\n"nobody"}', b'\xef\xbb\xbf{"name":"nobody"}', b' {"n\\u0061me":"nobody"} ':
        reply = cluster.gateways[0].admin("POST", path, body)
        assert b"no JSON" not in reply.body and reply.status in (202, 400), (body, reply.text)
    for body in b'{"name":"x"}\0', b'{"name":"x"} x', b'{"name":"x",}', b'{"name":"x"', b'{"code":1000\0,"name":"x"}', b'\0{}':
        reply = cluster.gateways[0].admin("POST", path, body)
        assert reply.status == 400 and "no JSON" in reply.text, (body, reply.text)
    for body in b'{"name":"x","n\\u0061me":"y"}', b'{"name":"x","NAME":"y"}':
        reply = cluster.gateways[0].admin("POST", path, body)
        assert reply.status == 400 and "twice" in reply.text


def test_keys_with_escapes_and_without_end(cluster, reader):
    """What costs nothing to write must not cost much to read: the next message comes at once, and it is the right one."""
    many = ",".join('"\\u006d%d":0' % i for i in range(100_000)).encode()
    long = b'"' + b"\\u006d" * 100_000 + b'":0'
    for keys in many, long, b'"\\u006dessage\\u0000":1':
        assert post(cluster, b'"x",' + keys) == 400
        with cluster.client(0, "/plain?name=Sender") as sender:
            sender.send_text(b'{"message":"x","path":"N",' + keys + b"}")
            sender.say("handled", direct=True)
            sender.until("handled")
    eventually(lambda: post(cluster, b'"mark9"') == 202)
    assert reader.until("mark9") == []
