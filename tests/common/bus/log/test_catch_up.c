/* test_catch_up.c - live messages that are held: in order, and dropped as a whole at the bound. */
#include "common/bus/log/catch_up.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/must.h"
#include "common/bus/redis/paging.h"
#include "tests/common/bus/bus_room.h"

static void in_order(void **state) {
    struct held_messages h;
    (void)state;
    catch_up_init_held(&h);
    assert_null(catch_up_take_held(&h));
    catch_up_hold(&h, LOG_OWN, (struct message_id){1, 1}, BYTES_LIT("first"));
    catch_up_hold(&h, LOG_EVERY, (struct message_id){1, 2}, BYTES_LIT("second"));
    assert_int_equal(h.bytes, 11);
    struct held_message *one = catch_up_take_held(&h);
    assert_int_equal(one->log, LOG_OWN);
    assert_memory_equal(one->blob, "first", one->len);
    free(one);
    one = catch_up_take_held(&h);
    assert_int_equal(one->log, LOG_EVERY);
    assert_memory_equal(one->blob, "second", one->len);
    free(one);
    assert_null(catch_up_take_held(&h));
    assert_int_equal(h.bytes, 0);
}

static void only_what_was_before(void **state) {
    struct held_messages h;
    (void)state;
    catch_up_init_held(&h);
    assert_null(catch_up_take_held_before(&h, (struct message_id){9, 9}));
    catch_up_hold(&h, LOG_OWN, (struct message_id){2, 5}, BYTES_LIT("first"));
    catch_up_hold(&h, LOG_OWN, (struct message_id){2, 7}, BYTES_LIT("second"));
    assert_null(catch_up_take_held_before(&h, (struct message_id){1, 9}));
    assert_null(catch_up_take_held_before(&h, (struct message_id){2, 5}));
    struct held_message *one = catch_up_take_held_before(&h, (struct message_id){2, 6});
    assert_memory_equal(one->blob, "first", one->len);
    free(one);
    assert_null(catch_up_take_held_before(&h, (struct message_id){2, 7}));
    one = catch_up_take_held_before(&h, (struct message_id){3, 0});
    assert_memory_equal(one->blob, "second", one->len);
    free(one);
}

static void all_are_dropped_at_the_bound(void **state) {
    struct held_messages h;
    char *large = mem_zalloc(HELD_BYTES_MAX);
    (void)state;
    catch_up_init_held(&h);
    catch_up_hold(&h, LOG_OWN, MESSAGE_ID_NONE, bytes_of(large, HELD_BYTES_MAX - 1));
    catch_up_hold(&h, LOG_OWN, MESSAGE_ID_NONE, bytes_of(large, 1)); /* as much as may be */
    assert_false(h.has_overflowed);
    catch_up_hold(&h, LOG_OWN, MESSAGE_ID_NONE, bytes_of(large, 1));
    assert_true(h.has_overflowed);
    assert_null(catch_up_take_held(&h));
    catch_up_hold(&h, LOG_OWN, MESSAGE_ID_NONE, bytes_of(large, 1)); /* a hole before it */
    assert_null(catch_up_take_held(&h));
    catch_up_drop_held(&h);
    catch_up_hold(&h, LOG_OWN, MESSAGE_ID_NONE, bytes_of(large, 1));
    struct held_message *one = catch_up_take_held(&h);
    assert_non_null(one);
    free(one);
    free(large);
}

static unsigned started;

static void on_start(struct catch_up *c) {
    (void)c;
    started++;
}

/* So many read at a time, and one for each that ends. */
static void readings_take_turns(void **state) {
    static struct catch_up each[CATCH_UPS_MAX + 2];
    struct bus_room room;
    struct catch_ups all;
    (void)state;
    bus_room_init(&room, 1);
    struct bus *bus = bus_room_join(&room, BUS_GATEWAY);
    for (int i = 0; i < 500 && !bus_is_on_one_server(bus); i++)
        bus_room_turn(&room, 10);
    catch_ups_init(&all, bus, on_start);
    for (size_t i = 0; i < ARRAY_LEN(each); i++)
        catch_ups_add(&all, &each[i]);
    assert_int_equal(started, CATCH_UPS_MAX);
    catch_ups_start(&all);
    assert_int_equal(started, CATCH_UPS_MAX);
    catch_ups_done(&all);
    catch_ups_start(&all);
    assert_int_equal(started, CATCH_UPS_MAX + 1);
    uv_close((uv_handle_t *)&all.pause, NULL);
    bus_close(bus);
    bus_room_deinit(&room);
}

