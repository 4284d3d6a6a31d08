"""The checker itself: a clean run has no findings, and each doctored one is found out, by the invariant it breaks."""
import copy

import pytest

import invariants
from invariants import EVERY, Connection, Event, Evidence, Recovery, Sent


def clean():
    """Two Names, two publishers, one message to every Name; a plain client, and a v1 client that resumed once."""
    evidence = Evidence(["a", "b"])
    for at, (uid, name, sender, n) in enumerate([
            ("p:0", "a", "p", 0), ("q:0", "b", "q", 0), ("p:1", "a", "p", 1), ("e:0", EVERY, "e", 0),
            ("p:2", "a", "p", 2), ("q:1", "b", "q", 1)]):
        evidence.sent[uid] = Sent(uid, name, sender, n, began=10.0 + at, accepted=10.5 + at)
    evidence.sent["r:0"] = Sent("r:0", "a", "r", 0, began=12.0)  # nobody knows what became of it
    a = [((1, 0), "p:0"), ((1, 2), "p:1"), ((1, 3), "e:0"), ((7, 0), "p:2")]
    b = [((3, 0), "q:0"), ((3, 1), "e:0"), ((3, 2), "q:1")]
    evidence.logs = {"a": a, "b": b}
    evidence.raw_logs = {"h:a": [id for id, _ in a], "h:b": [id for id, _ in b]}
    plain = Connection("t0", "plain", "a", 0, opened=1.0)
    plain.received = [(20.0, None, uid) for _, uid in a]
    before = Connection("t1", "v1", "a", 1, True, opened=1.0, ended=14.0, code=1012, hello=(0, 0))
    before.received = [(11.0, *a[0]), (12.0, *a[1])]
    after = Connection("t2", "v1", "a", 0, True, opened=15.0, resumed=(1, 2), hello=(1, 3), recovered=True)
    after.received = [(15.0, *a[2]), (16.0, *a[3])]
    late = Connection("t3", "late", "b", 0, opened=12.5, ended=18.0, code=1000)
    late.received = [(13.0, None, "e:0")]
    evidence.connections = [plain, before, after, late]
    evidence.events = [Event("connect", "a", "plain", "t0"), Event("connect", "a", "v1", "t1"),
                       Event("connect", "b", "late", "t3"), Event("disconnect", "a", "v1", "t1"),
                       Event("connect", "a", "v1", "t2"), Event("disconnect", "b", "late", "t3")]
    evidence.registry = {"a": {"plain": "t0", "v1": "t2"}, "b": {}}
    evidence.recoveries = [Recovery("after the fault", 2.0, 6.0)]
    evidence.highest_rss, evidence.highest_ingest = {"gateway1": 20 << 20}, 300
    evidence.must_fence = evidence.fenced = True
    return evidence


ALL = "I1 I2 I3 I4 I5 I6 I7 I8"


def test_a_clean_run_has_no_findings():
    assert invariants.findings_of(clean(), ALL) == []


def drop_from_log(e):
    """Accepted, and in no log; nobody got it."""
    e.logs["b"].pop(0)


def lose_everywhere(e):
    del e.logs["a"][0]
    e.connections[0].received.pop(0)
    e.connections[1].received.pop(0)


def publish_twice(e):
    """Under another id, and delivered twice."""
    e.logs["a"].append(((7, 1), "p:2"))
    e.connections[0].received.append((21.0, None, "p:2"))
    e.connections[2].received.append((21.0, (7, 1), "p:2"))


def publish_twice_to_every_name(e):
    e.logs["b"].append(((9, 0), "e:0"))


def publish_what_nobody_sent(e):
    e.logs["b"].append(((9, 0), "ghost"))


def plain_hole(e):
    del e.connections[0].received[1]


def plain_lacks_the_end(e):
    e.connections[0].received.pop()


def plain_lacks_the_beginning(e):
    del e.connections[0].received[:2]


def plain_heard_nothing(e):
    e.connections[0].received.clear()


