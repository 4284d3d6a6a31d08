/* test_join.c - from a request to a Global connection: what comes while it is registered, what it
 * missed before, and each way in which it may fail. */
#include "gateway/routes/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/bus/partition.h"
#include "gateway/session/clients.h"
#include "tests/common/base/skipped_time.h"
#include "tests/common/bus/log_room.h"
#include "tests/gateway/routes/routes_room.h"

static struct routes_room room;
static int follows; /* a connection that keeps the Name followed */
static char name[16];

static const char app[] =
    "signalbox.name('Goes', { on_gap = 'continue' })\n"
    "signalbox.route('GET', '/r', function(w)\n"
    "  w:convert { name = w.query.name, group = w.query.group, client_id = w.query.id,\n"
    "              last = tonumber(w.query.last) } end)\n";

static int open_room(void **state) {
    (void)state;
    routes_room_init(&room, app, WITH_REDIS);
    return 0;
}

static int close_room(void **state) {
    (void)state;
    routes_room_deinit(&room);
    return 0;
}

static const char *target_of(const char *query) {
    static char target[200];
    snprintf(target, sizeof(target), "/r?name=%s%s", name, query);
    return target;
}

/* A Name that nobody has used, in the partition whose logs log_room.h writes. */
static void choose_name(void) {
    static unsigned last;
    do
        snprintf(name, sizeof(name), "n%u", last++);
    while (partition_of(bytes_str(name), ROUTES_ROOM_PARTITIONS) != 0);
}

static void pause_redis(void) {
    kill(room.bus_room.redis.pid, SIGSTOP);
}

static void go_on(void) {
    kill(room.bus_room.redis.pid, SIGCONT);
}

/* Says the request of a client while Redis stands still, so that it stays where it is. */
static int begin(const char *target, const char *fields) {
    char text[1000];
    int fd = routes_room_connect(&room);
    pause_redis();
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n" ROUTES_ROOM_UPGRADE "%s\r\n",
             target, fields);
    routes_room_say(&room, fd, bytes_str(text));
    bus_room_turn(&room.bus_room, 20);
    return fd;
}

/* The same when the Name is followed already: the registration is under way. */
static int begin_registering(const char *query) {
    follows = routes_room_upgrade(&room, target_of("&id=follows"), "", NULL);
    return begin(target_of(query), "");
}

static void end_registering(int fd) {
    routes_room_hang_up(&room, fd);
    routes_room_hang_up(&room, follows);
}

static struct bytes head_of(int fd) {
    return routes_room_hear(&room, fd, "\r\n\r\n");
}

static const struct message_id future = {UINT64_MAX / 2, 0};

static struct message message_of(uint64_t seq, const char *data) {
    return (struct message){
        .id = {future.term, seq}, .kind = MESSAGE_DATA, .data = bytes_str(data)};
}

static void deliver(uint64_t seq, const char *data) {
    struct message m = message_of(seq, data);
    routes_room_deliver(&room, name, &m);
}

static const char *value_of(const char *id) {
    return bus_room_ask(&room.bus_room, "HGET sb:{%s}:c:%s %s", partition_tag(0), name, id);
}

static void assert_unregistered(const char *id) {
    for (int i = 0; i < 200 && strcmp(value_of(id), "nil") != 0; i++)
        bus_room_turn(&room.bus_room, 5);
    assert_string_equal(value_of(id), "nil");
}

/* ---- what comes while it is registered */

