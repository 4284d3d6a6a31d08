/* Which orders of answers and echoes show a heartbeat that the feed skipped. */
#include "common/bus/probes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/must.h"

/* "a5" accepted, "c5" came, "b5" the feed listens from 5 on. '!' behind what shows a skip. */
static void skips_are_seen_once(void **state) {
    (void)state;
    static const char *const rows[] = {
        "b1 a1 c1 a2 c2 a3 c3",
        "b1 c1 a1 c2 a2",        /* the echo first */
        "b1 a1 a2 c1 c2",        /* a slow feed */
        "b1 a1 a2 c2! c1 a3 c3", /* skipped, then late after all */
        "b1 a1 a2 a3 c3! a4 c4", /* two at once */
        "b1 c2 a1! a2",          /* its answer comes last */
        "b1 c2 a2",              /* 1 was refused, or got lost on the way */
        "b1 a1 b5 c5 a5",        /* the feed is new */
        "b5 a3 a4 c5 a5 a6 c7!", /* before it listened */
        "b1 a1 c1 a2 a3 c3! a4 a5 c5!",
        "b1 a1 c1 a40 c40 a41 c42!",
        "b1 a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15 a16 a17",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct probes b = {0};
        for (const char *c = rows[i]; *c != '\0';) {
            char *end, what = *c;
            uint64_t number = strtoull(c + 1, &end, 10);
            bool is_skip = what == 'a'   ? probes_accepted(&b, number)
                           : what == 'c' ? probes_came(&b, number)
                                         : false;
            if (what == 'b')
                probes_begin(&b, number);
            if (is_skip != (*end == '!'))
                fail_msg("row '%s' at '%s': skip=%d", rows[i], c, is_skip);
            c = *end == '!' ? end + 1 : end;
            c += *c == ' ';
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(skips_are_seen_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
