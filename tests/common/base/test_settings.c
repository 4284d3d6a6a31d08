/* test_settings.c - flags, environment, defaults; what is wrong; what is shown. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/settings.h"

enum { ARGUMENTS_MAX = 40 };

/* Parses "a b c" as the arguments of a gateway; what is left over is joined into rest_out. */
static enum settings_result parse(struct settings *s, const char *line, char rest_out[200]) {
    static char copy[2000];
    char *argv[ARGUMENTS_MAX] = {"gateway"};
    int argc = 1, rest;
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    enum settings_result result = settings_parse(s, FOR_GATEWAY, argc, argv, &rest);
    rest_out[0] = '\0';
    for (int i = 1; result == SETTINGS_OK && i <= rest; i++)
        strcat(strcat(rest_out, argv[i]), " ");
    return result;
}

static void test_defaults_environment_and_flags(void **state) {
    (void)state;
    struct settings s;
    char rest[200];
    assert_int_equal(parse(&s, "", rest), SETTINGS_OK);
    assert_int_equal(s.max_message_bytes, 4194304);
    assert_string_equal(s.log_level, "info");
    setenv("SIGNALBOX_MAX_MESSAGE_BYTES", "5000", 1);
    setenv("SIGNALBOX_LEASE_MS", "wrong, but for brokers", 1);
    assert_int_equal(parse(&s, "--log-level debug", rest), SETTINGS_OK);
    assert_int_equal(s.max_message_bytes, 5000);
    assert_string_equal(s.log_level, "debug");
    assert_int_equal(parse(&s, "--max-message-bytes=6000", rest), SETTINGS_OK);
    assert_int_equal(s.max_message_bytes, 6000);
    setenv("SIGNALBOX_MAX_MESSAGE_BYTES", "5000x", 1);
    assert_int_equal(parse(&s, "", rest), SETTINGS_BAD);
    unsetenv("SIGNALBOX_MAX_MESSAGE_BYTES");
    unsetenv("SIGNALBOX_LEASE_MS");
}

static void test_redis_has_two_variables(void **state) {
    (void)state;
    struct settings s;
    char rest[200];
    setenv("REDIS_URL", "redis://a", 1);
    assert_int_equal(parse(&s, "", rest), SETTINGS_OK);
    assert_string_equal(s.redis, "redis://a");
    setenv("SIGNALBOX_REDIS", "redis://b", 1);
    assert_int_equal(parse(&s, "", rest), SETTINGS_OK);
    assert_string_equal(s.redis, "redis://b");
    unsetenv("REDIS_URL");
    unsetenv("SIGNALBOX_REDIS");
}

static void test_arguments_that_are_no_flags(void **state) {
    (void)state;
    struct settings s;
    char rest[200];
    assert_int_equal(parse(&s, "app --log-level warn more -x", rest), SETTINGS_OK);
    assert_string_equal(rest, "app more -x ");
    assert_int_equal(parse(&s, "a -- --log-level --", rest), SETTINGS_OK);
    assert_string_equal(rest, "a --log-level -- ");
    assert_string_equal(s.log_level, "info");
    assert_int_equal(parse(&s, "app --help", rest), SETTINGS_HELP);
    assert_int_equal(parse(&s, "-h", rest), SETTINGS_HELP);
    assert_int_equal(parse(&s, "--version --nonsense", rest), SETTINGS_VERSION);
}

static void test_bounds_and_one_beyond(void **state) {
    (void)state;
    static const struct {
        const char *line;
        enum settings_result result;
    } rows[] = {
        {"--max-message-bytes=1024", SETTINGS_OK},
        {"--max-message-bytes=1023", SETTINGS_BAD},
        {"--max-message-bytes=67108864", SETTINGS_OK},
        {"--max-message-bytes=67108865", SETTINGS_BAD},
        {"--max-message-bytes=", SETTINGS_BAD},
        {"--max-message-bytes=1e6", SETTINGS_BAD},
        {"--max-message-bytes=99999999999999999999", SETTINGS_BAD},
        {"--max-message-bytes", SETTINGS_BAD}, /* needs a value */
        {"--max-mesage-bytes=2000", SETTINGS_BAD},
        {"--max_message_bytes=2000", SETTINGS_BAD},
        {"--lease-ms=1000", SETTINGS_BAD}, /* a broker's */
        {"--", SETTINGS_OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct settings s;
        char rest[200];
        assert_int_equal(parse(&s, rows[i].line, rest), rows[i].result);
    }
}

static void test_lists(void **state) {
    (void)state;
    struct settings s;
    char rest[200], line[1000] = "";
    setenv("SIGNALBOX_LISTEN", "ws://e", 1);
    assert_int_equal(parse(&s, "", rest), SETTINGS_OK);
    assert_int_equal(s.listen.count, 1);
    assert_int_equal(parse(&s, "--listen ws://a --listen=ws://b", rest), SETTINGS_OK);
    assert_int_equal(s.listen.count, 2); /* flags replace the environment */
    assert_string_equal(s.listen.items[1], "ws://b");
    for (int i = 0; i < SETTINGS_LIST_MAX; i++)
        strcat(line, "--listen=a ");
    assert_int_equal(parse(&s, line, rest), SETTINGS_OK);
    strcat(line, "--listen=a");
    assert_int_equal(parse(&s, line, rest), SETTINGS_BAD);
    unsetenv("SIGNALBOX_LISTEN");
}

static void test_passwords_are_not_shown(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"redis://host:6379/0", "redis://host:6379/0"},
        {"redis://:secret@host", "redis://:***@host"},
        {"redis://user:se:c@ret@host/1", "redis://user:***@host/1"},
        {"redis://user@host", "redis://user@host"},
        {"redis://:a/b?c@host", "redis://:***@host"},
        {"https://*:1?password=p&name=n", "https://*:1?password=***&name=n"},
        {"/etc/a@b:c", "/etc/a@b:c"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        settings_append_shown(&out, rows[i][0]);
        char *shown = buf_take(&out);
        assert_string_equal(shown, rows[i][1]);
        free(shown);
    }
}

