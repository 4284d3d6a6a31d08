/* test_memory_budget.c - what is counted, the bounds of shares and budget, and where the default
 * comes from. */
#include "common/base/memory_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_shares_and_budget(void **state) {
    (void)state;
    size_t counted = 0;
    memory_init(1600);
    assert_int_equal(memory_share(MEMORY_incoming), 200);
    memory_count(MEMORY_incoming, &counted, 200);
    assert_false(memory_is_full(MEMORY_incoming));
    memory_count(MEMORY_incoming, &counted, 201);
    assert_true(memory_is_full(MEMORY_incoming));
    assert_false(memory_is_full(MEMORY_outgoing));
    memory_count(MEMORY_incoming, &counted, 250);
    assert_false(memory_is_flooded(MEMORY_incoming));
    memory_count(MEMORY_incoming, &counted, 251);
    assert_true(memory_is_flooded(MEMORY_incoming));
    memory_count(MEMORY_incoming, &counted, 400);
    assert_false(memory_is_drowned(MEMORY_incoming));
    memory_count(MEMORY_incoming, &counted, 401);
    assert_true(memory_is_drowned(MEMORY_incoming));
    memory_count(MEMORY_incoming, &counted, 251);
    metrics_set(METRIC_memory_other_bytes, 1349);
    assert_int_equal(memory_used(), 1600);
    assert_false(memory_is_over());
    memory_add(MEMORY_outgoing, 1);
    assert_true(memory_is_over());
    memory_add(MEMORY_outgoing, -1);
    memory_count(MEMORY_incoming, &counted, 0);
    assert_int_equal(memory_of(MEMORY_incoming), 0);
    metrics_set(METRIC_memory_other_bytes, 0);
}

static void test_no_budget(void **state) {
    (void)state;
    memory_init(0);
    memory_add(MEMORY_incoming, INT64_MAX / 16);
    assert_false(memory_is_full(MEMORY_incoming));
    assert_false(memory_is_over());
    memory_add(MEMORY_incoming, -(INT64_MAX / 16));
}

/* ---- the default */

static void write_file(const char *root, const char *name, const char *text) {
    char path[512];
    for (const char *slash = name; (slash = strchr(slash, '/')) != NULL; slash++) {
        snprintf(path, sizeof(path), "%s/%.*s", root, (int)(slash - name), name);
        mkdir(path, 0700);
    }
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_default(void **state) {
    (void)state;
    char command[64], root[] = "/tmp/memory-XXXXXX";
    assert_non_null(mkdtemp(root));
    uint64_t host = memory_default(root);
    assert_true(host > 0);

    write_file(root, "proc/self/cgroup", "0::/a/b\n");
    assert_int_equal(memory_default(root), host);
    write_file(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
    assert_int_equal(memory_default(root), host);
    /* three quarters of it, or a quarter of the host (which is `host`), whichever is less */
    for (uint64_t limit = host / 2; limit <= 4 * host; limit += host / 2) {
        char text[32];
        snprintf(text, sizeof(text), "%llu\n", (unsigned long long)limit);
        write_file(root, "sys/fs/cgroup/a/b/memory.max", text);
        uint64_t share = limit / 4 * 3;
        assert_int_equal(memory_default(root), share < host ? share : host);
    }
    write_file(root, "sys/fs/cgroup/a/b/memory.max", "4000000\n");
    assert_int_equal(memory_default(root), 3000000);
    write_file(root, "sys/fs/cgroup/a/memory.max", "400000\n");
    assert_int_equal(memory_default(root), 300000);
    write_file(root, "sys/fs/cgroup/memory.max", "40000\n");
    assert_int_equal(memory_default(root), 30000);

    write_file(root, "proc/self/cgroup", "5:cpu:/x\n4:memory:/m\n0::/none\n");
    write_file(root, "sys/fs/cgroup/memory.max", "max\n");
    assert_int_equal(memory_default(root), host);
    write_file(root, "sys/fs/cgroup/memory/m/memory.limit_in_bytes", "8000\n");
    assert_int_equal(memory_default(root), 6000);
    write_file(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "400\n");
    assert_int_equal(memory_default(root), 300);
    static const char *const strange[] = {
        "0\n\n0::\n", "/a\n",           ":/a\n",      "x/y:z\n",
        "4:memory\n", "4:memoryx:/m\n", "10::/a/b\n", "4:cpu,memory:/m\n"};
    write_file(root, "sys/fs/cgroup/a/b/memory.max", "4\n");
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        write_file(root, "proc/self/cgroup", strange[i]);
        assert_int_equal(memory_default(root), host);
    }
    snprintf(command, sizeof(command), "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_and_budget),
        cmocka_unit_test(test_no_budget),
        cmocka_unit_test(test_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
