/* No call site fills a disk: a burst, then a few lines a minute, and a line that counts the rest.
 */
#include "common/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/metrics.h"

enum { START_MS = 1000000, MINUTE_MS = 60000, FLOOD = 100000 };

static char text[256 * 1024];
static int saved, captured;

static void begin(void) {
    char path[] = "/tmp/test-log.XXXXXX";
    captured = mkstemp(path);
    assert_true(captured >= 0);
    unlink(path);
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    dup2(captured, STDERR_FILENO);
}

/* What was logged since begin(). */
static const char *end(void) {
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t len = pread(captured, text, sizeof(text) - 1, 0);
    close(captured);
    assert_true(len >= 0 && len < (ssize_t)sizeof(text) - 1);
    text[len] = '\0';
    return text;
}

static unsigned count(const char *in, const char *what) {
    unsigned n = 0;
    for (const char *at = in; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void flood(void) {
    for (unsigned i = 0; i < FLOOD; i++)
        log_warn("test", "flooded n=%u", i);
}

static void a_site_is_bounded(void **state) {
    (void)state;
    int64_t before = metrics_get(METRIC_log_suppressed);
    clock_freeze(START_MS);
    begin();
    flood();
    log_warn("test", "said something else");
    assert_int_equal(count(end(), "flooded"), LOG_BURST);
    assert_int_equal(count(text, "said something else"), 1);
    assert_int_equal(metrics_get(METRIC_log_suppressed) - before, FLOOD - LOG_BURST);

    clock_freeze(START_MS + MINUTE_MS); /* a minute later: the count, and a few lines again */
    begin();
    log_summarize();
    log_summarize();
    flood();
    assert_int_equal(count(end(), "test: suppressed event=flooded lines=99950"), 1);
    assert_int_equal(count(text, "test: flooded"), LOG_PER_MINUTE);

    clock_freeze(START_MS + 2 * MINUTE_MS); /* nothing happened: the last count, then silence */
    begin();
    log_summarize();
    clock_freeze(START_MS + 3 * MINUTE_MS);
    log_summarize();
    assert_int_equal(count(end(), "suppressed"), 1);
    assert_non_null(strstr(text, "lines=99990"));
}

static void debug_writes_all(void **state) {
    (void)state;
    log_set_level(LOG_DEBUG);
    begin();
    for (unsigned i = 0; i < 3 * LOG_BURST; i++)
        log_info("test", "chatted");
    assert_int_equal(count(end(), "chatted"), 3 * LOG_BURST);
    log_set_level(LOG_INFO);
}

static void an_app_may_say_more(void **state) {
    (void)state;
    begin();
    for (unsigned i = 0; i < 2 * LOG_APP_BURST; i++)
        log_app("test", "said");
    assert_int_equal(count(end(), "test: said"), LOG_APP_BURST);
}

/* A line that is below the level spends nothing. */
static void what_is_not_written_does_not_count(void **state) {
    (void)state;
    begin();
    for (unsigned i = 0; i < 2 * LOG_BURST; i++) {
        log_set_level(i < LOG_BURST ? LOG_ERROR : LOG_INFO);
        log_warn("test", "whispered");
    }
    assert_int_equal(count(end(), "whispered"), LOG_BURST);
}

static int set_up(void **state) {
    (void)state;
    log_init("test");
    clock_freeze(START_MS);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_site_is_bounded),
        cmocka_unit_test(debug_writes_all),
        cmocka_unit_test(an_app_may_say_more),
        cmocka_unit_test(what_is_not_written_does_not_count),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
