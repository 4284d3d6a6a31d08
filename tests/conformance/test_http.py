"""HTTP/1.1 where it is more than a request and an answer: chunked bodies (RFC 9112, 7.1), ranges."""
import http.client
import os
import random
import subprocess

import pytest

from harness import Cluster
from conformance_world import G1, unique

CHUNKED = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
PLAIN = b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n"
MAX_BODY = 1048576  # --max-body-bytes


def talk(w, *pieces):
    """Each piece is a segment of its own; everything that comes back until the end."""
    with w.cluster.raw(G1) as raw:
        for piece in pieces:
            raw.send_bytes(piece if isinstance(piece, bytes) else piece.encode())
        raw.half_close()
        return raw.read_to_end().decode()


def bodies(text):
    """(status, body) of each answer."""
    answers = []
    while text:
        head, _, text = text.partition("\r\n\r\n")
        length = next((int(line.split(": ")[1]) for line in head.split("\r\n") if line.startswith("Content-Length")), 0)
        answers.append((int(head.split(" ")[1]), text[:length]))
        text = text[length:]
    return answers


def test_clients_that_send_chunks(w, trigger):
    connection = http.client.HTTPConnection(*w.cluster.address(trigger), timeout=10)
    for _ in range(2):
        connection.request("POST", "/echo", iter([b"one ", b"", b"two ", b"x" * 100000]))
        assert connection.getresponse().read() == b"one two " + b"x" * 100000
    connection.close()
    url = "http://%s:%d/echo" % w.cluster.address(trigger)
    done = subprocess.run(["curl", "-s", "-T", "-", "-X", "PUT", "-H", "Expect: 100-continue", url], input=b"from curl",
                          capture_output=True, timeout=20)
    assert done.stdout == b"from curl"


def test_requests_behind_a_chunked_body(w):
    two = CHUNKED + "\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: gone\r\n\r\n"
    expected = [(200, "abcde"), (200, "plain"), (200, "abcde")]
    assert bodies(talk(w, two.encode() + PLAIN + two.encode())) == expected
    assert bodies(talk(w, *((two + PLAIN.decode() + two)[i:i + 7] for i in range(0, 2 * len(two) + len(PLAIN), 7)))) == expected


def test_expect_continue_with_chunks(w):
    with w.cluster.raw(G1) as raw:
        raw.send_bytes((CHUNKED + "Expect: 100-continue\r\n\r\n").encode())
        assert raw.read_head().status == 100
        raw.send_bytes(b"2\r\nhi\r\n0\r\n\r\n")
        assert raw.read_head().status == 200 and raw.read_body() == b"hi"


def test_a_chunked_body_has_the_bound_of_any_body(w):
    assert len(bodies(talk(w, CHUNKED + "\r\n%x\r\n%s\r\n0\r\n\r\n" % (MAX_BODY, "x" * MAX_BODY)))[0][1]) == MAX_BODY
    for too_much in "%x\r\n" % (MAX_BODY + 1), "%x\r\n%s\r\n1\r\n" % (MAX_BODY, "x" * MAX_BODY), "fffffffffffffff\r\n":
        assert bodies(talk(w, CHUNKED + "\r\n" + too_much))[0][0] == 413
    assert bodies(talk(w, CHUNKED + "\r\n1;" + "x" * 9000))[0][0] == 431


@pytest.mark.parametrize("fields, body, status", [
    ("Content-Length: 5\r\n", "0\r\n\r\n", 400), ("Content-Length: 0\r\n", "0\r\n\r\n", 400),
    ("Transfer-Encoding: identity\r\n", "0\r\n\r\n", 400), ("", "3\nabc\r\n0\r\n\r\n", 400), ("", "3\r\nabcd\r\n0\r\n\r\n", 400),
    ("", "-1\r\n\r\n", 400), ("", "0x3\r\nabc\r\n0\r\n\r\n", 400), ("", "3 \r\nabc\r\n0\r\n\r\n", 400), ("", "\r\n0\r\n\r\n", 400),
    ("", "3;a\nb\r\nabc\r\n0\r\n\r\n", 400), ("", "0\r\nbad trailer\r\n\r\n", 400),
])
def test_doubtful_framing_ends_the_connection(w, fields, body, status):
    """What another server may have read as a request of its own is not read at all."""
    answers = bodies(talk(w, (CHUNKED + fields + "\r\n" + body).encode() + PLAIN))
    assert [answer[0] for answer in answers] == [status]


