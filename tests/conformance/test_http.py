"""HTTP/1.1 where it is more than a request and an answer: chunked bodies (RFC 9112, 7.1)."""
import http.client
import subprocess

import pytest

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
