/* Which deliveries the broadcast levels of the app refuse. */
#include "broker/entry/level_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "tests/broker/broker_room.h"

static const char app[] = "signalbox.broadcast_level('group')\n"
                          "signalbox.broadcast_level('Open', 'name')\n"
                          "signalbox.broadcast_level('Shut', 'client_id')\n";

/* "": none given. */
static struct bytes_list addressees(struct bytes *one) {
    return one->len > 0 ? (struct bytes_list){one, 1} : (struct bytes_list){0};
}

static void levels(void **state) {
    static const struct {
        struct bytes name, group, client;
        bool is_close, is_allowed;
    } rows[] = {
        {BYTES_LIT("Any"), BYTES_LIT(""), BYTES_LIT(""), false, false},
        {BYTES_LIT("Any"), BYTES_LIT("g"), BYTES_LIT(""), false, true},
        {BYTES_LIT("open"), BYTES_LIT(""), BYTES_LIT(""), false, true},
        {BYTES_LIT("Shut"), BYTES_LIT("g"), BYTES_LIT(""), false, false},
        {BYTES_LIT("Shut"), BYTES_LIT(""), BYTES_LIT("c"), false, true},
        {BYTES_LIT(""), BYTES_LIT("g"), BYTES_LIT(""), false, false}, /* every Name: Shut, too */
        {BYTES_LIT(""), BYTES_LIT(""), BYTES_LIT("c"), false, true},
        {BYTES_LIT("Shut"), BYTES_LIT(""), BYTES_LIT(""), true, true},
    };
    struct broker_room room;
    (void)state;
    broker_room_init(&room, app, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes name = rows[i].name, group = rows[i].group, client = rows[i].client;
        struct delivery d = {.kind = rows[i].is_close ? MESSAGE_CLOSE : MESSAGE_DATA,
                             .names = addressees(&name),
                             .groups = addressees(&group),
                             .clients = addressees(&client)};
        struct buf why = {0};
        bool is_allowed = level_check(&room.parts, &d, &why);
        if (is_allowed != rows[i].is_allowed)
            fail_msg("row %zu", i);
        assert_int_equal(why.len > 0, !is_allowed);
        buf_deinit(&why);
    }
    broker_room_deinit(&room);
}

static void a_refusal_counts_once(void **state) {
    int64_t before = metrics_get(METRIC_refused_level);
    (void)state;
    level_check_refused(NULL, BYTES_LIT("why"));
    assert_int_equal(metrics_get(METRIC_refused_level), before + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(a_refusal_counts_once),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
