/* test_later.c - a call on a later turn of the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/must.h"
#include "common/net/later.h"

struct calls {
    uv_loop_t loop;
    unsigned count;
};

static void on_call(void *ctx) {
    struct calls *c = ctx;
    if (++c->count == 1)
        later(&c->loop, on_call, c); /* also from such a call */
}

static void test_never_at_once(void **state) {
    struct calls c = {0};
    (void)state;
    uv_loop_init(&c.loop);
    later(&c.loop, on_call, &c);
    assert_int_equal(c.count, 0);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.count, 2);
    assert_int_equal(uv_loop_close(&c.loop), 0); /* nothing is left open */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_never_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
