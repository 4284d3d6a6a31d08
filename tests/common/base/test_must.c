/* test_must.c - what aborts, and memory that never fails. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/must.h"

/* Under ASan, as without it, what is too large is not there. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

static void bug(void) {
    int one = 1;
    MUST(one == 2);
}

static void no_memory(void) {
    (void)mem_alloc(SIZE_MAX / 2);
}

enum { TEXT_MAX = 16384 };

/* Runs it in a process of its own; what it wrote to standard error goes to text_out. */
static int run_alone(void (*fn)(void), char text_out[TEXT_MAX + 1]) {
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len<TEXT_MAX; len += n> 0 ? (size_t)n : 0)
        n = read(ends[0], text_out + len, TEXT_MAX - len);
    text_out[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_a_bug_aborts_with_its_place(void **state) {
    char text[TEXT_MAX + 1];
    (void)state;
    assert_int_equal(run_alone(bug, text), SIGABRT);
    assert_non_null(strstr(text, "level=fatal msg=\"one == 2\" at="));
    assert_non_null(strstr(text, "test_must.c:"));
    assert_int_equal(run_alone(no_memory, text), SIGABRT);
    assert_non_null(strstr(text, "level=fatal"));
}

static void test_memory(void **state) {
    (void)state;
    char *zeroes = mem_zalloc(100), *nothing = mem_alloc(0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroes[i], 0);
    assert_non_null(nothing);
    nothing = mem_realloc(nothing, 0);
    assert_non_null(nothing);
    char *copy = mem_strdup("text");
    assert_string_equal(copy, "text");
    free(copy);
    free(zeroes);
    free(nothing);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_bug_aborts_with_its_place),
                                       cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
