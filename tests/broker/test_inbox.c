/* A slot that is ours: its entries in order, exactly once, until it is fenced or given back. */
#include "broker/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/entry/broadcast.h"
#include "common/base/memory_budget.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/partition.h"
#include "tests/broker/broker_room.h"

enum { LEASE_MS = 5000, WAIT_MS = 3000, SEEN_MAX = 600 };

struct test {
    struct broker_room room;
    struct lease *lease;
    struct inboxes *inboxes;
    struct buf own, in;
    unsigned taken, seen, seen_public, forwarded, ended, fenced;
    void (*on_process)(struct processing *p); /* what a test adds to that of an entry */
    char clients[SEEN_MAX][16];               /* of the entries that were processed, in order */
};

static struct test t;

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    (void)ctx;
    inboxes_take(t.inboxes, slot, grant);
    assert_true(inboxes_own(t.inboxes, slot));
    t.taken++;
}

static void on_give_back(void *ctx, unsigned slot) {
    (void)ctx;
    if (!inboxes_give_back(t.inboxes, slot))
        lease_give_back(t.lease, slot);
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    (void)ctx;
    (void)why;
    inboxes_drop(t.inboxes, slot);
}

static void on_released(void *ctx) {
    (void)ctx;
}

static void process(struct processing *p) {
    assert_true(t.seen < SEEN_MAX);
    snprintf(t.clients[t.seen++], sizeof(t.clients[0]), "%.*s",
             BYTES_FMT(p->entry->entry.client_id));
    if (t.on_process != NULL)
        t.on_process(p);
}

static void process_public(struct processing *p) {
    assert_true(p->is_public && p->slot == ROOM_PARTITIONS);
    assert_true(bytes_equal_str(p->entry->text, "text"));
    t.seen_public++;
}

static void on_end(void *ctx, unsigned slot, bool is_fenced) {
    assert_ptr_equal(ctx, &t);
    assert_false(inboxes_own(t.inboxes, slot));
    t.ended++;
    t.fenced += is_fenced;
    if (is_fenced)
        lease_drop(t.lease, slot);
    else
        lease_give_back(t.lease, slot);
}

static int setup(void **state) {
    static const struct lease_events lease_events = {on_taken, on_give_back, on_lost, on_released};
    static const struct inbox_events inbox_events = {process, process_public, on_end};
    (void)state;
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, "", NULL);
    t.lease = lease_new(t.room.bus, LEASE_MS, &lease_events, NULL);
    struct inbox_options options = {.loop = &t.room.bus_room.loop,
                                    .settings = &t.room.bus_room.settings,
                                    .lease = t.lease,
                                    .parts = &t.room.parts,
                                    .events = &inbox_events,
                                    .ctx = &t};
    t.inboxes = inboxes_new(&options);
    key_of(&t.own, 0, KEY_OWN, BYTES_NONE);
    key_of(&t.in, 0, KEY_IN, BYTES_NONE);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (unsigned slot = 0; slot <= ROOM_PARTITIONS; slot++)
        inboxes_drop(t.inboxes, slot);
    lease_free(t.lease);
    buf_deinit(&t.own);
    buf_deinit(&t.in);
    broker_room_deinit(&t.room);
    inboxes_free(t.inboxes);
    return 0;
}

static void add(const char *client) {
    bus_room_ask(&t.room.bus_room, "XADD %.*s * t C n Msg i %s v g:1:2|",
                 BYTES_FMT(buf_bytes(&t.in)), client);
}

static void take(void) {
    lease_on_commands(t.lease);
    bus_room_until(&t.room.bus_room, &t.taken, ROOM_PARTITIONS + 1, WAIT_MS);
}

