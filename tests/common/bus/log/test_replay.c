/* What a client that resumes is told: everything, or not, and never "everything" wrongly. */
#include "common/bus/log/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/partition.h"
#include "tests/common/bus/log_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
    char got[400];
    unsigned messages, done;
    bool is_complete;
    /* XTRIM of this log when so many messages were read */
    const char *trimmed;
    unsigned trim_at;
};

static int setup_partitions(void **state, unsigned partitions) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, partitions);
    t.bus = bus_room_join(&t.room, BUS_TOOL);
    *state = &t;
    return 0;
}

static int setup(void **state) {
    return setup_partitions(state, 1);
}

static int setup_four(void **state) {
    return setup_partitions(state, 4);
}

static int teardown(void **state) {
    struct test *t = *state;
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_message(void *ctx, const struct message *m) {
    struct test *t = ctx;
    size_t len = strlen(t->got);
    snprintf(t->got + len, sizeof(t->got) - len, "%s%.*s", len > 0 ? " " : "", BYTES_FMT(m->data));
    if (++t->messages == t->trim_at)
        bus_room_ask(&t->room, "%s", t->trimmed);
}

static void on_done(void *ctx, int status, bool is_complete) {
    struct test *t = ctx;
    assert_int_equal(status, 0);
    t->is_complete = is_complete;
    t->done++;
}

static bool replay(struct test *t, const char *after, const char *until) {
    static const struct replay_events events = {on_message, on_done};
    t->done = t->messages = 0;
    t->got[0] = '\0';
    assert_non_null(replay_start(
        t->bus, &(struct replay_range){BYTES_LIT("N"), id_of(after), id_of(until)}, &events, t));
    bus_room_until(&t->room, &t->done, 1, 5000);
    return t->is_complete;
}

/* One log each for own and every, "id<prev …"; l: is `last`. */
struct row {
    const char *what, *own, *own_last, *every, *every_last, *lineage;
    const char *after, *until, *got;
    bool is_complete;
};

static void append_all(struct test *t, const char *name, const char *entries) {
    char copy[200], *rest = copy;
    snprintf(copy, sizeof(copy), "%s", entries);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char *prev = strchr(word, '<');
        *prev++ = '\0';
        log_append(&t->room, name, word, prev, IN_HISTORY);
    }
}

static void set_last(struct test *t, const char *what, const char *last) {
    if (*last != '\0')
        bus_room_ask(&t->room, "SET sb:{%s}:%s %s", partition_tag(0), what, last);
}

