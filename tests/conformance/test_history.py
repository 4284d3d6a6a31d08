"""History on connecting: `web:convert { last = n }` (app-file.md), for plain clients and those of signalbox.v1."""
import pytest

from conformance_world import G1, G2, unique
from test_subprotocol import messages, v1


def joined(w, name, count):
    """A Name with a client, and so many messages."""
    reader = w.up(G1, name)
    for number in range(1, count + 1):
        w.send(f"m{number}", number % 2, name=name)
        reader.take(1)  # the next one comes after it
    return reader


@pytest.mark.parametrize("last, got", [(0, []), (1, ["m5"]), (3, ["m3", "m4", "m5"]), (5, ["m1", "m2", "m3", "m4", "m5"])])
def test_the_last_come_first(w, trigger, last, got):
    name = unique()
    reader = joined(w, name, 5)
    late = w.up(trigger, name, last=last)
    w.send("live", 1 - trigger, name=name)
    assert w.seen(late, reader) == [got + ["live"], ["live"]]


def test_a_client_may_ask_for_fewer(w, trigger):
    name = unique()
    joined(w, name, 3)
    assert w.seen(w.up(trigger, name, last=2, **{"signalbox-last": 1})) == [["m3"]]
    assert w.seen(w.up(trigger, name, last=1, **{"signalbox-last": 3}))[0][-1] == "m3"
    assert w.seen(w.up(trigger, name, **{"signalbox-last": 3})) == [[]]


def test_what_was_for_this_client(w, trigger):
    name, id = unique(), unique("me")
    w.up(G1, name)
    for to, data in [({}, "all"), ({"client_id": id}, "mine"), ({"client_id": unique()}, "theirs"), ({"group": "B"}, "b"),
                     ({"group": ["x", "A"]}, "a"), ({"client_id": id, "group": "B"}, "both")]:
        w.send(data, trigger, name=name, **to)
    w.seen(w.up(G2, name))  # all of these were published
    assert w.seen(w.up(trigger, name, id=id, group="a", last=3)) == [["all", "mine", "a"]]
    assert w.seen(w.up(1 - trigger, name, group="b", last=2)) == [["all", "b"]]


def test_what_went_to_every_name_is_among_them(w, trigger):
    name = unique()
    reader = joined(w, name, 1)
    w.send("to all", trigger)
    reader.until("to all")
    w.send("m2", trigger, name=name)
    reader.take(1)
    assert w.seen(w.up(1 - trigger, name, last=3)) == [["m1", "to all", "m2"]]


def test_over_v1_with_ids(w, trigger):
    """A client that is lost before they arrive resumes from its hello and gets them; a resume wins."""
    name = unique()
    joined(w, name, 4)
    a = v1(w, trigger, name, last=2)
    assert a.hello["recovered"] is None and a.hello["replay"] is True
    third, fourth = messages(a, 2)
    assert (third["data"], fourth["data"]) == ("m3", "m4")
    b = v1(w, 1 - trigger, name, last=1, **{"signalbox-resume": a.hello["id"]})
    assert b.hello["recovered"] is True and messages(b, 2) == [third, fourth]
    c = v1(w, trigger, name, last=4, **{"signalbox-resume": third["id"]})
    assert c.hello["recovered"] is True and messages(c, 1) == [fourth]
    d = v1(w, trigger, name, last=4, **{"signalbox-resume": "nonsense"})
    w.send("live", trigger, name=name)
    assert d.hello["recovered"] is False and messages(d, 1)[0]["data"] == "live"


def test_live_ends_them(w, trigger):
    """It comes when messages were asked for, by the route or by the client, also where there are none."""
    name = unique()
    joined(w, name, 2)
    for asked, kinds in (({"last": 2}, ["message", "message", "live"]), ({"last": 2, "signalbox-last": 0}, ["live"]),
                         ({"signalbox-last": 1}, ["live"]), ({"last": 0}, [])):
        a = v1(w, trigger, name, **asked)
        w.send("next", trigger, name=name, client_id=a.id)
        got = [a.recv_json() for _ in [*kinds, "next"]]
        assert [frame["type"] for frame in got] == [*kinds, "message"] and got[-1]["data"] == "next", asked


def test_as_it_was_sent(w, trigger):
    name = unique()
    reader = w.up(G1, name)
    for data in ({"a": 1.50}, "text", [1]):
        w.send(data, trigger, name=name)
        reader.take(1)
    assert w.seen(w.up(trigger, name, last=3)) == [['{"a":1.5}', "text", "[1]"]]