/* What `ps` sees is never longer than it was. */
static void test_secrets_leave_the_command_line(void **state) {
    (void)state;
    static const struct {
        const char *before, *given, *seen; /* the argument before it, or NULL */
    } rows[] = {
        {"--redis", "redis://:secret@host/0", "redis://:***@host/0"},
        {"--redis", "redis://u:p@h", "redis://u:***"}, /* cut off */
        {NULL, "--redis=rediss://u:secret@host:1", "--redis=rediss://u:***@host:1"},
        {"--listen", "https://*:1?password=secret&name=n", "https://*:1?password=***&name=n"},
        {"--password", "open sesame", "***"},
        {"--secret", "s", "*"},
        {NULL, "--secret=sesame", "--secret=***"},
        {NULL, "--password=", "--password="},
        {"--secret-file", "/a/file", "/a/file"},
        {NULL, "app.lua", "app.lua"},
        {"send", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char seen[64];
        char *argv[] = {"signalbox", (char *)(rows[i].before != NULL ? rows[i].before : "x"), seen,
                        NULL};
        strcpy(seen, rows[i].given);
        settings_hide_secrets(3, argv);
        assert_string_equal(argv[2], rows[i].given);
        assert_string_equal(seen, rows[i].seen);
        if (argv[2] != seen)
            free(argv[2]);
    }
}

struct seen {
    const char *changed; /* the flag that may */
    struct settings_row rows[100];
    size_t count, differ;
};

static void keep(void *ctx, const struct settings_row *row) {
    struct seen *seen = ctx;
    seen->rows[seen->count] = *row;
    seen->rows[seen->count++].flag = NULL; /* borrowed */
}

static void compare(void *ctx, const struct settings_row *row) {
    struct seen *seen = ctx;
    const struct settings_row *before = &seen->rows[seen->count++];
    bool is_same =
        row->number == before->number &&
        strcmp(row->text != NULL ? row->text : "", before->text != NULL ? before->text : "") == 0 &&
        (row->list == NULL || row->list->count == 0);
    seen->differ += !is_same;
    if (is_same == (strcmp(row->flag, seen->changed) == 0))
        fail_msg("--%s changes --%s", seen->changed, row->flag);
}

static char flags[100][80];
static size_t flag_count;
static enum settings_kind flag_kinds[100];
static int64_t flag_numbers[100];

static void keep_flag(void *ctx, const struct settings_row *row) {
    (void)ctx;
    strcpy(flags[flag_count], row->flag);
    flag_kinds[flag_count] = row->kind;
    flag_numbers[flag_count++] = row->number_default == row->lowest ? row->highest : row->lowest;
}

static void test_a_setting_changes_only_itself(void **state) {
    (void)state;
    static struct settings s;
    char rest[200], number[32];
    flag_count = 0;
    assert_int_equal(parse(&s, "", rest), SETTINGS_OK);
    settings_each(FOR_GATEWAY, &s, keep_flag, NULL);
    for (size_t i = 0; i < flag_count; i++) {
        struct seen seen = {.changed = flags[i]};
        assert_int_equal(parse(&s, "", rest), SETTINGS_OK);
        settings_each(FOR_GATEWAY, &s, keep, &seen);
        snprintf(number, sizeof(number), "%lld", (long long)flag_numbers[i]);
        assert_int_equal(settings_set(&s, FOR_GATEWAY, flags[i],
                                      flag_kinds[i] == SETTINGS_NUMBER ? number : "a text"),
                         SETTINGS_OK);
        seen.count = 0;
        settings_each(FOR_GATEWAY, &s, compare, &seen);
        assert_int_equal(seen.differ, 1);
    }
}

/* What is said on standard error. */
static void said(const char *line, char out[400]) {
    struct settings s;
    char rest[200], path[] = "/tmp/test_settings_XXXXXX";
    int file = mkstemp(path), before = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(file, STDERR_FILENO);
    assert_int_equal(parse(&s, line, rest), SETTINGS_BAD);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    ssize_t len = pread(file, out, 399, 0);
    out[len > 0 ? len : 0] = '\0';
    close(file);
    close(before);
    unlink(path);
}

static void test_what_is_wrong_is_said(void **state) {
    (void)state;
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"--max-mesage-bytes=1", "--max-mesage-bytes: no such setting, did you mean "
                                 "--max-message-bytes?; --help lists them\n"},
        {"--nonsense-at-all=1", "--nonsense-at-all: no such setting; --help lists them\n"},
        {"--lease-ms=1000", "--lease-ms: no such setting"},
        {"--log-level", "--log-level: needs a value\n"},
        {"--max-message-bytes=5", "--max-message-bytes=5: must be a number of bytes from 1024 to "
                                  "67108864\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[400];
        said(rows[i].line, text);
        assert_memory_equal(text, rows[i].says, strlen(rows[i].says));
    }
}