static void says_whether_it_is_everything(void **state) {
    struct test *t = *state;
    static const struct row rows[] = {
        {"all there", "5-1<0-0 5-2<5-1 5-3<5-2", "5-3", "", "5-0", "0 5", "5-1", "5-3", "5-2 5-3",
         true},
        {"nothing new", "", "5-1", "", "5-0", "0 5", "5-1", "5-9", "", true},
        {"the history expired", "", "5-3", "", "5-0", "0 5", "5-1", "5-3", "", false},
        {"the history expired, and a later one came", "5-9<5-3", "5-9", "", "5-0", "0 5", "5-1",
         "5-4", "", false},
        {"later ones only", "5-9<5-1", "5-9", "", "5-0", "0 5", "5-1", "5-4", "", true},
        {"the oldest were trimmed", "5-3<5-2", "5-3", "", "5-0", "0 5", "5-1", "5-3", "5-3", false},
        {"one is missing in between", "5-2<5-1 5-4<5-3", "5-4", "", "5-0", "0 5", "5-1", "5-4",
         "5-2 5-4", false},
        {"the log begins here", "5-2<5-0", "5-2", "", "5-0", "0 5", "5-1", "5-2", "5-2", true},
        {"the log begins later", "6-2<6-0", "6-2", "", "5-0", "0 5 6", "5-1", "6-2", "6-2", false},
        {"the predecessor is not known", "5-2<0-0", "5-2", "", "5-0", "0 5", "5-1", "5-2", "5-2",
         false},
        {"to every Name: there", "", "5-1", "5-2<5-0", "5-2", "0 5", "5-1", "5-2", "5-2", true},
        {"to every Name: expired", "", "5-1", "", "5-2", "0 5", "5-1", "5-2", "", false},
        {"merged", "5-2<5-1 5-4<5-2", "5-4", "5-3<5-0", "5-3", "0 5", "5-1", "5-4", "5-2 5-3 5-4",
         true},
        {"nothing is known", "", "", "", "", "0 5", "5-1", "5-4", "", false},
        {"of a term that was given up", "6-1<4-1", "6-1", "", "4-0", "0 4 6", "5-7", "6-1", "6-1",
         false},
        {"of a term later than all", "4-3<4-2", "4-3", "", "4-0", "0 4", "5-7", "5-9", "", false},
        {"older than what is known of terms", "6-1<1-1", "6-1", "", "1-0", "5 6", "1-1", "6-1",
         "6-1", false},
        {"before the first term", "6-1<5-0", "6-1", "", "5-0", "0 6", "5-0", "6-1", "6-1", true},
        {"terms not known", "6-1<5-3", "6-1", "", "5-0", "", "5-3", "6-1", "6-1", false},
        {"terms not known, the latest", "6-3<6-2", "6-3", "", "5-0", "", "6-2", "6-3", "6-3", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        bus_room_ask(&t->room, "FLUSHALL");
        append_all(t, "N", r->own);
        append_all(t, "*", r->every);
        set_last(t, "l:N", r->own_last);
        set_last(t, "l*", r->every_last);
        const char *space = strrchr(r->lineage, ' ');
        log_own(&t->room, *r->lineage == '\0' ? "6" : space + 1, "", r->lineage);
        bool is_complete = replay(t, r->after, r->until);
        if (is_complete != r->is_complete || strcmp(t->got, r->got) != 0)
            fail_msg("%s: complete=%d got '%s'", r->what, is_complete, t->got);
    }
}

/* All that the logs hold follows, but they may have held more before l:N was made. */
static void what_was_before_a_log_began_is_not_known(void **state) {
    struct test *t = *state;
    static const struct {
        const char *since, *after;
        bool is_complete;
    } rows[] = {
        {"5-3", "5-2", false}, {"5-3", "5-3", true}, {"5-3", "5-4", true}, {"?", "5-2", true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bus_room_ask(&t->room, "FLUSHALL");
        log_own(&t->room, "5", "", "0 5");
        set_last(t, "l:N", "5-0");
        set_last(t, "l*", "5-0");
        set_last(t, "s:N", rows[i].since);
        assert_int_equal(replay(t, rows[i].after, "5-9"), rows[i].is_complete);
    }
}

/* The history has expired, and the newest are kept: they prove as much as in the history. */
static void what_is_kept_is_replayed(void **state) {
    struct test *t = *state;
    static const struct {
        const char *kept, *own, *after, *got;
        bool is_complete;
    } rows[] = {
        {"5-3<5-2", "", "5-2", "5-3", true},
        {"5-3<5-2", "", "5-1", "5-3", false},
        {"5-2<5-1 5-3<5-2", "5-3<5-2", "5-1", "5-2 5-3", true},
        {"5-2<5-1", "5-3<5-2", "5-1", "5-2 5-3", true},
        {"5-1<5-0", "5-3<5-2", "5-0", "5-1 5-3", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bus_room_ask(&t->room, "FLUSHALL");
        log_own(&t->room, "5", "", "0 5");
        append_all(t, "N", rows[i].kept);
        bus_room_ask(&t->room, "RENAME sb:{%s}:h:N sb:{%s}:k:N", partition_tag(0),
                     partition_tag(0));
        append_all(t, "N", rows[i].own);
        set_last(t, "l:N", "5-3");
        set_last(t, "l*", "5-0");
        bool is_complete = replay(t, rows[i].after, "5-9");
        if (is_complete != rows[i].is_complete || strcmp(t->got, rows[i].got) != 0)
            fail_msg("%zu: complete=%d got '%s'", i, is_complete, t->got);
    }
}

/* 1-1 … 1-<count>, each after the one before. */
static void fill(struct test *t, const char *name, unsigned count) {
    char id[24], prev[24] = "1-0";
    for (unsigned i = 1; i <= count; i++) {
        snprintf(id, sizeof(id), "1-%u", i);
        log_append(&t->room, name, id, prev, IN_HISTORY | IN_LAST);
        snprintf(prev, sizeof(prev), "%s", id);
    }
}

/* What is read page by page is trimmed page by page. */
static void trimmed_while_it_is_read(void **state) {
    struct test *t = *state;
    static const struct {
        const char *what, *filled, *other, *command;
        unsigned trim_at;
        bool is_complete;
    } rows[] = {
        {"the next page", "N", "*", "XTRIM sb:{%s}:h:N MINID 1-400", 1, false},
        {"the last page", "N", "*", "XTRIM sb:{%s}:h:N MINID 1-600", 257, false},
        {"the last page ends", "N", "*", "DEL sb:{%s}:h:N", 257, false},
        {"what was read", "N", "*", "XTRIM sb:{%s}:h:N MINID 1-200", 1, true},
        {"of the other log: the next page", "*", "N", "XTRIM sb:{%s}:h* MINID 1-400", 1, false},
        {"of the other log: the last page ends", "*", "N", "DEL sb:{%s}:h*", 257, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char command[100];
        bus_room_ask(&t->room, "FLUSHALL");
        log_own(&t->room, "1", "", "0 1");
        fill(t, rows[i].filled, 700);
        set_last(t, strcmp(rows[i].other, "*") == 0 ? "l*" : "l:N", "1-0");
        snprintf(command, sizeof(command), rows[i].command, partition_tag(0));
        t->trimmed = command;
        t->trim_at = rows[i].trim_at;
        if (replay(t, "1-2", "1-650") != rows[i].is_complete)
            fail_msg("%s: %u messages, complete=%d", rows[i].what, t->messages, t->is_complete);
    }
}

/* Only there is the lineage, and are the keys that say that nothing is missing. */
static void reads_the_partition_of_the_name(void **state) {
    struct test *t = *state;
    unsigned p = partition_of(BYTES_LIT("N"), 4);
    assert_int_not_equal(p, 0);
    bus_room_ask(&t->room, "HSET sb:{%s}:own t 5 i 5-1 y 5", partition_tag(p));
    bus_room_ask(&t->room, "SET sb:{%s}:l:N 5-1", partition_tag(p));
    bus_room_ask(&t->room, "SET sb:{%s}:l* 5-0", partition_tag(p));
    assert_true(replay(t, "5-1", "5-9"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(says_whether_it_is_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_before_a_log_began_is_not_known, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_kept_is_replayed, setup, teardown),
        cmocka_unit_test_setup_teardown(trimmed_while_it_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_the_partition_of_the_name, setup_four, teardown),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