static void what_comes_meanwhile_follows_the_101(void **state) {
    (void)state;
    choose_name();
    int fd = begin_registering("&id=ann&group=g");
    struct bytes mine[] = {BYTES_LIT("bob"), BYTES_LIT("ann")}, others[] = {BYTES_LIT("bob")};
    struct bytes groups[] = {BYTES_LIT("x"), BYTES_LIT("G")};
    struct message m = message_of(1, "ids");
    m.to_clients = (struct bytes_list){mine, 2};
    routes_room_deliver(&room, name, &m);
    m = message_of(2, "other ids");
    m.to_clients = (struct bytes_list){others, 1};
    routes_room_deliver(&room, name, &m);
    m = message_of(3, "groups");
    m.to_groups = (struct bytes_list){groups, 2};
    routes_room_deliver(&room, name, &m);
    m = message_of(4, "other group");
    m.to_groups = (struct bytes_list){groups, 1};
    routes_room_deliver(&room, name, &m);
    deliver(5, "all");
    m = message_of(6, "note");
    m.kind = MESSAGE_NOTE;
    routes_room_deliver(&room, name, &m);
    /* before its position: it is not for those that come after */
    m = (struct message){.id = {1, 1}, .kind = MESSAGE_DATA, .data = BYTES_LIT("early")};
    routes_room_deliver(&room, name, &m);
    m = message_of(7, "bye");
    m.kind = MESSAGE_BYE;
    routes_room_deliver(&room, name, &m);
    go_on();
    routes_room_expect(head_of(fd), 101, NULL);
    routes_room_say(&room, fd, BYTES_LIT("\x88\x82\0\0\0\0\x03\xe8"));
    struct bytes frames = routes_room_hear(&room, fd, "");
    static const char expected[] = "\x81\x03ids\x81\x06groups\x81\x03"
                                   "all\x81\x04note\x88\x02\x03\xe8";
    if (!bytes_equal(frames, bytes_of(expected, sizeof(expected) - 1)))
        fail_msg("%.*s", BYTES_FMT(frames));
    end_registering(fd);
    assert_unregistered("ann");
}

static void groups_of_value(uint64_t seq, const char *value, struct bytes_list groups) {
    struct conn_details d = {.value = bytes_str(value), .changed = {5, seq}, .groups = groups};
    struct message m = message_of(seq, "");
    struct buf data = {0};
    conn_details_encode(&data, &d);
    m.kind = MESSAGE_GROUPS;
    m.data = buf_bytes(&data);
    routes_room_deliver(&room, name, &m);
    buf_deinit(&data);
}

static void to_group(uint64_t seq, const char *group) {
    struct bytes groups[] = {bytes_str(group)};
    struct message m = message_of(seq, group);
    m.to_groups = (struct bytes_list){groups, 1};
    routes_room_deliver(&room, name, &m);
}

/* Changed by somebody after its registration, which is not answered yet; and those of another
 * connection with its id are not its own. */
static void groups_that_change_meanwhile(void **state) {
    struct bytes groups[] = {BYTES_LIT("new"), BYTES_LIT("more")};
    (void)state;
    choose_name();
    uint64_t from_ms = clock_wall_ms();
    int fd = begin_registering("&id=ann&group=old");
    uint64_t number = join_number(LIST_FIRST(&clients_find(&room.clients, bytes_str(name))->joins));
    to_group(1, "old");
    groups_of_value(2, "another:1:1|", (struct bytes_list){groups, 2});
    to_group(3, "new");
    for (uint64_t ms = from_ms; ms <= clock_wall_ms(); ms++) { /* one of them is its own */
        struct buf value = {0};
        buf_printf(&value, "%s:%llu:%llu|old", bus_id(room.bus), (unsigned long long)number,
                   (unsigned long long)ms);
        buf_append_char(&value, '\0');
        groups_of_value(4, value.ptr, (struct bytes_list){groups, 2});
        buf_deinit(&value);
    }
    to_group(5, "old");
    to_group(6, "more");
    go_on();
    routes_room_expect(head_of(fd), 101, NULL);
    struct bytes frames = routes_room_hear(&room, fd, "more");
    if (!bytes_equal_str(frames, "\x81\x03old\x81\x04more"))
        fail_msg("%.*s", BYTES_FMT(frames));
    end_registering(fd);
    assert_unregistered("ann");
}

static void a_close_that_came_meanwhile_is_the_end(void **state) {
    (void)state;
    choose_name();
    int fd = begin_registering("&id=ann");
    deliver(1, "before");
    char room_of_close[2 + 10] = "\x0f\xa7why";
    struct message m = message_of(2, "");
    m.kind = MESSAGE_CLOSE;
    m.data = bytes_of(room_of_close, 5);
    routes_room_deliver(&room, name, &m);
    deliver(3, "after");
    go_on();
    routes_room_expect(head_of(fd), 101, NULL);
    struct bytes frames = routes_room_hear(&room, fd, "why");
    static const char expected[] = "\x81\x06"
                                   "before\x88\x05\x0f\xa7why";
    if (!bytes_equal(frames, bytes_of(expected, sizeof(expected) - 1)))
        fail_msg("%.*s", BYTES_FMT(frames));
    end_registering(fd);
    assert_unregistered("ann");
}

