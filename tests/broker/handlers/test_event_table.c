/* Why a connection ended. */
#include "broker/handlers/event_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_cause(const char *text, const char *cause, const char *code,
                         const char *reason) {
    struct disconnect_cause c = event_table_read_cause(bytes_str(text));
    assert_true(bytes_equal_str(c.cause, cause));
    assert_true(bytes_equal_str(c.code, code));
    assert_true(bytes_equal_str(c.reason, reason));
}

static void causes(void **state) {
    (void)state;
    assert_cause("client:1000:bye", "client", "1000", "bye");
    assert_cause("client:1000:a:b", "client", "1000", "a:b");
    assert_cause("lost:1006:gateway", "lost", "1006", "gateway");
    assert_cause("replaced", "replaced", "4001", "replaced");
    assert_cause("client:1005:", "client", "1005", "");
    assert_cause("", "", "", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(causes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