/* One that is given up never starts, one that Redis refused starts after a pause, and with it all. */
static void a_refused_reading_waits_for_a_while(void **state) {
    static struct catch_up each[4];
    struct bus_room room;
    struct catch_ups all;
    (void)state;
    bus_room_init(&room, 1);
    struct bus *bus = bus_room_join(&room, BUS_GATEWAY);
    for (int i = 0; i < 500 && !bus_is_on_one_server(bus); i++)
        bus_room_turn(&room, 10);
    started = 0;
    catch_ups_init(&all, bus, on_start);
    all.is_pausing = true;
    catch_ups_add(&all, &each[0]);
    catch_ups_add(&all, &each[1]);
    assert_int_equal(started, 0);
    all.is_pausing = false;
    catch_ups_remove(&all, &each[1]);
    catch_ups_start(&all);
    assert_int_equal(started, 1);
    catch_ups_done(&all);
    catch_ups_retry(&all, &each[0]);
    catch_ups_add(&all, &each[2]);
    catch_ups_start(&all);
    assert_int_equal(started, 1);
    bus_room_until(&room, &started, 3, 2000);
    assert_int_equal(all.running, 2);
    uv_close((uv_handle_t *)&all.pause, NULL);
    bus_close(bus);
    bus_room_deinit(&room);
}

static void without_a_feed_nothing_is_read(void **state) {
    static struct catch_up one;
    struct bus_room room;
    struct catch_ups all;
    (void)state;
    bus_room_init(&room, 1);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    started = 0;
    catch_ups_init(&all, bus, on_start);
    catch_ups_add(&all, &one);
    assert_int_equal(started, 0);
    uv_close((uv_handle_t *)&all.pause, NULL);
    bus_close(bus);
    bus_room_deinit(&room);
}

/* As many as Redis answers pages of, and one at least. */
static void fewer_read_while_pages_are_small(void **state) {
    static const struct {
        unsigned most, expected;
    } rows[] = {{PAGING_TOP, CATCH_UPS_MAX}, {PAGING_TOP / 2, CATCH_UPS_MAX / 2}, {1, 1}, {2, 3}};
    struct bus_room room;
    (void)state;
    bus_room_init(&room, 1);
    struct bus *bus = bus_room_join(&room, BUS_GATEWAY);
    for (int i = 0; i < 500 && !bus_is_on_one_server(bus); i++)
        bus_room_turn(&room, 10);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static struct catch_up each[CATCH_UPS_MAX + 2];
        struct catch_ups all;
        started = 0;
        bus_paging(bus)->most = rows[i].most;
        catch_ups_init(&all, bus, on_start);
        for (size_t j = 0; j < ARRAY_LEN(each); j++)
            catch_ups_add(&all, &each[j]);
        assert_int_equal(started, rows[i].expected);
        uv_close((uv_handle_t *)&all.pause, NULL);
        bus_room_turn(&room, 10);
    }
    bus_close(bus);
    bus_room_deinit(&room);
}

int main(void) {
    if (!redis_server_is_installed())
        return 77;

    const struct CMUnitTest tests[] = {cmocka_unit_test(in_order),
                                       cmocka_unit_test(only_what_was_before),
                                       cmocka_unit_test(all_are_dropped_at_the_bound),
                                       cmocka_unit_test(readings_take_turns),
                                       cmocka_unit_test(a_refused_reading_waits_for_a_while),
                                       cmocka_unit_test(without_a_feed_nothing_is_read),
                                       cmocka_unit_test(fewer_read_while_pages_are_small)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