def late_began_too_late(e):
    """It was connected before e:0 was sent."""
    e.connections[3].received = [(16.0, None, "q:1")]


def v1_hole(e):
    del e.connections[2].received[0]


def v1_hole_at_the_end_of_a_connection(e):
    """What its first connection missed, the resume from a later id does not bring."""
    e.connections[1].received.pop()
    e.connections[2].resumed = (1, 2)
    e.connections[1].received = [(12.0, (1, 2), "p:1")]


def deliver_without_commit(e):
    """Everybody got it, and Redis does not have it."""
    del e.logs["a"][1]


def v1_not_recovered(e):
    e.connections[2].recovered = False


def closed_for_a_gap(e):
    e.connections[3].code = 4004


def v1_ids_fall(e):
    received = e.connections[1].received
    received[0], received[1] = received[1], received[0]


def v1_got_it_again_after_its_resume(e):
    e.connections[2].received.insert(0, (15.0, (1, 2), "p:1"))


def plain_order(e):
    received = e.connections[0].received
    received[1], received[2] = received[2], received[1]


def sender_order(e):
    """Everybody sees the same order, and it is not the sender's."""
    e.sent["p:0"].n, e.sent["p:1"].n = 1, 0


def one_id_for_two_messages(e):
    e.logs["a"].append(((7, 0), "p:1"))


def plain_got_it_twice(e):
    e.connections[0].received.append((21.0, None, "p:2"))


def connect_twice(e):
    e.events.append(Event("connect", "a", "plain", "t0"))


def disconnect_twice(e):
    e.events.append(Event("disconnect", "b", "late", "t3"))


def no_connect(e):
    e.events.pop(0)


def no_disconnect(e):
    e.events.pop()


def disconnect_of_an_open_one(e):
    e.events.append(Event("disconnect", "a", "plain", "t0"))


def events_do_not_alternate(e):
    e.events[3], e.events[4] = e.events[4], e.events[3]


def disconnect_first(e):
    e.events.insert(0, e.events.pop())


def event_of_nobody(e):
    e.events.append(Event("connect", "b", "ghost", "t99"))


def registered_and_gone(e):
    e.registry["b"]["late"] = "t3"


def open_and_not_registered(e):
    del e.registry["a"]["plain"]


def registered_with_an_old_value(e):
    e.registry["a"]["v1"] = "t1"


def stray_member(e):
    e.strays.append(b"a\0v1\0old")


def process_grows(e):
    e.highest_rss["gateway1"] = 2 << 30


def ingest_grows(e):
    e.highest_ingest = 60_000


def term_falls(e):
    e.raw_logs["h:a"].append((2, 0))


def id_repeats(e):
    e.raw_logs["h:a"].append(e.raw_logs["h:a"][-1])


def nobody_was_fenced(e):
    e.fenced = False


def slow_recovery(e):
    e.recoveries[0].seconds = 7.0


BREAKS = {
    "I1": [drop_from_log, lose_everywhere, publish_twice, publish_twice_to_every_name, publish_what_nobody_sent,
           plain_hole, plain_lacks_the_end, plain_lacks_the_beginning, plain_heard_nothing, late_began_too_late,
           v1_hole, v1_hole_at_the_end_of_a_connection, deliver_without_commit, v1_not_recovered, closed_for_a_gap],
    "I2": [v1_ids_fall, v1_got_it_again_after_its_resume, plain_order, sender_order, one_id_for_two_messages],
    "I3": [plain_got_it_twice, v1_got_it_again_after_its_resume, publish_twice],
    "I4": [connect_twice, disconnect_twice, no_connect, no_disconnect, disconnect_of_an_open_one,
           events_do_not_alternate, disconnect_first, event_of_nobody],
    "I5": [registered_and_gone, open_and_not_registered, registered_with_an_old_value, stray_member],
    "I6": [process_grows, ingest_grows],
    "I7": [term_falls, id_repeats, nobody_was_fenced],
    "I8": [slow_recovery],
}