enum { HELD_MAX = 1024 * 1024 };

/* The bound holds for what is kept already: one more may pass it, the next may not. */
static void only_so_much_is_held(void **state) {
    char *large = mem_alloc(HELD_MAX + 1);
    (void)state;
    memset(large, 'x', HELD_MAX);
    large[HELD_MAX] = '\0';
    for (int more = 0; more <= 1; more++) {
        choose_name();
        int fd = begin_registering("&id=ann");
        deliver(1, large);
        if (more == 1)
            deliver(2, "y");
        go_on();
        struct bytes head = head_of(fd);
        routes_room_expect(head, more == 0 ? 101 : 503, NULL);
        if (more == 1)
            assert_true(bytes_equal_str(routes_room_hear(&room, fd, ""),
                                        "too many messages while the connection was registered\n"));
        end_registering(fd);
        assert_unregistered("ann");
    }
    free(large);
}

static void a_gap_meanwhile_closes_unless_the_name_goes_on(void **state) {
    static const struct {
        const char *name;
        enum gap gap;
        bool is_closed;
    } cases[] = {{"Stops", GAP_LOST, true},    {"Goes", GAP_LOST, false},
                 {"Stops", GAP_REWOUND, true}, {"Goes", GAP_REWOUND, false},
                 {"Stops", GAP_NONE, false},   {"Goes", GAP_NONE, false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(name, sizeof(name), "%s", cases[i].name);
        int fd = begin_registering("&id=ann");
        routes_room_lose(&room, name, cases[i].gap);
        go_on();
        routes_room_expect(head_of(fd), 101, NULL);
        if (!cases[i].is_closed)
            routes_room_say(&room, fd, BYTES_LIT("\x88\x82\0\0\0\0\x03\xe8"));
        struct bytes frames = routes_room_hear(&room, fd, cases[i].is_closed ? "\x0f\xa4" : "");
        struct bytes expected =
            cases[i].is_closed ? bytes_of("\x88\x02\x0f\xa4", 4) : bytes_of("\x88\x02\x03\xe8", 4);
        assert_true(bytes_starts_with(frames, bytes_head(expected, 1)));
        assert_non_null(memmem(frames.ptr, frames.len, expected.ptr + 2, 2));
        end_registering(fd);
    }
}

/* Before it follows, nothing is its business. */
static void before_the_name_is_followed_nothing_is_held(void **state) {
    (void)state;
    choose_name();
    int fd = begin(target_of("&id=ann"), "");
    deliver(1, "early");
    routes_room_lose(&room, name, GAP_LOST);
    go_on();
    routes_room_expect(head_of(fd), 101, NULL);
    routes_room_say(&room, fd, BYTES_LIT("\x88\x82\0\0\0\0\x03\xe8"));
    assert_true(bytes_equal_str(routes_room_hear(&room, fd, ""), "\x88\x02\x03\xe8"));
    routes_room_hang_up(&room, fd);
}

/* ---- what fails */

static void redis_may_not_confirm_the_follow(void **state) {
    (void)state;
    choose_name();
    int fd = begin(target_of("&id=ann"), "");
    char byte;
    skipped_ms += 2500;
    bus_room_turn(&room.bus_room, 20);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
    skipped_ms += 2500;
    routes_room_expect(routes_room_hear(&room, fd, ""), 503, "Redis is not reached\n");
    go_on();
    routes_room_hang_up(&room, fd);
    for (int i = 0; i < 500 && !bus_may_register(room.bus); i++)
        bus_room_turn(&room.bus_room, 10);
}

/* A process that stood still finds the limit over and the answer unread; the answer counts. The
 * links to Redis have limits of their own, which may be over, too; but not each time. */
static void a_standstill_of_ours_is_not_redis_fault(void **state) {
    int status = 0;
    (void)state;
    for (int tries = 0; tries < 8 && status != 101; tries++) {
        choose_name();
        int fd = begin(target_of("&id=ann"), "");
        go_on();
        for (int i = 0; i < 3; i++)
            bus_room_ask(&room.bus_room, "PING"); /* it has answered, and we do not look */
        skipped_ms += 5000;
        status = routes_room_status(head_of(fd));
        routes_room_hang_up(&room, fd);
        for (int i = 0; i < 500 && !bus_may_register(room.bus); i++)
            bus_room_turn(&room.bus_room, 10);
    }
    assert_int_equal(status, 101);
}

static void redis_may_refuse_the_registration(void **state) {
    (void)state;
    choose_name();
    bus_room_ask(&room.bus_room, "CONFIG SET maxmemory 1");
    routes_room_expect(routes_room_get(&room, "GET", target_of("&id=ann"), ROUTES_ROOM_UPGRADE),
                       503, "the connection could not be registered\n");
    bus_room_ask(&room.bus_room, "CONFIG SET maxmemory 0");
    assert_unregistered("ann");
    for (int i = 0; i < 500 && !bus_may_register(room.bus); i++)
        bus_room_turn(&room.bus_room, 10);
    routes_room_hang_up(&room, routes_room_upgrade(&room, target_of("&id=ann"), "", NULL));
}

/* Redis has registered it for a gateway that is another by now. */
static void the_gateway_may_be_declared_dead_meanwhile(void **state) {
    char old[32];
    (void)state;
    choose_name();
    snprintf(old, sizeof(old), "%s", bus_id(room.bus));
    follows = routes_room_upgrade(&room, target_of("&id=follows"), "", NULL);
    bus_room_ask(&room.bus_room, "SET sb:{sb}:dead:%s 1", old);
    pause_redis();
    bus_room_turn(&room.bus_room, 1200); /* its heartbeat is on the way */
    int fd = begin(target_of("&id=ann"), "");
    go_on();
    routes_room_expect(routes_room_hear(&room, fd, ""), 503, "this gateway was declared dead\n");
    end_registering(fd);
    assert_string_not_equal(bus_id(room.bus), old);
    assert_unregistered("ann");
    for (int i = 0; i < 500 && !bus_may_register(room.bus); i++)
        bus_room_turn(&room.bus_room, 10);
    routes_room_hang_up(&room, routes_room_upgrade(&room, target_of("&id=ann"), "", NULL));
}

static void the_client_may_leave_at_each_step(void **state) {
    (void)state;
    for (int step = 0; step <= 1; step++) {
        choose_name();
        unsigned left = room.left;
        int fd = step == 0 ? begin(target_of("&id=ann"), "") : begin_registering("&id=ann");
        close(fd);
        room.callers--;
        bus_room_turn(&room.bus_room, 20);
        go_on();
        bus_room_turn(&room.bus_room, 50);
        assert_unregistered("ann");
        if (step == 1)
            routes_room_hang_up(&room, follows);
        bus_room_turn(&room.bus_room, 20);
        assert_int_equal(room.left, left + 1 + (unsigned)step); /* each once */
    }
}

/* ---- what was missed */

#define V1 "Sec-WebSocket-Protocol: signalbox.v1\r\n"

/* Five messages and the position after them. */
static void make_history(void) {
    char id[16], prev[16] = "";
    choose_name();
    for (int i = 1; i <= 5; i++) {
        snprintf(id, sizeof(id), "1000-%d", i);
        log_append(&room.bus_room, name, id, prev, AS_BROKER);
        snprintf(prev, sizeof(prev), "%s", id);
    }
    log_own(&room.bus_room, "1000", "1000-5", "0 1000");
    bus_room_ask(&room.bus_room, "SET sb:{%s}:l* 1000-0", partition_tag(0));
}

/* The data of the messages that follow the hello, which has this field, each with a blank after it; static. */
static const char *behind(int fd, const char *field) {
    static char got[200];
    got[0] = '\0';
    (void)routes_room_hear(&room, fd, "\"type\":\"hello\"");
    (void)routes_room_hear(&room, fd, field);
    routes_room_say(&room, fd, BYTES_LIT("\x88\x82\0\0\0\0\x03\xe8"));
    struct bytes rest = routes_room_hear(&room, fd, "");
    const char *at = rest.ptr, *end = rest.ptr + rest.len;
    static const char key[] = "\"data\":\"";
    while (at != NULL && (at = memmem(at, (size_t)(end - at), key, sizeof(key) - 1)) != NULL) {
        at += sizeof(key) - 1;
        const char *quote = memchr(at, '"', (size_t)(end - at));
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s ", (int)(quote - at), at);
    }
    routes_room_hang_up(&room, fd);
    return got;
}

static const char *missed(int fd, const char *recovered) {
    char field[64];
    snprintf(field, sizeof(field), "\"recovered\":%s", recovered);
    return behind(fd, field);
}

static void what_was_missed_comes_first(void **state) {
    static const struct {
        const char *resume, *recovered, *missed;
    } cases[] = {
        {"", "null", ""},
        {"&signalbox-resume=1000-5", "true", ""},
        {"&signalbox-resume=1000-4", "true", "1000-5 "},
        {"&signalbox-resume=1000-1", "true", "1000-2 1000-3 1000-4 1000-5 "},
        {"&x=1&signalbox-resume=1000-3&y", "true", "1000-4 1000-5 "},
        {"&signalbox-resume=1000-2&signalbox-resume=1000-4", "true", "1000-5 "},
        {"&signalbox-resume=1000-6", "false", ""}, /* nobody said so */
        {"&signalbox-resume=2000-0", "false", ""},
        {"&signalbox-resume=x", "false", ""},
        {"&signalbox-resume=", "false", ""},
        {"&signalbox-resume", "false", ""},
        {"&signalbox-resumes=1000-4", "null", ""},
        {"&Signalbox-Resume=1000-4", "null", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make_history();
        int fd = routes_room_upgrade(&room, target_of(cases[i].resume), V1, NULL);
        const char *got = missed(fd, cases[i].recovered);
        if (strcmp(got, cases[i].missed) != 0)
            fail_msg("%s: %s", cases[i].resume, got);
    }
}

/* ---- the last ones */

/* The texts of the frames that follow the 101 up to the Close, each with a blank after it; static. */
static const char *frames_of(int fd) {
    static char got[400];
    got[0] = '\0';
    routes_room_say(&room, fd, BYTES_LIT("\x88\x82\0\0\0\0\x03\xe8"));
    struct bytes rest = routes_room_hear(&room, fd, "");
    while (rest.len > 2 && rest.ptr[0] == '\x81') {
        size_t len = (unsigned char)rest.ptr[1];
        assert_true(len < 126);
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s ", (int)len, rest.ptr + 2);
        rest = bytes_from(rest, 2 + len);
    }
    routes_room_hang_up(&room, fd);
    return got;
}

static void the_last_messages_come_first(void **state) {
    static const struct {
        const char *query, *got;
    } cases[] = {
        {"", ""},
        {"&last=0", ""},
        {"&last=1", "1000-5 "},
        {"&last=3", "1000-3 1000-4 1000-5 "},
        {"&last=5", "1000-1 1000-2 1000-3 1000-4 1000-5 "},
        {"&last=1000", "1000-1 1000-2 1000-3 1000-4 1000-5 "},
        {"&last=3&signalbox-last=2", "1000-4 1000-5 "},
        {"&last=3&signalbox-last=0", ""},
        {"&last=1&signalbox-last=2", "1000-5 "},
        {"&last=1&signalbox-last=99999999999999999999999", "1000-5 "},
        {"&last=2&signalbox-last=-1", "1000-4 1000-5 "},
        {"&last=2&signalbox-last=1x", "1000-4 1000-5 "},
        {"&last=2&signalbox-last=", "1000-4 1000-5 "},
        {"&last=2&signalbox-last", "1000-4 1000-5 "},
        {"&signalbox-last=2", ""},                             /* the app gives none */
        {"&last=2&signalbox-resume=1000-1", "1000-4 1000-5 "}, /* which the plain format has not */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make_history();
        const char *got =
            frames_of(routes_room_upgrade(&room, target_of(cases[i].query), "", NULL));
        if (strcmp(got, cases[i].got) != 0)
            fail_msg("%s: %s", cases[i].query, got);
        assert_int_equal(room.routes.replays.running, 0);
    }
}

/* The hello says where to go on for a client that is lost before they have come. */
static void a_resume_wins_over_the_last_messages(void **state) {
    static const struct {
        const char *query, *hello, *got;
    } cases[] = {
        {"&last=2", "\"id\":\"1000-3\"", "1000-4 1000-5 "},
        {"&last=5", "\"id\":\"1000-0\"", "1000-1 1000-2 1000-3 1000-4 1000-5 "},
        {"&last=2", "\"recovered\":null", "1000-4 1000-5 "},
        {"&last=2&signalbox-last=0", "\"id\":\"1000-5\"", ""},
        {"&last=2&signalbox-resume=1000-5", "\"recovered\":true", ""},
        {"&last=2&signalbox-resume=1000-2", "\"recovered\":true", "1000-3 1000-4 1000-5 "},
        {"&last=2&signalbox-resume=1000-9", "\"recovered\":false", ""},
        {"&last=2&signalbox-resume=x", "\"recovered\":false", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make_history();
        int fd = routes_room_upgrade(&room, target_of(cases[i].query), V1, NULL);
        const char *got = behind(fd, cases[i].hello);
        if (strcmp(got, cases[i].got) != 0)
            fail_msg("%s: %s", cases[i].query, got);
    }
}

static void say_for(const char *log, const char *id, const struct message *to) {
    struct message m = *to;
    struct buf blob = {0}, key = {0};
    m.id = id_of(id);
    m.data = bytes_str(id);
    if (m.kind == MESSAGE_CLOSE)
        m.data = bytes_of("\x0f\xa7why", 5);
    message_encode(&blob, &m);
    struct bytes at = *log == '*' ? key_of(&key, 0, KEY_HISTORY_OF_ALL, BYTES_NONE)
                                  : key_of(&key, 0, KEY_HISTORY, bytes_str(log));
    struct redisReply *reply = redisCommand(room.bus_room.redis.admin, "XADD %b %s m %b", at.ptr,
                                            at.len, id, blob.ptr, blob.len);
    assert_non_null(reply);
    freeReplyObject(reply);
    buf_deinit(&blob);
    buf_deinit(&key);
}

/* One in many is for this client, in either log; and a close was for those of its time. */
static void only_what_was_for_the_client_counts(void **state) {
    struct bytes ids[] = {BYTES_LIT("bob"), BYTES_LIT("ann")}, groups[] = {BYTES_LIT("G")};
    const struct message all = {.kind = MESSAGE_DATA}, close = {.kind = MESSAGE_CLOSE},
                         ann = {.kind = MESSAGE_DATA, .to_clients = {ids, 2}},
                         bob = {.kind = MESSAGE_DATA, .to_clients = {ids, 1}},
                         group = {.kind = MESSAGE_DATA, .to_groups = {groups, 1}},
                         conn = {.kind = MESSAGE_DATA, .to_conn = BYTES_LIT("x:1:1|")};
    char id[16];
    (void)state;
    make_history();
    bus_room_ask(&room.bus_room, "DEL sb:{%s}:h*", partition_tag(0));
    say_for(name, "1000-6", &ann);
    say_for("*", "1000-7", &group);
    for (int i = 8; i < 600; i++) {
        snprintf(id, sizeof(id), "1000-%d", i);
        say_for(i % 2 == 0 ? "*" : name, id, i % 3 == 0 ? &bob : i % 3 == 1 ? &conn : &close);
    }
    say_for(name, "1000-600", &all);
    say_for(name, "1000-601", &all); /* after its position */
    log_own(&room.bus_room, "1000", "1000-600", "0 1000");
    int fd = routes_room_upgrade(&room, target_of("&last=4&id=ann&group=g"), "", NULL);
    assert_string_equal(frames_of(fd), "1000-5 1000-6 1000-7 1000-600 ");
    fd = routes_room_upgrade(&room, target_of("&last=2&id=cid"), "", NULL);
    assert_string_equal(frames_of(fd), "1000-5 1000-600 ");
    bus_room_ask(&room.bus_room, "DEL sb:{%s}:h*", partition_tag(0));
}

/* One that was published just before the history was read, and one just after. */
static void nothing_is_lost_or_doubled_behind_the_last(void **state) {
    (void)state;
    make_history();
    follows = routes_room_upgrade(&room, target_of("&id=follows"), "", NULL);
    int fd = begin(target_of("&last=2"), "");
    struct message m = {.id = {1000, 5}, .kind = MESSAGE_DATA, .data = BYTES_LIT("read, too")};
    routes_room_deliver(&room, name, &m);
    m.id.seq = 6;
    m.data = BYTES_LIT("next");
    routes_room_deliver(&room, name, &m);
    go_on();
    (void)head_of(fd);
    assert_string_equal(frames_of(fd), "1000-4 1000-5 next ");
    routes_room_hang_up(&room, follows);
}

/* The ids of what is read and of what is live mean nothing to each other then. */
static void the_data_may_be_reset_before_they_are_read(void **state) {
    static const char *const queries[] = {"&last=2", "&signalbox-resume=1000-3"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        make_history();
        follows = routes_room_upgrade(&room, target_of("&id=follows"), "", NULL);
        log_own(&room.bus_room, "1000", "1000-9", "0 1000");
        room.routes.replays.running = 64;
        int fd = begin(target_of(queries[i]), V1);
        go_on();
        bus_room_turn(&room.bus_room, 50);
        clients_find(&room.clients, bytes_str(name))->continues_on_gap = true;
        routes_room_lose(&room, name, GAP_REWOUND);
        struct message m = {.id = {1, 5}, .kind = MESSAGE_DATA, .data = BYTES_LIT("live")};
        routes_room_deliver(&room, name, &m);
        room.routes.replays.running = 0;
        routes_room_hang_up(&room, routes_room_upgrade(&room, target_of("&last=1"), V1, NULL));
        (void)head_of(fd);
        assert_string_equal(behind(fd, i == 0 ? "null" : "false"), "live ");
        routes_room_hang_up(&room, follows);
    }
}

/* As much as is kept for a resume; the newest. */
static void only_so_much_of_the_last_is_held(void **state) {
    (void)state;
    make_history();
    room.bus_room.settings.history_bytes = -HELD_MAX + 2;
    int fd = routes_room_upgrade(&room, target_of("&last=5"), "", NULL);
    assert_string_equal(frames_of(fd), "1000-5 ");
    room.bus_room.settings.history_bytes = 256 * 1024;
}

/* Many wait for a turn to read when Redis goes: all of them are refused. */
static void redis_may_go_while_many_wait_to_read(void **state) {
    int fds[5];
    (void)state;
    make_history();
    follows = routes_room_upgrade(&room, target_of("&id=follows"), "", NULL);
    room.routes.replays.running = 64;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = begin(target_of(i % 2 == 0 ? "&last=2" : "&signalbox-resume=1000-3"), V1);
        go_on();
        bus_room_turn(&room.bus_room, 50);
    }
    pause_redis();
    room.routes.replays.running = 63;
    routes_room_hang_up(&room, fds[0]); /* the next one has its turn, and no answer */
    assert_int_equal(room.routes.replays.running, 64);
    redis_server_kill(&room.bus_room.redis);
    for (size_t i = 1; i < ARRAY_LEN(fds); i++)
        routes_room_expect(routes_room_hear(&room, fds[i], ""), 503,
                           "the history could not be read\n");
    assert_int_equal(room.routes.replays.running, 63);
    room.routes.replays.running = 0;
    redis_server_restart(&room.bus_room.redis, "");
    for (size_t i = 1; i < ARRAY_LEN(fds); i++)
        routes_room_hang_up(&room, fds[i]);
    routes_room_hang_up(&room, follows);
}

static void without_v1_nothing_is_resumed(void **state) {
    (void)state;
    make_history();
    int fd = routes_room_upgrade(&room, target_of("&signalbox-resume=1000-1"), "", NULL);
    routes_room_say(&room, fd, BYTES_LIT("\x88\x82\0\0\0\0\x03\xe8"));
    assert_true(bytes_equal_str(routes_room_hear(&room, fd, ""), "\x88\x02\x03\xe8"));
    routes_room_hang_up(&room, fd);
}

static void a_history_may_begin_later(void **state) {
    (void)state;
    make_history();
    bus_room_ask(&room.bus_room, "XTRIM sb:{%s}:h:%s MAXLEN 2", partition_tag(0), name);
    int fd = routes_room_upgrade(&room, target_of("&signalbox-resume=1000-1"), V1, NULL);
    assert_string_equal(missed(fd, "false"), "1000-4 1000-5 ");
}

/* What came while it was read follows what was read. */
static void what_comes_meanwhile_follows_what_was_missed(void **state) {
    (void)state;
    make_history();
    follows = routes_room_upgrade(&room, target_of("&id=follows"), "", NULL);
    int fd = begin(target_of("&signalbox-resume=1000-3"), V1);
    struct message m = {.id = {1000, 5}, .kind = MESSAGE_DATA, .data = BYTES_LIT("read, too")};
    routes_room_deliver(&room, name, &m); /* it is the last of those that are read */
    m.id.seq = 6;
    m.data = BYTES_LIT("next");
    routes_room_deliver(&room, name, &m);
    deliver(1, "live");
    go_on();
    assert_string_equal(missed(fd, "true"), "1000-4 1000-5 next live ");
    routes_room_hang_up(&room, follows);
}

/* Only 64 histories are read at a time; the next in turn is read when one of them has ended, or
 * when its client is gone. */
static void histories_are_read_in_turn(void **state) {
    char byte;
    (void)state;
    make_history();
    follows = routes_room_upgrade(&room, target_of("&id=follows"), "", NULL);
    const char *target = target_of("&signalbox-resume=1000-3");
    room.routes.replays.running = 64;
    int first = begin(target, V1);
    go_on();
    int gone = begin(target, V1), third = begin(target, V1);
    go_on();
    bus_room_turn(&room.bus_room, 50);
    assert_int_equal(recv(first, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
    assert_int_equal(recv(third, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
    routes_room_hang_up(&room, gone);
    assert_int_equal(room.routes.replays.running, 64);
    room.routes.replays.running = 63;
    int fourth = routes_room_upgrade(&room, target, V1, NULL); /* and lets the others go on */
    assert_string_equal(missed(fourth, "true"), "1000-4 1000-5 ");
    routes_room_expect(head_of(first), 101, NULL);
    assert_string_equal(missed(first, "true"), "1000-4 1000-5 ");
    routes_room_expect(head_of(third), 101, NULL);
    assert_string_equal(missed(third, "true"), "1000-4 1000-5 ");
    assert_int_equal(room.routes.replays.running, 63);
    room.routes.replays.running = 0;
    routes_room_hang_up(&room, follows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_meanwhile_follows_the_101),
        cmocka_unit_test(groups_that_change_meanwhile),
        cmocka_unit_test(a_close_that_came_meanwhile_is_the_end),
        cmocka_unit_test(only_so_much_is_held),
        cmocka_unit_test(a_gap_meanwhile_closes_unless_the_name_goes_on),
        cmocka_unit_test(before_the_name_is_followed_nothing_is_held),
        cmocka_unit_test(redis_may_not_confirm_the_follow),
        cmocka_unit_test(a_standstill_of_ours_is_not_redis_fault),
        cmocka_unit_test(redis_may_refuse_the_registration),
        cmocka_unit_test(the_gateway_may_be_declared_dead_meanwhile),
        cmocka_unit_test(the_client_may_leave_at_each_step),
        cmocka_unit_test(what_was_missed_comes_first),
        cmocka_unit_test(without_v1_nothing_is_resumed),
        cmocka_unit_test(a_history_may_begin_later),
        cmocka_unit_test(what_comes_meanwhile_follows_what_was_missed),
        cmocka_unit_test(histories_are_read_in_turn),
        cmocka_unit_test(the_last_messages_come_first),
        cmocka_unit_test(a_resume_wins_over_the_last_messages),
        cmocka_unit_test(only_what_was_for_the_client_counts),
        cmocka_unit_test(nothing_is_lost_or_doubled_behind_the_last),
        cmocka_unit_test(the_data_may_be_reset_before_they_are_read),
        cmocka_unit_test(only_so_much_of_the_last_is_held),
        cmocka_unit_test(redis_may_go_while_many_wait_to_read),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, open_room, close_room);
}
