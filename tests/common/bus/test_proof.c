/* test_proof.c - what proves that something in Redis is of this fleet: which texts are believed by
 * whom, and that a proof holds for one purpose, one thing and one text. */
#include "common/bus/proof.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/notice.h"
#include "common/bus/partition.h"

static uv_loop_t loop;
static struct settings settings;

/* A process with this secret, or with none. */
static struct bus *process(const char *secret) {
    char path[] = "/tmp/test_proof_XXXXXX", program[] = "test", *arguments[] = {program, NULL};
    int rest;
    assert_int_equal(settings_parse(&settings, FOR_GATEWAY, 1, arguments, &rest), SETTINGS_OK);
    if (*secret != '\0') {
        int fd = mkstemp(path);
        assert_int_equal(write(fd, secret, strlen(secret)), strlen(secret));
        close(fd);
        settings.cluster_secret_file = path;
    }
    struct bus *bus = bus_new(&loop, &settings, BUS_TOOL);
    settings.cluster_secret_file = "";
    if (*secret != '\0')
        unlink(path);
    assert_non_null(bus);
    return bus;
}

static int setup(void **state) {
    (void)state;
    log_set_level(LOG_ERROR);
    return uv_loop_init(&loop);
}

static int teardown(void **state) {
    (void)state;
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static bool is_believed(struct bus *bus, const char *purpose, const char *about, struct bytes value,
                        const char *text) {
    int64_t before = metrics_get(METRIC_unproven);
    struct bytes got;
    bool is = proof_take(bus, purpose, bytes_str(about), value, &got);
    assert_int_equal(metrics_get(METRIC_unproven) - before, !is);
    if (is)
        assert_true(bytes_equal_str(got, text));
    return is;
}

static void a_proof_is_for_one_thing(void **state) {
    struct bus *ours = process("0123456789abcdef"), *same = process("0123456789abcdef\n"),
               *other = process("0123456789abcdeF"), *none = process("");
    struct buf value = {0};
    (void)state;
    proof_append(ours, &value, "rule", BYTES_LIT("level"), BYTES_LIT("group"));
    struct bytes all = buf_bytes(&value);
    assert_int_equal(all.len, 50 + 5);
    assert_memory_equal(all.ptr, "hmac:", 5);
    assert_memory_equal(all.ptr + 49, " group", 6);
    assert_true(is_believed(same, "rule", "level", all, "group"));
    assert_true(is_believed(none, "rule", "level", all, "group")); /* it cannot tell */
    assert_false(is_believed(other, "rule", "level", all, "group"));
    assert_false(is_believed(same, "notice", "level", all, "group"));
    assert_false(is_believed(same, "rule", "levels", all, "group"));
    for (size_t i = 0; i < all.len; i++) { /* each byte counts */
        value.ptr[i] ^= 1;
        assert_false(is_believed(same, "rule", "level", all, "group"));
        value.ptr[i] ^= 1;
    }
    assert_false(is_believed(same, "rule", "level", bytes_head(all, all.len - 1), "group"));
    buf_deinit(&value);
    bus_close(ours);
    bus_close(same);
    bus_close(other);
    bus_close(none);
}

/* What lies between two texts belongs to one of them: "ab" + "c" is not "a" + "bc". */
static void the_thing_and_the_text_do_not_run_together(void **state) {
    struct bus *bus = process("0123456789abcdef");
    struct buf value = {0};
    (void)state;
    proof_append(bus, &value, "rule", BYTES_LIT("ab"), BYTES_LIT("c"));
    struct bytes moved = buf_bytes(&value);
    buf_append_char(&value, 'c');
    value.ptr[50] = 'b';
    moved = buf_bytes(&value);
    assert_false(is_believed(bus, "rule", "a", moved, "bc"));
    buf_deinit(&value);
    bus_close(bus);
}

static void without_a_proof(void **state) {
    static const char *const texts[] = {"",
                                        "text",
                                        "hmac:",
                                        "hmac:x text",
                                        "hmac:01234567890123456789012345678901234567890123",
                                        "hmac:01234567890123456789012345678901234567890123 ",
                                        "HMAC:01234567890123456789012345678901234567890123 text"};
    struct bus *bus = process("0123456789abcdef"), *none = process("");
    struct buf value = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct bytes got;
        assert_false(is_believed(bus, "rule", "level", bytes_str(texts[i]), ""));
        assert_true(proof_take(none, "rule", BYTES_LIT("level"), bytes_str(texts[i]), &got));
        bool has_proof = i == 5;
        assert_true(bytes_equal_str(got, has_proof ? "" : texts[i]));
    }
    proof_append(none, &value, "rule", BYTES_LIT("level"), BYTES_LIT("group"));
    assert_true(bytes_equal_str(buf_bytes(&value), "group"));
    buf_clear(&value);
    proof_append(bus, &value, "rule", BYTES_NONE, BYTES_NONE); /* nothing can be proven, too */
    assert_true(is_believed(bus, "rule", "", buf_bytes(&value), ""));
    buf_deinit(&value);
    bus_close(bus);
    bus_close(none);
}

static void expect_notice(struct bus *to, struct buf *payload, bool is_read) {
    struct notice n;
    assert_int_equal(notice_read(to, buf_bytes(payload), &n), is_read);
    if (is_read)
        assert_int_equal(n.kind, NOTICE_reload);
}

/* signed with a secret or not, to a process with one or without. */
static void who_reads_whose_notices(void **state) {
    struct bus *with = process("0123456789abcdef"), *without = process("");
    struct buf plain = {0}, text = {0}, proven = {0}, old = {0};
    struct bytes channel = bytes_str(fleet_channel(CHANNEL_CONTROL));
    (void)state;
    buf_append_str(&plain, "reload");
    buf_printf(&text, "%" PRIu64 " reload", clock_wall_ms());
    proof_append(with, &proven, "notice", channel, buf_bytes(&text));
    proof_append(with, &old, "notice", channel, BYTES_LIT("5 reload"));
    expect_notice(without, &plain, true);
    expect_notice(with, &plain, false);
    expect_notice(with, &proven, true);
    expect_notice(without, &proven, true);
    expect_notice(with, &old, false);
    expect_notice(without, &old,
                  true); /* its clock may be wrong: nothing was proven to it anyway */
    buf_clear(&old);
    proof_append(with, &old, "notice", channel, BYTES_LIT("reload"));
    expect_notice(with, &old, false); /* without a time it would hold for ever */
    buf_deinit(&plain);
    buf_deinit(&text);
    buf_deinit(&proven);
    buf_deinit(&old);
    bus_close(with);
    bus_close(without);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_proof_is_for_one_thing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_thing_and_the_text_do_not_run_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_a_proof, setup, teardown),
        cmocka_unit_test_setup_teardown(who_reads_whose_notices, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