/* Until the cursor in Redis has come to the last entry. */
static void wait_for_commit(void) {
    char cursor[64];
    const char *rest = "?";
    for (int i = 0; i < 100 && *rest != '\0'; i++) {
        bus_room_turn(&t.room.bus_room, 10);
        snprintf(cursor, sizeof(cursor), "%s",
                 bus_room_ask(&t.room.bus_room, "HGET %.*s c", BYTES_FMT(buf_bytes(&t.own))));
        rest = bus_room_ask(&t.room.bus_room, "XRANGE %.*s (%s + COUNT 1",
                            BYTES_FMT(buf_bytes(&t.in)), cursor);
    }
    assert_string_equal(rest, "");
}

static void in_order_and_once(void **state) {
    char client[16];
    (void)state;
    take();
    for (int i = 0; i < 300; i++) {
        snprintf(client, sizeof(client), "c%d", i);
        add(client);
    }
    bus_room_until(&t.room.bus_room, &t.seen, 300, WAIT_MS);
    wait_for_commit();
    assert_int_equal(t.seen, 300);
    for (int i = 0; i < 300; i++) {
        snprintf(client, sizeof(client), "c%d", i);
        assert_string_equal(t.clients[i], client);
    }
}

static void a_fenced_slot_ends(void **state) {
    (void)state;
    take();
    bus_room_ask(&t.room.bus_room, "HSET %.*s h another t 99999999999999",
                 BYTES_FMT(buf_bytes(&t.own)));
    add("ann");
    bus_room_until(&t.room.bus_room, &t.ended, 1, WAIT_MS);
    assert_int_equal(t.fenced, 1);
    assert_false(inboxes_own(t.inboxes, 0));
    assert_true(inboxes_own(t.inboxes, 1));
}

static void a_slot_that_is_given_back_is_committed(void **state) {
    (void)state;
    take();
    add("ann");
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    assert_true(inboxes_give_back(t.inboxes, 0));
    bus_room_until(&t.room.bus_room, &t.ended, 1, WAIT_MS);
    assert_int_equal(t.fenced, 0);
    wait_for_commit();
    assert_false(inboxes_give_back(t.inboxes, 0));
}

/* The last owners died during the first entry: so many tries are counted in `own`. */
static void take_with_tries(int tries) {
    static const char set[] = "return(redis.call('HSET',KEYS[1],'x',ARGV[1]..'\\32'..ARGV[2]))";
    char id[64];
    add("killer");
    snprintf(
        id, sizeof(id), "%.40s",
        bus_room_ask(&t.room.bus_room, "XREVRANGE %.*s + - COUNT 1", BYTES_FMT(buf_bytes(&t.in))));
    id[strcspn(id, " ")] = '\0';
    bus_room_ask(&t.room.bus_room, "EVAL %s 1 %.*s %s %d", set, BYTES_FMT(buf_bytes(&t.own)), id,
                 tries);
    add("ann");
    bus_room_turn(&t.room.bus_room, 5); /* the term is the time of the take-over in ms */
    take();
}

static void the_second_try_still_runs(void **state) {
    (void)state;
    take_with_tries(1);
    bus_room_until(&t.room.bus_room, &t.seen, 2, WAIT_MS);
    assert_string_equal(t.clients[0], "killer");
    assert_string_equal(t.clients[1], "ann");
}

static void the_third_try_is_given_up(void **state) {
    int64_t before = metrics_get(METRIC_dead_letters);
    (void)state;
    take_with_tries(2);
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    wait_for_commit();
    assert_string_equal(t.clients[0], "ann");
    assert_int_equal(t.seen, 1);
    assert_int_equal(metrics_get(METRIC_dead_letters), before + 1);
}

/* --- the public stream --- */

static void the_public_stream_is_a_slot(void **state) {
    const char *cursor = "";
    (void)state;
    take();
    for (int i = 0; i < 3; i++)
        bus_room_ask(&t.room.bus_room, "XADD %s %d-1 m text", fleet_key(KEY_PUBLIC_SEND), i + 1);
    bus_room_until(&t.room.bus_room, &t.seen_public, 3, WAIT_MS);
    for (int i = 0; i < 100 && strcmp(cursor, "3-1") != 0; i++) {
        bus_room_turn(&t.room.bus_room, 10);
        cursor = bus_room_ask(&t.room.bus_room, "HGET sb:{sb}:xown c");
    }
    assert_string_equal(cursor, "3-1");
    assert_int_equal(t.seen, 0);
    assert_int_equal(t.seen_public, 3);
}