static void expect_log(const char *part) {
    char text[400], path[] = "/tmp/test_settings_XXXXXX";
    int file = mkstemp(path), before = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    log_error("room", "said");
    dup2(before, STDERR_FILENO);
    ssize_t len = pread(file, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    assert_non_null(strstr(text, part));
    close(file);
    close(before);
    unlink(path);
}

static void test_the_log_is_as_it_is_asked_for(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bool is_good;
    } rows[] = {{"", true},
                {"--log-level=error --log-format=json", true},
                {"--log-level=ERROR", false},
                {"--log-level=", false},
                {"--log-format=xml", false},
                {"--log-format=JSON", false}};
    int silent = open("/dev/null", O_WRONLY | O_CLOEXEC), before = dup(STDERR_FILENO);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct settings s;
        char rest[200];
        assert_int_equal(parse(&s, rows[i].line, rest), SETTINGS_OK);
        dup2(silent, STDERR_FILENO);
        bool is_good = settings_apply_log(&s, i == 0 ? "text" : "json");
        dup2(before, STDERR_FILENO);
        if (is_good)
            expect_log(i == 0 ? "error text/room: said\n" : "\"process\":\"json\"");
        assert_int_equal(is_good, rows[i].is_good);
    }
    close(silent);
    close(before);
    log_set_json(false);
    log_set_level(LOG_INFO);
}

/* A number counts as given when it is, even if it is the default. */
static void test_what_is_default(void **state) {
    (void)state;
    struct settings s;
    char rest[200];
    assert_int_equal(parse(&s, "", rest), SETTINGS_OK);
    assert_true(settings_is_default(&s, &s.max_message_bytes));
    assert_int_equal(parse(&s, "--max-message-bytes=4194304", rest), SETTINGS_OK);
    assert_false(settings_is_default(&s, &s.max_message_bytes));
    assert_true(settings_is_default(&s, &s.max_body_bytes));
    assert_int_equal(parse(&s, "", rest), SETTINGS_OK);
    s.max_body_bytes++;
    assert_false(settings_is_default(&s, &s.max_body_bytes));
}

static void find_message_bytes(void *ctx, const struct settings_row *row) {
    if (strcmp(row->flag, "max-message-bytes") == 0)
        *(struct settings_row *)ctx = *row;
    assert_string_not_equal(row->flag, "lease-ms");
}

static void test_rows(void **state) {
    (void)state;
    struct settings s;
    struct settings_row row = {0};
    char rest[200];
    setenv("SIGNALBOX_MAX_MESSAGE_BYTES", "5000", 1);
    assert_int_equal(parse(&s, "", rest), SETTINGS_OK);
    settings_each(FOR_GATEWAY, &s, find_message_bytes, &row);
    assert_int_equal(row.kind, SETTINGS_NUMBER);
    assert_int_equal(row.number, 5000);
    assert_int_equal(row.number_default, 4194304);
    assert_int_equal(row.lowest, 1024);
    assert_non_null(row.environment);
    unsetenv("SIGNALBOX_MAX_MESSAGE_BYTES");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_environment_and_flags),
        cmocka_unit_test(test_redis_has_two_variables),
        cmocka_unit_test(test_arguments_that_are_no_flags),
        cmocka_unit_test(test_bounds_and_one_beyond),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_passwords_are_not_shown),
        cmocka_unit_test(test_secrets_leave_the_command_line),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_a_setting_changes_only_itself),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_what_is_default),
        cmocka_unit_test(test_the_log_is_as_it_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
