"""Brokers that die, stop, lose their leases, hang: F1 … F7. Taken over within 6 s of kill -9, within 1 of SIGTERM."""
import time

import msgpack

from harness import ROOT, eventually
from load import NAMES, Client
from world import LONG, PARTITIONS, SLACK, key, partition_of

ALL = "I1 I2 I3 I4 I5 I6 I7 I8"
TAKE_OVER = 6 * 1.5
TAKE_PARTITION = ROOT / "common" / "bus" / "redis" / "scripts" / "take_partition.lua"


def test_f1_broker_killed(world):
    """F1, I1-I8: kill -9 in the middle of the stream; another broker goes on where the log says."""
    w = world(rate=200)
    for _ in range(8 if LONG else 2):
        w.flow(w.random.randrange(100, 600))
        victim = w.random.choice(w.cluster.brokers)
        victim.kill()
        w.delivers(TAKE_OVER, f"after kill -9 of {victim.name}", since=time.monotonic())
        victim.restart()
    w.assert_all_stayed()
    w.check(ALL)


def test_f1_all_brokers_killed_together(world):
    """F1, I1-I8: both die at once, half way through their batches; new ones find the leases of the dead."""
    w = world(rate=300, broker_args=["--lease-ms", "1500"])
    for _ in range(6 if LONG else 2):
        w.flow(w.random.randrange(100, 400))
        for broker in w.cluster.brokers:
            broker.kill()
        for broker in w.cluster.brokers:
            broker.start()
        w.delivers(TAKE_OVER, "after kill -9 of all", since=time.monotonic())
    w.cluster.wait_ready()
    w.assert_all_stayed()
    w.check(ALL)


def test_f2_brokers_restarted_in_turn(world):
    """F2, I1-I8: SIGTERM, one after the other: what is theirs is handed over at once."""
    w = world(rate=200)
    for round in range(10 if LONG else 4):
        w.flow(w.random.randrange(50, 200))
        victim = w.cluster.brokers[round % 2]
        victim.term()
        w.delivers(1 * 2, f"after SIGTERM of {victim.name}")
        assert victim.wait() == 0
        victim.restart()
    w.assert_all_stayed()
    w.check(ALL)


def test_f3_zombie_broker(world):
    """F3, I1-I8: a broker stops for longer than its leases last; back again, what it had in hand is fenced."""
    w = world(rate=300, broker_args=["--lease-ms", "1500"])
    for round in range(6 if LONG else 3):
        w.flow(w.random.randrange(50, 200))
        zombie = w.cluster.brokers[round % 2]
        stopped = time.monotonic()
        zombie.stop()
        w.delivers(TAKE_OVER, f"while {zombie.name} is stopped", since=stopped)
        w.hold(30 if LONG and round == 0 else 1)
        zombie.cont()
        w.delivers(6, f"when {zombie.name} is back")
        eventually(lambda: zombie.metrics()["signalbox_partitions_owned"] > 0, 10 * SLACK, "the zombie at work again")
    w.evidence.must_fence = True
    w.assert_all_stayed()
    w.check(ALL)


def steal(w, lease_ms):
    """Another holder takes every partition, whatever the owner believes, and does nothing with it."""
    script = w.redis.register_script(TAKE_PARTITION.read_text())
    for partition in range(PARTITIONS):
        w.redis.delete(key(partition, "lease"))
        script(keys=[key(partition, "own"), key(partition, "lease")], args=["thief", lease_ms, 0, 0, "taken", partition])


def test_f4_lease_stolen(world):
    """F4, I1-I8: leases vanish, or are another's under a newer term: the owner's next commit is refused."""
    w = world(rate=300)
    for _ in range(10 if LONG else 3):
        w.flow(w.random.randrange(50, 200))
        w.redis.delete(*(key(partition, "lease") for partition in range(PARTITIONS)))
        w.delivers(6, "after the leases were deleted")
        w.flow(w.random.randrange(50, 200))
        steal(w, 500)
        w.delivers(6, "after the leases were stolen")
    w.evidence.must_fence = True
    assert w.metric("signalbox_fenced_total", w.cluster.brokers) > 0
    w.assert_all_stayed()
    w.check(ALL)