/* An id of the future, after which nobody could add anything: the stream begins again. */
static void a_stream_of_the_future_begins_again(void **state) {
    int64_t before = metrics_get(METRIC_stream_restarts);
    (void)state;
    take();
    bus_room_ask(&t.room.bus_room, "XADD %s 18446744073709551615-18446744073709551615 m text",
                 fleet_key(KEY_PUBLIC_SEND));
    bus_room_until(&t.room.bus_room, &t.ended, 1, WAIT_MS);
    assert_int_equal(t.fenced, 1); /* to be taken again */
    assert_int_equal(metrics_get(METRIC_stream_restarts), before + 1);
    assert_false(inboxes_own(t.inboxes, ROOM_PARTITIONS));
    lease_hurry(t.lease, BYTES_NONE);
    bus_room_until(&t.room.bus_room, &t.taken, ROOM_PARTITIONS + 2, WAIT_MS);
    bus_room_ask(&t.room.bus_room, "XADD %s * m text", fleet_key(KEY_PUBLIC_SEND));
    bus_room_until(&t.room.bus_room, &t.seen_public, 2, WAIT_MS);
}

/* One hour and less may be the clock, and what is in a partition has its id from Redis. */
static void other_ids_of_the_future_are_read_on(void **state) {
    static const char copy[] = "local\te=redis.call('XRANGE',KEYS[1],'-','+')[1][2]\t"
                               "return(redis.call('XADD',KEYS[1],ARGV[1],e[1],e[2]))";
    int64_t before = metrics_get(METRIC_stream_restarts);
    unsigned long long now_ms = clock_wall_ms();
    (void)state;
    add("ann");
    bus_room_ask(&t.room.bus_room, "EVAL %s 1 %.*s %llu-1", copy, BYTES_FMT(buf_bytes(&t.in)),
                 now_ms + 2 * 3600 * 1000);
    bus_room_ask(&t.room.bus_room, "XADD %s %llu-1 m text", fleet_key(KEY_PUBLIC_SEND),
                 now_ms + 3590 * 1000);
    take();
    bus_room_until(&t.room.bus_room, &t.seen, 2, WAIT_MS);
    bus_room_until(&t.room.bus_room, &t.seen_public, 1, WAIT_MS);
    bus_room_turn(&t.room.bus_room, 50);
    assert_int_equal(metrics_get(METRIC_stream_restarts), before);
    assert_int_equal(t.ended, 0);
}

/* --- effects --- */

static void send_on(struct processing *p) {
    struct bytes names[] = {BYTES_LIT("n2"), BYTES_LIT("n0")}; /* here, and in partition 2 */
    struct delivery d = {.kind = MESSAGE_DATA, .names = {names, 2}, .data = BYTES_LIT("x")};
    if (p->entry->entry.kind == ENTRY_CONNECT)
        assert_true(broadcast(p, &d)); /* partition 2 processes its share, too */
    else
        t.forwarded++;
}

static int length_of(unsigned partition, enum partition_key key, const char *tail) {
    struct buf text = {0};
    key_of(&text, partition, key, bytes_str(tail));
    int length = atoi(bus_room_ask(&t.room.bus_room, "XLEN %.*s", BYTES_FMT(buf_bytes(&text))));
    buf_deinit(&text);
    return length;
}

