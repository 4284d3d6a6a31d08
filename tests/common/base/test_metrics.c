/* test_metrics.c - the Prometheus text of the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/metrics.h"

static size_t count_lines(const char *text, const char *beginning) {
    size_t count = 0, len = strlen(beginning);
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1)
        count += strncmp(line, beginning, len) == 0;
    return count;
}

static void test_values(void **state) {
    (void)state;
    metrics_set(METRIC_connections, 5);
    metrics_add(METRIC_connections, -7);
    metrics_add(METRIC_handler_errors, 3);
    assert_int_equal(metrics_get(METRIC_connections), -2);
    struct buf out = {0};
    metrics_write(&out);
    char *text = buf_take(&out);
    assert_non_null(strstr(text, "# TYPE signalbox_connections gauge\nsignalbox_connections -2\n"));
    assert_non_null(strstr(text, "# TYPE signalbox_handler_errors_total counter\n"
                                 "signalbox_handler_errors_total 3\n"));
    assert_int_equal(count_lines(text, "# HELP signalbox_"), METRIC_COUNT);
    assert_int_equal(count_lines(text, "# TYPE signalbox_"), METRIC_COUNT);
    assert_int_equal(count_lines(text, "signalbox_"), METRIC_COUNT);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