def test_f4_redis_sleeps(world):
    """F4, I1-I8: Redis does nothing for longer than the leases last, then everything at once."""
    w = world(redis={"enable-debug-command": "local"})
    w.flow(100)
    sleeper = w.cluster.redis_client(timeout=20)
    sleeper.execute_command("DEBUG", "SLEEP", 6)
    w.delivers(6 * SLACK, "after DEBUG SLEEP 6")
    assert w.metric("signalbox_buried_total", w.cluster.brokers) == 0
    w.assert_all_stayed()
    w.check(ALL)


def fill(w, partition, count):
    """Entries that lead to nothing: ticks of a schedule that does not exist."""
    tick = msgpack.packb([1, 5, 0, 0, b"no schedule", None, None, None, None, None, None, None, None, 0])
    for _ in range(count // 1000):
        pipe = w.redis.pipeline(transaction=False)
        for _ in range(1000):
            pipe.xadd(key(partition, "in"), {"m": tick})
        pipe.execute()


def test_f5_all_brokers_down(world):
    """F5, I1-I8: no broker for a while. What is said meanwhile waits; a partition that is full holds its senders back;
    then everything goes on."""
    w = world(rate=200)
    w.flow(100)
    for broker in w.cluster.brokers:
        broker.kill()
    w.hold(60 if LONG else 3)
    full = partition_of("n7")  # of talker-plain, which talks without waiting for acks
    fill(w, full, 50_000)
    eventually(lambda: w.metric("signalbox_ingest_busy_total", w.cluster.gateways) > 0, what="gateways that see BUSY")
    w.hold(2)
    assert w.redis.xlen(key(full, "in")) <= 50_000 + 1000
    for broker in w.cluster.brokers:
        broker.start()
    # The old leases have to run out, and 50,000 entries are worked off.
    w.delivers((6 + 5) * SLACK, "after all brokers were down")
    w.cluster.wait_ready()
    w.assert_all_stayed()
    w.check(ALL, t5=15 * 1.5)


def test_f6_endless_loop_in_a_route(world):
    """F6, I1-I6, I8: a handler that does not end is ended after its budget; nobody else notices."""
    w = world(rate=200)
    w.flow(50)
    looping = [w.load.add(Client(w.load, name, number % 2, False, f"looper{number}", route="loop"))
               for number, name in enumerate(NAMES[:5])]
    w.all_open()
    for client in looping:
        client.say("spin")
    w.delivers(1 * SLACK, "while handlers loop")
    eventually(lambda: w.metric("signalbox_handler_errors_total", w.cluster.brokers) >= len(looping), 10,
               "aborted handlers")
    assert all(broker.is_running for broker in w.cluster.brokers)
    w.assert_all_stayed()
    w.check("I1 I2 I3 I4 I5 I6 I8")


def is_stuck(broker):
    """Whether its event loop answers nothing."""
    try:
        broker.admin("GET", "/livez", timeout=1.0)
        return False
    except OSError:
        return True


def test_f7_poison_message(world):
    """F7, I1-I8: a message whose handler takes the process down. After three owners it is given up; all else lives."""
    w = world(broker_args=["--lua-budget-ms", "60000", "--lease-ms", "1500"], rate=80)
    w.flow(50)
    poisoner = w.load.add(Client(w.load, "n0", 0, False, "poisoner", route="loop"))
    w.all_open()
    poisoner.say("poison")
    began, deaths, letters = time.monotonic(), 0, key(partition_of("n0"), "dl")
    while not w.redis.xlen(letters):
        assert time.monotonic() - began < 25 * SLACK, f"not given up after {deaths} deaths"
        for broker in w.cluster.brokers:
            if is_stuck(broker) and is_stuck(broker):
                broker.kill()  # as if the handler had done it
                deaths += 1
                broker.start()
        time.sleep(0.05)
    assert deaths <= 3
    w.cluster.wait_ready()
    w.delivers(25 * 1.5, f"after {deaths} deaths by poison", since=began)
    w.assert_all_stayed()
    w.check(ALL)