/* However often Redis refuses, and whatever it refuses: each output is there once. */
static void what_redis_refuses_is_repeated(void **state) {
    static const enum partition_key refused[] = {KEY_OWN, KEY_HISTORY, KEY_SOURCES};
    struct buf joined = {0};
    (void)state;
    take();
    add("eve"); /* until all is open */
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    wait_for_commit();
    t.on_process = send_on;
    t.seen = 0;
    key_of(&joined, 0, KEY_CONNECTIONS, BYTES_LIT("n2"));
    bus_room_ask(&t.room.bus_room, "HSET %.*s ann g:1:2|", BYTES_FMT(buf_bytes(&joined)));
    buf_deinit(&joined);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        unsigned partition = refused[i] == KEY_SOURCES ? 2 : 0;
        struct buf key = {0};
        key_of(&key, partition, refused[i], BYTES_LIT(""));
        if (refused[i] == KEY_HISTORY)
            key_of(&key, 0, KEY_LAST, BYTES_LIT("n2"));
        bus_room_ask(&t.room.bus_room, "RENAME %.*s aside", BYTES_FMT(buf_bytes(&key)));
        bus_room_ask(&t.room.bus_room, "XADD %.*s 1-1 a b", BYTES_FMT(buf_bytes(&key)));
        add("ann");
        bus_room_turn(&t.room.bus_room, 300); /* it was tried again by now */
        bus_room_ask(&t.room.bus_room, "DEL %.*s", BYTES_FMT(buf_bytes(&key)));
        bus_room_ask(&t.room.bus_room, "RENAME aside %.*s", BYTES_FMT(buf_bytes(&key)));
        wait_for_commit();
        assert_int_equal(length_of(0, KEY_HISTORY, "n2"), i + 1);
        bus_room_until(&t.room.bus_room, &t.forwarded, (unsigned)i + 1, WAIT_MS);
        buf_deinit(&key);
    }
    bus_room_turn(&t.room.bus_room, 50);
    assert_int_equal(t.forwarded, ARRAY_LEN(refused));
    assert_int_equal(t.seen, 2 * ARRAY_LEN(refused));
}

/* --- handlers that wait --- */

static struct conn_queue *waiting;

/* The handler of the first message waits. */
static void wait_for_first(struct processing *p) {
    if (waiting == NULL)
        waiting = conn_queues_enter(p->parts->queues, p->slot, p->entry);
}

static void process_in_turn(struct processing *p) {
    if (conn_queues_take_turn(p) != CONN_QUEUE_GO) {
        t.seen--;
        return;
    }
    wait_for_first(p);
    if (p->entry->is_back)
        conn_queues_after(p);
}

static void what_waits_comes_back_once(void **state) {
    (void)state;
    waiting = NULL;
    t.on_process = process_in_turn;
    take();
    for (int i = 0; i < 4; i++)
        add(i == 2 ? "bob" : "ann");
    bus_room_until(&t.room.bus_room, &t.seen, 2, WAIT_MS);
    wait_for_commit();
    assert_string_equal(t.clients[0], "ann");
    assert_string_equal(t.clients[1], "bob");
    conn_queues_leave(waiting);
    bus_room_until(&t.room.bus_room, &t.seen, 4, WAIT_MS);
    wait_for_commit();
    bus_room_turn(&t.room.bus_room, 50);
    assert_int_equal(t.seen, 4);
    struct buf w = {0};
    key_of(&w, 0, KEY_DEFERRED, BYTES_NONE);
    assert_string_equal(bus_room_ask(&t.room.bus_room, "HLEN %.*s", BYTES_FMT(buf_bytes(&w))), "0");
    buf_deinit(&w);
}

/* What waits at the take-over waits here, too. */
static void a_new_owner_knows_what_waits(void **state) {
    (void)state;
    waiting = NULL;
    t.on_process = process_in_turn;
    take();
    add("ann");
    add("ann");
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    wait_for_commit();
    inboxes_drop(t.inboxes, 0);
    lease_drop(t.lease, 0);
    conn_queues_leave(waiting);
    lease_hurry(t.lease, BYTES_NONE);
    bus_room_until(&t.room.bus_room, &t.seen, 2, WAIT_MS);
    wait_for_commit();
}

/* A handler of the slot waits when it is to be given back. */
static void give_back_while_one_waits(void) {
    waiting = NULL;
    t.on_process = wait_for_first;
    take();
    add("ann");
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    wait_for_commit();
    assert_true(inboxes_give_back(t.inboxes, 0));
    bus_room_turn(&t.room.bus_room, 200);
    assert_int_equal(t.ended, 0);
}

