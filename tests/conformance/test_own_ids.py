"""A client's message with an id of its own (decisions, section 4): handled and published once, answered as the first time."""
import pytest

from conformance_world import G1, G2, unique
from test_subprotocol import V1, v1


@pytest.fixture
def transport():
    """Over an event stream the way up is a POST, whose id is its Idempotency-Key: tests/e2e/test_event_streams.py."""
    return "ws"


def answer(client):
    """The next ack or error."""
    while (frame := client.recv_json())["type"] not in ("ack", "error"):
        pass
    return frame


def again(client, message="x", **fields):
    """The answers to the same message, said twice."""
    first, second = (client.say(message, **fields) or answer(client) for _ in range(2))
    return first, second


def test_once_and_the_same_ack(w, trigger):
    name = unique()
    a, reader = v1(w, trigger, name), w.up(1 - trigger, name)
    first, second = again(a, path=name, ref=1, id="a")
    assert first == second and first["type"] == "ack" and first["id"]
    third = a.say("other text", path=name, ref="r", id="b") or answer(a)
    assert third["ref"] == "r" and third["id"] != first["id"]
    assert w.seen(reader) == [["x", "other text"]]


def test_another_message_with_the_same_id(w, trigger):
    """It is refused, and changes nothing of what was answered."""
    name = unique()
    a, reader = v1(w, trigger, name), w.up(1 - trigger, name)
    a.say("x", path=name, ref=1, id="a")
    first = answer(a)
    for changed in {"message": "y"}, {"group": "g"}, {"direct": True}, {"path": unique()}:
        a.say(changed.pop("message", "x"), **{"path": name, **changed}, ref=2, id="a")
        refusal = answer(a)
        assert (refusal["code"], refusal["status"], refusal["ref"]) == ("conflict", 422, 2) and "retryMs" not in refusal
    a.say("x", path=name, ref=3, id="a")
    assert answer(a) == {**first, "ref": 3}
    assert w.seen(reader) == [["x"]]


def test_of_one_batch(w, trigger):
    """Said in one go, many times, among others: they are read together."""
    name = unique()
    a, reader = v1(w, trigger, name), w.up(1 - trigger, name)
    for number in range(30):
        a.say(f"m{number % 10}", path=name, ref=number, id=number % 10)
    acks = [answer(a) for _ in range(30)]
    assert [ack["ref"] for ack in acks] == list(range(30))
    assert [ack["id"] for ack in acks[10:20]] == [ack["id"] for ack in acks[20:]] == [ack["id"] for ack in acks[:10]]
    assert w.seen(reader) == [[f"m{number}" for number in range(10)]]


def test_after_a_reconnect_at_the_other_gateway(w, trigger):
    name, id = unique(), unique("me")
    reader = w.up(G1, name)
    a = v1(w, trigger, name, id=id)
    a.say("x", path=name, ref=1, id="a")
    first = answer(a)
    a.drop()
    b = v1(w, 1 - trigger, name, id=id)
    b.say("x", path=name, ref="other", id="a")
    assert answer(b) == {**first, "ref": "other"}
    assert w.seen(reader) == [["x"]]


def test_an_id_is_its_clients_and_its_names(w, trigger):
    name, other = unique(), unique()
    reader = w.up(G1, name)
    for number, a in enumerate((v1(w, trigger, name, id="a"), v1(w, trigger, name, id="b"), v1(w, trigger, other, id="a"))):
        a.say(str(number), path=name, ref=1, id="same")
        assert answer(a)["type"] == "ack"
    assert sorted(w.seen(reader)[0]) == ["0", "1", "2"]


def test_a_route_runs_once(w, trigger):
    name = unique()
    a = w.socket(trigger, "echo", name=name, headers=V1)
    text = '{"message":"x","ref":1,"id":"a"}'
    for _ in range(3):
        a.send_text(text)
    got = [a.recv_json() for _ in range(5)]  # hello, echo and ack, and the ack twice more
    assert [frame["type"] for frame in got].count("ack") == 3
    assert [frame["data"] for frame in got if frame["type"] == "message"] == [text]


def test_without_ref_it_is_still_once(w, trigger):
    name = unique()
    a, reader = v1(w, trigger, name), w.up(trigger, name)
    a.say("x", path=name, id="a")
    a.say("x", path=name, id="a")
    a.say("y", path=name, id="b", ref=1)
    assert answer(a)["ref"] == 1
    assert w.seen(reader) == [["x", "y"]]


@pytest.mark.parametrize("fields", [{"unknown": 1}, {"group": {}}])
def test_errors_are_answered_again(w, trigger, fields):
    first, second = again(v1(w, trigger, unique()), ref=1, id="a", **fields)
    assert first == second and (first["code"], first["status"]) == ("bad_request", 400)


def test_the_answer_of_a_failed_handler_comes_again(w, trigger):
    first, second = again(w.socket(trigger, "throw", headers=V1), "throw", ref=1, id="a")
    assert first == second and (first["code"], first["status"]) == ("handler", 500)


def test_a_level_that_refused_it_is_not_asked_again(w, trigger):
    a, reader = v1(w, trigger, unique()), w.up(G2, "Elsewhere")
    w.level("client_id", a.name)
    assert (a.say("x", path=a.name, ref=1, id="a") or answer(a))["status"] == 403
    w.level("name", a.name)
    assert (a.say("x", path=a.name, ref=2, id="a") or answer(a))["code"] == "level"
    assert (a.say("x", path=a.name, ref=3, id="b") or answer(a))["type"] == "ack"
    assert w.seen(reader) == [[]]


@pytest.mark.parametrize("id", ["", "x" * 129, True, [], "a\nb"])
def test_bad_ids(w, id):
    a, reader = v1(w, G1, unique()), w.up(G2, unique())
    a.say("x", path=reader.name, ref=1, id=id)
    error = answer(a)
    assert (error["code"], error["status"]) == ("bad_request", 400) and error["message"].startswith("id: ")
    assert w.seen(reader) == [[]]


def test_the_longest_id(w):
    a, reader = v1(w, G1, unique()), w.up(G2, unique())
    first, second = again(a, path=reader.name, ref=1, id="é" * 64)
    assert first == second and w.seen(reader) == [["x"]]


def test_plain_clients_have_no_such_key(w, trigger):
    """It is an unknown key there, and nothing is sent (D5)."""
    a, reader = w.up(trigger, unique()), w.up(trigger, unique())
    a.say("x", path=reader.name, id="a")
    assert w.seen(reader) == [[]]
