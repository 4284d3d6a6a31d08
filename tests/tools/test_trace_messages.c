/* test_trace_messages.c - which events are hops of one message, and which of them must wait. */
#include "tools/trace_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/must.h"

static struct trace_event event(const char *hop, const char *client, int64_t sent_ms) {
    struct trace_event e = trace_event_of(hop);
    e.client_id = bytes_str(client);
    e.sent_ms = sent_ms;
    e.at_ms = sent_ms + 1;
    return e;
}

static struct trace_event processed(const char *client, int64_t sent_ms, const char *entry) {
    struct trace_event e = event("processed", client, sent_ms);
    e.kind = BYTES_LIT("client");
    e.entry = bytes_str(entry);
    e.partition = 3;
    return e;
}

static struct trace_event of_entry(const char *hop, const char *entry, const char *id) {
    struct trace_event e = trace_event_of(hop);
    e.entry = bytes_str(entry);
    e.partition = 3;
    e.message_id = bytes_str(id);
    e.name = BYTES_LIT("N");
    return e;
}

static struct trace_event delivered(const char *id, int64_t partition, const char *name) {
    struct trace_event e = trace_event_of("delivered");
    e.message_id = bytes_str(id);
    e.partition = partition;
    e.name = bytes_str(name);
    return e;
}

static uint64_t number_of(struct trace_messages *m, struct trace_event e) {
    return trace_messages_of(m, &e).number;
}

static bool awaits(struct trace_messages *m, struct trace_event e) {
    return trace_messages_awaits(m, &e);
}

static void all_hops_are_one_message(void **state) {
    struct trace_messages *m = trace_messages_new();
    struct trace_event first = event("received", "ann", 100);
    (void)state;
    struct trace_message message = trace_messages_of(m, &first);
    assert_int_equal(message.number, 1);
    assert_int_equal(message.first_ms, 101);
    assert_int_equal(number_of(m, event("accepted", "ann", 100)), 1);
    assert_int_equal(number_of(m, processed("ann", 100, "7-0")), 1);
    assert_int_equal(number_of(m, of_entry("verdict", "7-0", "")), 1);
    assert_int_equal(number_of(m, of_entry("published", "7-0", "1-5")), 1);
    assert_int_equal(number_of(m, delivered("1-5", 3, "N")), 1);
    assert_int_equal(number_of(m, event("received", "bob", 100)), 2);
    trace_messages_free(m);
}

/* A client can send several messages within a millisecond: they are counted. */
static void messages_of_one_millisecond_are_counted(void **state) {
    struct trace_messages *m = trace_messages_new();
    (void)state;
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(number_of(m, event("received", "ann", 100)), i);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(number_of(m, event("accepted", "ann", 100)), i);
    assert_int_equal(number_of(m, processed("ann", 100, "7-0")), 1);
    assert_int_equal(number_of(m, processed("ann", 100, "7-1")), 2);
    assert_int_equal(number_of(m, of_entry("verdict", "7-1", "")), 2);
    assert_int_equal(number_of(m, of_entry("verdict", "7-0", "")), 1);
    trace_messages_free(m);
}

static void an_id_is_of_its_partition_and_name(void **state) {
    struct trace_messages *m = trace_messages_new();
    (void)state;
    (void)number_of(m, processed("ann", 100, "7-0"));
    (void)number_of(m, of_entry("published", "7-0", "1-5"));
    assert_false(awaits(m, delivered("1-5", 3, "N")));
    assert_true(awaits(m, delivered("1-5", 2, "N")));
    assert_true(awaits(m, delivered("1-6", 3, "N")));
    assert_true(awaits(m, delivered("1-5", 3, "Other")));
    trace_messages_free(m);
}

static void an_event_waits_for_the_one_before(void **state) {
    struct trace_messages *m = trace_messages_new();
    (void)state;
    assert_false(awaits(m, event("received", "ann", 100)));
    assert_false(awaits(m, processed("ann", 100, "7-0"))); /* its gateway reports nothing to us */
    (void)number_of(m, event("received", "ann", 100));
    assert_true(awaits(m, processed("ann", 100, "7-0")));
    (void)number_of(m, event("accepted", "ann", 100));
    assert_false(awaits(m, processed("ann", 100, "7-0")));
    assert_true(awaits(m, of_entry("published", "7-0", "1-5")));
    (void)number_of(m, processed("ann", 100, "7-0"));
    assert_false(awaits(m, of_entry("published", "7-0", "1-5")));
    trace_messages_free(m);
}

/* What a handler sends can reach another partition before its message is reported. */
static void a_send_waits_for_the_message_that_led_to_it(void **state) {
    struct trace_messages *m = trace_messages_new();
    struct trace_event send = processed("ann", 100, "8-0");
    (void)state;
    send.kind = BYTES_LIT("send");
    assert_false(awaits(m, send)); /* its gateway reports nothing to us */
    (void)number_of(m, event("received", "ann", 100));
    assert_true(awaits(m, send));
    (void)number_of(m, event("accepted", "ann", 100));
    assert_true(awaits(m, send));
    (void)number_of(m, processed("ann", 100, "7-0"));
    assert_false(awaits(m, send));
    assert_int_equal(number_of(m, send), 1);
    trace_messages_free(m);
}

/* Each message has three keys: its sending, how many were sent with it, its entry. */
static void the_oldest_keys_are_forgotten(void **state) {
    struct trace_messages *m = trace_messages_new();
    char entry[24];
    (void)state;
    (void)number_of(m, processed("ann", 100, "first"));
    for (int i = 1; i <= TRACE_MESSAGES_KEYS / 3 + 1; i++) {
        assert_false(awaits(m, of_entry("verdict", "first", "")));
        snprintf(entry, sizeof(entry), "%d-0", i);
        (void)number_of(m, processed("ann", 100 + i, entry));
    }
    assert_true(awaits(m, of_entry("verdict", "first", "")));
    assert_false(awaits(m, of_entry("verdict", entry, "")));
    trace_messages_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_hops_are_one_message),
        cmocka_unit_test(messages_of_one_millisecond_are_counted),
        cmocka_unit_test(an_id_is_of_its_partition_and_name),
        cmocka_unit_test(an_event_waits_for_the_one_before),
        cmocka_unit_test(a_send_waits_for_the_message_that_led_to_it),
        cmocka_unit_test(the_oldest_keys_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