static void an_end_waits_for_handlers(void **state) {
    (void)state;
    give_back_while_one_waits();
    conn_queues_leave(waiting);
    bus_room_until(&t.room.bus_room, &t.ended, 1, 500);
    assert_int_equal(t.fenced, 0);
}

static void an_end_waits_a_moment_only(void **state) {
    (void)state;
    give_back_while_one_waits();
    bus_room_until(&t.room.bus_room, &t.ended, 1, WAIT_MS);
    assert_int_equal(t.fenced, 0);
    conn_queues_leave(waiting);
}

/* --- memory --- */

/* While it is short the entries stay in Redis; then they are read. */
static void short_memory_leaves_entries_in_redis(enum memory_kind kind, int64_t bytes) {
    take();
    bus_room_turn(&t.room.bus_room, 20);
    memory_init(1 << 30);
    memory_add(kind, bytes);
    add("ann"); /* the read under way still brings it */
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    add("bob");
    bus_room_turn(&t.room.bus_room, 200);
    memory_add(kind, -bytes);
    assert_int_equal(t.seen, 1);
    bus_room_until(&t.room.bus_room, &t.seen, 2, WAIT_MS);
    wait_for_commit();
    memory_init(0);
}

static void memory_is_short_when_all_is_used(void **state) {
    (void)state;
    short_memory_leaves_entries_in_redis(MEMORY_outgoing, ((int64_t)1 << 30) + 1);
}

static void memory_is_short_when_requests_use_theirs(void **state) {
    (void)state;
    memory_init(1 << 30);
    short_memory_leaves_entries_in_redis(MEMORY_requests,
                                         (int64_t)memory_share(MEMORY_requests) + 1);
}

/* --- entries that may kill --- */

/* Whether a try of this partition is counted and not committed. */
static bool is_being_tried(unsigned partition) {
    static const char script[] =
        "local\to=redis.call('HMGET',KEYS[1],'x','c')\t"
        "return(o[1]and(o[2]or'')..'\\32'~=string.match(o[1],'.*\\32'))and(1)or(0)";
    struct buf own = {0};
    key_of(&own, partition, KEY_OWN, BYTES_NONE);
    bool is = *bus_room_ask(&t.room.bus_room, "EVAL %s 1 %.*s", script,
                            BYTES_FMT(buf_bytes(&own))) == '1';
    buf_deinit(&own);
    return is;
}

static void run_alone(struct processing *p) {
    assert_false(is_being_tried(1 - p->slot));
}

/* Another slot's doubtful entry runs after this one's is committed. What came later is not
 * doubtful. */
static void doubtful_entries_run_one_at_a_time(void **state) {
    enum { EACH = 20 };
    struct buf in = {0};
    char tried[64];
    (void)state;
    t.on_process = run_alone;
    key_of(&in, 1, KEY_IN, BYTES_NONE);
    for (int i = 0; i < EACH; i++) {
        add("ann");
        bus_room_ask(&t.room.bus_room, "XADD %.*s * t C n msg i cat v g:1:2|",
                     BYTES_FMT(buf_bytes(&in)));
    }
    bus_room_turn(&t.room.bus_room, 5);
    take();
    bus_room_until(&t.room.bus_room, &t.seen, 2 * EACH, WAIT_MS);
    wait_for_commit();
    snprintf(tried, sizeof(tried), "%s",
             bus_room_ask(&t.room.bus_room, "HGET %.*s x", BYTES_FMT(buf_bytes(&t.own))));
    assert_non_null(strstr(tried, " 1"));
    add("dan");
    bus_room_until(&t.room.bus_room, &t.seen, 2 * EACH + 1, WAIT_MS);
    wait_for_commit();
    assert_string_equal(bus_room_ask(&t.room.bus_room, "HGET %.*s x", BYTES_FMT(buf_bytes(&t.own))),
                        tried);
    buf_deinit(&in);
}

