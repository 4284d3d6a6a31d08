/* A page of the history: what is in it, where it ends, and where the next one goes on. */
#include "common/bus/log/retained.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/bus/partition.h"
#include "tests/common/bus/log_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
    char got[4000];
    struct message_id next;
    unsigned done;
    int status;
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    t.bus = bus_room_join(&t.room, BUS_TOOL);
    log_own(&t.room, "5", "5-9", "0 5");
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void show_list(struct test *t, const char *before, struct bytes_list list) {
    for (size_t i = 0; i < list.count; i++)
        snprintf(t->got + strlen(t->got), sizeof(t->got) - strlen(t->got), "%s%.*s", before,
                 BYTES_FMT(list.items[i]));
}

static void on_page(void *ctx, int status, const struct retained_page *page) {
    struct test *t = ctx;
    t->status = status;
    t->done++;
    t->got[0] = '\0';
    if (status < 0)
        return;
    t->next = page->next;
    for (size_t i = 0; i < page->count; i++) {
        const struct message *m = &page->messages[i];
        char id[MESSAGE_ID_TEXT];
        snprintf(t->got + strlen(t->got), sizeof(t->got) - strlen(t->got), "%s%s%.*s",
                 m->is_to_every ? "*" : "", message_id_format(m->id, id),
                 (int)(m->from.len < 5 ? m->from.len : 5), m->from.ptr);
        show_list(t, "@", m->to_groups);
        show_list(t, "#", m->to_clients);
        strcat(t->got, " ");
    }
}

static const char *page(struct test *t, const char *before, unsigned limit) {
    const struct retained_ask ask = {BYTES_LIT("N"), id_of(before), limit};
    t->done = 0;
    (void)retained_start(t->bus, &ask, on_page, t);
    assert_int_equal(t->done, 0);
    bus_room_until(&t->room, &t->done, 1, 5000);
    return t->got;
}

static void pages_lead_to_each_other(void **state) {
    struct test *t = *state;
    assert_string_equal(page(t, "", 3), "");
    assert_true(message_id_is_none(t->next));
    for (int i = 1; i <= 7; i++) {
        char id[16];
        snprintf(id, sizeof(id), "5-%d", i);
        log_append(&t->room, i == 4 ? "*" : "N", id, "", AS_BROKER);
    }
    static const struct {
        const char *before;
        unsigned limit;
        const char *got;
        struct message_id next;
    } rows[] = {
        {"", 3, "5-7 5-6 5-5 ", {5, 5}},
        {"5-5", 3, "*5-4 5-3 5-2 ", {5, 2}},
        {"5-2", 3, "5-1 ", {0, 0}},
        {"5-1", 3, "", {0, 0}}, /* no longer there, or never: nothing is before it */
        {"4-9", 3, "", {0, 0}},
        {"", 7, "5-7 5-6 5-5 *5-4 5-3 5-2 5-1 ", {0, 0}}, /* exactly all */
        {"", 6, "5-7 5-6 5-5 *5-4 5-3 5-2 ", {5, 2}},
        {"", 1, "5-7 ", {5, 7}},
        {"", LOOK_BACK_MAX, "5-7 5-6 5-5 *5-4 5-3 5-2 5-1 ", {0, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *got = page(t, rows[i].before, rows[i].limit);
        if (strcmp(got, rows[i].got) != 0 || message_id_compare(t->next, rows[i].next) != 0)
            fail_msg("before '%s' %u: %s", rows[i].before, rows[i].limit, got);
    }
}

static void say(struct test *t, const char *id, const struct message *as) {
    struct message m = *as;
    struct buf blob = {0}, key = {0};
    m.id = id_of(id);
    message_encode(&blob, &m);
    struct bytes at = key_of(&key, 0, KEY_HISTORY, BYTES_LIT("N"));
    struct redisReply *reply = redisCommand(t->room.redis.admin, "XADD %b %s m %b", at.ptr, at.len,
                                            id, blob.ptr, blob.len);
    assert_non_null(reply);
    freeReplyObject(reply);
    buf_deinit(&blob);
    buf_deinit(&key);
}

static void messages_come_with_their_addresses(void **state) {
    struct test *t = *state;
    struct bytes groups[] = {BYTES_LIT("g"), BYTES_LIT("h")}, ids[] = {BYTES_LIT("ann")};
    say(t, "5-1",
        &(struct message){.kind = MESSAGE_DATA, .from = BYTES_LIT("bob"), .data = BYTES_LIT("x")});
    say(t, "5-2", &(struct message){.kind = MESSAGE_DATA, .to_groups = {groups, 2}});
    say(t, "5-3", &(struct message){.kind = MESSAGE_CLOSE, .data = BYTES_LIT("\x0f\xa7why")});
    say(t, "5-4", &(struct message){.kind = MESSAGE_DATA, .to_clients = {ids, 1}});
    bus_room_ask(&t->room, "XADD sb:{%s}:h:N 5-5 m rubbish", partition_tag(0));
    assert_string_equal(page(t, "", 10), "5-4#ann 5-2@g@h 5-1bob ");
}

/* The one that goes over the bound is there, the next one is not. */
static void a_page_has_so_many_bytes(void **state) {
    struct test *t = *state;
    struct buf large = {0};
    while (large.len < RETAINED_BYTES_MAX / 2)
        buf_append_str(&large, "0123456789abcdef");
    const struct message m = {.kind = MESSAGE_DATA, .data = buf_bytes(&large)};
    for (int i = 1; i <= 4; i++) {
        char id[16];
        snprintf(id, sizeof(id), "5-%d", i);
        say(t, id, &m);
    }
    buf_deinit(&large);
    assert_string_equal(page(t, "", 10), "5-4 5-3 ");
    assert_int_equal(t->next.seq, 3);
    assert_string_equal(page(t, "5-3", 10), "5-2 5-1 ");
    assert_true(message_id_is_none(t->next));
}

static void what_fails_is_said(void **state) {
    struct test *t = *state;
    log_append(&t->room, "N", "5-1", "", AS_BROKER);
    (void)page(t, "7-1", 10);
    assert_int_equal(t->status, -ESTALE);
    assert_string_equal(retained_failure(t->status),
                        "before: the data that it belongs to was given up");
    bus_room_ask(&t->room, "DEL sb:{%s}:h:N", partition_tag(0));
    bus_room_ask(&t->room, "SET sb:{%s}:h:N x", partition_tag(0));
    (void)page(t, "", 10);
    assert_int_equal(t->status, -ENOTCONN);
    assert_string_equal(retained_failure(t->status), "Redis went away");
    const struct retained_ask ask = {BYTES_LIT("N"), MESSAGE_ID_NONE, 1};
    t->done = 0;
    retained_cancel(retained_start(t->bus, &ask, on_page, t));
    bus_room_turn(&t->room, 50);
    assert_int_equal(t->done, 0);
    retained_cancel(NULL);
}

static void which_ids_a_page_may_be_before(void **state) {
    static const char *const bad[] = {"", "x", "0-0", "5", "5-", "-1", "5-1x", " 5-1"};
    struct message_id id;
    (void)state;
    assert_true(retained_parse_before(BYTES_LIT("5-1"), &id));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (retained_parse_before(bytes_str(bad[i]), &id))
            fail_msg("'%s'", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_lead_to_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_come_with_their_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_has_so_many_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_fails_is_said, setup, teardown),
        cmocka_unit_test(which_ids_a_page_may_be_before),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