@pytest.mark.parametrize("invariant, doctor", [(invariant, doctor) for invariant, doctors in BREAKS.items()
                                               for doctor in doctors], ids=lambda it: getattr(it, "__name__", it))
def test_a_doctored_log_is_found_out(invariant, doctor):
    evidence = clean()
    doctor(evidence)
    findings = invariants.findings_of(evidence, invariant)
    assert findings and all(finding.startswith(invariant) for finding in findings)
    with pytest.raises(AssertionError):
        invariants.check(evidence, ALL)


# -- what a fault excuses, and no more

def test_losses_are_excused_in_their_time_only():
    evidence = clean()
    drop_from_log(evidence)  # q:0, accepted at 11.5
    evidence.losses = [(11.0, 12.0)]
    assert invariants.findings_of(evidence, ALL) == []
    assert invariants.lost_and_repeated(evidence, invariants.References(evidence)) == (1, 0)
    evidence.losses = [(12.0, 13.0)]
    assert invariants.findings_of(evidence, "I1")


def test_one_gateway_may_miss_what_was_lost():
    evidence = clean()
    plain_hole(evidence)  # p:1, accepted at 12.5
    evidence.losses = [(12.0, 13.0)]
    assert invariants.findings_of(evidence, ALL) == []
    plain_lacks_the_end(evidence)
    assert invariants.findings_of(evidence, "I1")


def test_repetitions_are_excused_in_their_time_only():
    evidence = clean()
    publish_twice(evidence)  # p:2, accepted at 14.5
    evidence.losses = [(14.0, 15.0)]
    assert invariants.findings_of(evidence, "I1 I2 I3") == []
    evidence.losses = [(15.0, 16.0)]
    assert invariants.findings_of(evidence, "I3")


def test_a_gap_is_excused_and_what_follows_it_is_not():
    evidence = clean()
    evidence.may_gap = True
    v1_not_recovered(evidence)
    evidence.connections[2].received.pop(0)
    assert invariants.findings_of(evidence, "I1") == []
    evidence.connections[2].received.clear()
    evidence.connections[2].received = [(15.0, (1, 3), "e:0")]  # and not the last one
    assert invariants.findings_of(evidence, "I1")


def test_beyond_a_gap_that_is_told_messages_to_every_name_may_stand_alone():
    evidence = clean()
    evidence.may_gap = True
    connection = evidence.connections[2]
    connection.recovered, connection.resumed, connection.hello = False, (1, 0), (1, 4)
    evidence.sent["p:1b"] = Sent("p:1b", "a", "p", 1.5, began=13.0, accepted=13.0)
    evidence.logs["a"].append(((1, 4), "p:1b"))  # after e:0, before p:2
    evidence.connections[0].received.insert(3, (20.0, None, "p:1b"))
    assert invariants.findings_of(evidence, ALL) == []
    connection.recovered = True
    assert invariants.findings_of(evidence, "I1")


def test_lost_events_are_excused_and_false_ones_are_not():
    evidence = clean()
    evidence.may_lose_events = True
    del evidence.events[2], evidence.events[-1]
    assert invariants.findings_of(evidence, "I4") == []
    broken = copy.deepcopy(evidence)
    disconnect_of_an_open_one(broken)
    assert invariants.findings_of(broken, "I4")
    connect_twice(evidence)
    assert invariants.findings_of(evidence, "I4")
    evidence.losses = [(0.0, 2.0)]  # it connected then: Redis may have forgotten, and the event may come again
    assert invariants.findings_of(evidence, "I4") == []


def test_a_message_without_ack_may_arrive_once():
    evidence = clean()
    evidence.logs["a"].append(((7, 1), "r:0"))
    evidence.connections[0].received.append((21.0, None, "r:0"))
    evidence.connections[2].received.append((21.0, (7, 1), "r:0"))
    assert invariants.findings_of(evidence, ALL) == []
    evidence.logs["a"].append(((7, 2), "r:0"))
    assert invariants.findings_of(evidence, "I1")