/* One that came back and kills its owners is given up, and what waits for it goes on. */
static void an_entry_that_came_back_is_given_up(void **state) {
    static const char script[] =
        "local\tf={'t','C','n','Msg','i','ann','v','g:1:2|'}\t"
        "local\tid=redis.call('XADD',KEYS[1],'*','o','2-0','h','0',unpack(f))\t"
        "redis.call('HSET',KEYS[2],id,cmsgpack.pack({'2-0','0','Msg\\0ann',{}}))\t"
        "redis.call('HSET',KEYS[2],'3-0',cmsgpack.pack({'3-0','0','Msg\\0ann',f}))\t"
        "redis.call('HSET',KEYS[3],'c','4-0','x',id..'\\32'..'2')";
    struct buf w = {0};
    int64_t before = metrics_get(METRIC_dead_letters);
    (void)state;
    waiting = (struct conn_queue *)&w; /* no handler waits */
    t.on_process = process_in_turn;
    key_of(&w, 0, KEY_DEFERRED, BYTES_NONE);
    bus_room_ask(&t.room.bus_room, "EVAL %s 3 %.*s %.*s %.*s", script, BYTES_FMT(buf_bytes(&t.in)),
                 BYTES_FMT(buf_bytes(&w)), BYTES_FMT(buf_bytes(&t.own)));
    bus_room_turn(&t.room.bus_room, 5);
    take();
    bus_room_until(&t.room.bus_room, &t.seen, 1, WAIT_MS);
    wait_for_commit();
    assert_int_equal(t.seen, 1);
    assert_int_equal(metrics_get(METRIC_dead_letters), before + 1);
    for (int i = 0; i < 100; i++)
        if (*bus_room_ask(&t.room.bus_room, "HLEN %.*s", BYTES_FMT(buf_bytes(&w))) == '0')
            break;
        else
            bus_room_turn(&t.room.bus_room, 10);
    assert_string_equal(bus_room_ask(&t.room.bus_room, "HLEN %.*s", BYTES_FMT(buf_bytes(&w))), "0");
    buf_deinit(&w);
}

/* While Redis may have lost who has joined, what goes to a Name that nobody has joined is kept. */
static void after_a_loss_everything_is_kept(void **state) {
    (void)state;
    t.on_process = send_on;
    take();
    add("ann");
    bus_room_until(&t.room.bus_room, &t.forwarded, 1, WAIT_MS);
    wait_for_commit();
    assert_int_equal(length_of(0, KEY_HISTORY, "n2"), 0);
    inboxes_drop(t.inboxes, 0);
    lease_drop(t.lease, 0);
    lease_hurry(t.lease, BYTES_NONE);
    bus_room_until(&t.room.bus_room, &t.taken, ROOM_PARTITIONS + 2, WAIT_MS);
    add("ann");
    bus_room_until(&t.room.bus_room, &t.forwarded, 2, WAIT_MS);
    wait_for_commit();
    assert_int_equal(length_of(0, KEY_HISTORY, "n2"), 1);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(in_order_and_once),
        TEST(a_fenced_slot_ends),
        TEST(a_slot_that_is_given_back_is_committed),
        TEST(the_second_try_still_runs),
        TEST(the_third_try_is_given_up),
        TEST(the_public_stream_is_a_slot),
        TEST(a_stream_of_the_future_begins_again),
        TEST(other_ids_of_the_future_are_read_on),
        TEST(what_redis_refuses_is_repeated),
        TEST(what_waits_comes_back_once),
        TEST(a_new_owner_knows_what_waits),
        TEST(an_end_waits_for_handlers),
        TEST(an_end_waits_a_moment_only),
        TEST(memory_is_short_when_all_is_used),
        TEST(memory_is_short_when_requests_use_theirs),
        TEST(doubtful_entries_run_one_at_a_time),
        TEST(an_entry_that_came_back_is_given_up),
        TEST(after_a_loss_everything_is_kept),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