@pytest.mark.parametrize("coding, status", [("gzip, chunked", 501), ("identity", 501), ("chunked, chunked", 501), ("", 501)])
def test_other_codings_are_501(w, coding, status):
    assert bodies(talk(w, f"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: {coding}\r\n\r\n".encode() + PLAIN))[0][0] == status
    assert bodies(talk(w, f"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + PLAIN))[0][0] == 400


def test_a_chunked_body_on_an_upgrade(w):
    """The body belongs to the request; frames begin behind it."""
    name = unique()
    with w.cluster.raw(G1) as raw:
        head = raw.request_text(f"/up?name={name}", {"Transfer-Encoding": "chunked"})
        raw.send_bytes(head.encode() + b"3\r\nabc\r\n0\r\n\r\n" + b"\x89\x80\0\0\0\0")
        assert raw.read_head().status == 101 and raw.read_frame().opcode == 10


# -- ranges of files (RFC 9110, 14)

SIZE = 300000


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A gateway with a file that is sent in several pieces, and its content."""
    folder = tmp_path_factory.mktemp("files")
    content = random.Random(1).randbytes(SIZE)
    (folder / "public").mkdir()
    (folder / "public" / "big.bin").write_bytes(content)
    (folder / "public" / "empty").write_bytes(b"")
    (folder / "app.lua").write_text('signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }\n'
                                    'signalbox.static("/", "public")\n'
                                    'signalbox.route("GET", "/gone", function(web) web:file("public/big.bin", 404) end)\n')
    for name in "big.bin", "empty":
        os.utime(folder / "public" / name, (1000000000, 1000000000))
    with Cluster(folder / "app.lua", gateways=1) as running:
        running.content = content
        yield running


@pytest.mark.parametrize("asked, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=1000-1999", 1000, 1999), ("bytes=70000-", 70000, SIZE - 1), ("bytes=-5", SIZE - 5, SIZE - 1),
    ("bytes=65535-131072", 65535, 131072), ("bytes=-999999999", 0, SIZE - 1), ("bytes=299999-999999", SIZE - 1, SIZE - 1)])
def test_a_range(files, asked, first, last):
    reply = files.http(0, "GET", "/big.bin", headers={"Range": asked})
    assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes {first}-{last}/{SIZE}")
    assert reply.body == files.content[first:last + 1] and reply.headers["ETag"] and reply.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("asked", ["bytes=300000-", "bytes=-0", "bytes=99999999999999999999-"])
def test_a_range_that_is_not_in_the_file(files, asked):
    reply = files.http(0, "GET", "/big.bin", headers={"Range": asked})
    assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
    assert files.http(0, "GET", "/empty", headers={"Range": "bytes=0-"}).status == 416


@pytest.mark.parametrize("path, method, headers, status", [
    ("/big.bin", "GET", {"Range": "bytes=0-1,5-6"}, 200), ("/big.bin", "GET", {"Range": "lines=1-2"}, 200),
    ("/big.bin", "GET", {"Range": "bytes=5-1"}, 200), ("/big.bin", "HEAD", {"Range": "bytes=0-1"}, 200),
    ("/gone", "GET", {"Range": "bytes=0-1"}, 404), ("/empty", "GET", {"Range": "bytes=-1"}, 200)])
def test_a_range_that_is_passed_over(files, path, method, headers, status):
    reply = files.http(0, method, path, headers=headers)
    size = 0 if path == "/empty" else SIZE
    assert (reply.status, reply.headers["Content-Length"], len(reply.body)) == (status, str(size), 0 if method == "HEAD" else size)
    assert reply.headers["Content-Range"] is None and reply.headers["Accept-Ranges"] == "bytes"


def test_if_range(files):
    """The part only when it belongs to the file that the client has; what is current comes first."""
    plain = files.http(0, "HEAD", "/big.bin")
    etag, modified = plain.headers["ETag"], plain.headers["Last-Modified"]
    for condition, status in (etag, 206), (modified, 206), ('"other"', 200), ("W/" + etag, 200), ("Thu, 01 Jan 1970 00:00:00 GMT", 200):
        assert files.http(0, "GET", "/big.bin", headers={"Range": "bytes=1-2", "If-Range": condition}).status == status
    assert files.http(0, "GET", "/big.bin", headers={"Range": "bytes=1-2", "If-None-Match": etag}).status == 304


def test_a_download_is_resumed_by_curl(files, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(files.content[:123456])
    url = f"http://127.0.0.1:{files.gateways[0].port}/big.bin"
    subprocess.run(["curl", "-sf", "-C", "-", "-o", part, url], check=True, timeout=20)
    assert part.read_bytes() == files.content
