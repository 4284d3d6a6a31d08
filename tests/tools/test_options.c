/* test_options.c - what becomes of a command line: values, bounds, what is left, and the one line
 * that says what is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/options.h"
#include "tools/tool.h"
#include "tools/verb.h"

/* As --timeout of a verb that speaks to Redis. */
static bool parse(const char *text, int64_t *ms_out) {
    static const struct verb verb = {.name = "test", .arguments = "", .flags = VERB_REDIS};
    struct tool t = {.verb = &verb};
    char argument[64], *arguments[] = {argument, NULL};
    snprintf(argument, sizeof(argument), "--timeout=%s", text);
    enum options_result result = options_parse(&t, NULL, 1, arguments);
    *ms_out = t.timeout_ms;
    return result == OPTIONS_OK;
}

static void test_durations(void **state) {
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused, and the initial 5 s stay */
    } rows[] = {{"0", 0},
                {"250", 250},
                {"200ms", 200},
                {"2s", 2000},
                {"1m", 60000},
                {"1.5s", 1500},
                {"2h", 7200000},
                {"1000000000", 1000000000},
                {"1000000000h", INT64_C(3600000000000000)},
                {"1000000001", -1},
                {"", -1},
                {"s", -1},
                {"-1s", -1},
                {"1 s", -1},
                {"1d", -1},
                {"nan", -1},
                {"inf", -1},
                {"99999999999", -1},
                {"1e999", -1},
                {"1s1s", -1}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ms = -1;
        assert_int_equal(parse(rows[i].text, &ms), rows[i].ms >= 0);
        assert_int_equal(ms, rows[i].ms >= 0 ? rows[i].ms : 5000);
    }
}

/* --- a verb with an option of each kind --- */

struct own {
    bool flag;
    const char *text;
    struct settings_list list;
    int64_t number, wait_ms;
};

static const struct option options[] = {
    {"flag", OPTION_FLAG, offsetof(struct own, flag), NULL, "a flag"},
    {"text", OPTION_TEXT, offsetof(struct own, text), "TEXT", "a text", .initial = "first"},
    {"list", OPTION_LIST, offsetof(struct own, list), "ITEM", "a list"},
    {"number", OPTION_NUMBER, offsetof(struct own, number), "N", "a number", .lowest = 2,
     .highest = 5, .initial = "3"},
    {"wait", OPTION_DURATION, offsetof(struct own, wait_ms), "TIME", "a time", .initial = "7s"},
};

static const struct verb verb = {.name = "verb",
                                 .arguments = "A [B]",
                                 .summary = "do something",
                                 .details = "In detail.",
                                 .flags = VERB_JSON | VERB_REDIS,
                                 VERB_COUNT(1, 2),
                                 VERB_OPTIONS(options)};

struct line {
    struct tool tool;
    struct own own;
    enum options_result result;
    char *words[80], text[4096], error[1024];
    int count;
};

static void read_back(FILE *file, char *to, size_t size) {
    rewind(file);
    to[fread(to, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* The words of a line, with what is printed to standard error. */
static struct line *read_line(const struct verb *v, const char *text) {
    static struct line l;
    FILE *file = tmpfile();
    int error = dup(STDERR_FILENO);
    memset(&l, 0, sizeof(l));
    l.tool.verb = v;
    snprintf(l.text, sizeof(l.text), "%s", text);
    for (char *word = strtok(l.text, " "); word != NULL; word = strtok(NULL, " "))
        l.words[l.count++] = strcmp(word, "''") == 0 ? "" : word;
    dup2(fileno(file), STDERR_FILENO);
    l.result = options_parse(&l.tool, &l.own, l.count, l.words);
    fflush(stderr);
    dup2(error, STDERR_FILENO);
    close(error);
    read_back(file, l.error, sizeof(l.error));
    return &l;
}

static void test_values(void **state) {
    static const struct {
        const char *line, *arguments; /* what is left, each with a space behind it */
        struct own own;
        bool is_json;
        int64_t timeout_ms;
    } rows[] = {
        {"a", "a ", {false, "first", {.count = 0}, 3, 7000}, false, 5000},
        {"a b", "a b ", {false, "first", {.count = 0}, 3, 7000}, false, 5000},
        {"--flag a", "a ", {true, "first", {.count = 0}, 3, 7000}, false, 5000},
        {"a --text x --text=y", "a ", {false, "y", {.count = 0}, 3, 7000}, false, 5000},
        {"a --text=", "a ", {false, "", {.count = 0}, 3, 7000}, false, 5000},
        {"a --text x=y", "a ", {false, "x=y", {.count = 0}, 3, 7000}, false, 5000},
        {"a --text=x=y", "a ", {false, "x=y", {.count = 0}, 3, 7000}, false, 5000},
        {"a --text --flag", "a ", {false, "--flag", {.count = 0}, 3, 7000}, false, 5000},
        {"--number 2 a", "a ", {false, "first", {.count = 0}, 2, 7000}, false, 5000},
        {"--number=5 a", "a ", {false, "first", {.count = 0}, 5, 7000}, false, 5000},
        {"--list x a --list=y", "a ", {false, "first", {.count = 2}, 3, 7000}, false, 5000},
        {"--wait 1m a", "a ", {false, "first", {.count = 0}, 3, 60000}, false, 5000},
        {"--json a --timeout 1s", "a ", {false, "first", {.count = 0}, 3, 7000}, true, 1000},
        {"a -- --flag", "a --flag ", {false, "first", {.count = 0}, 3, 7000}, false, 5000},
        {"a -- --", "a -- ", {false, "first", {.count = 0}, 3, 7000}, false, 5000},
        {"-- -x", "-x ", {false, "first", {.count = 0}, 3, 7000}, false, 5000},
        {"-", "- ", {false, "first", {.count = 0}, 3, 7000}, false, 5000},
        {"''", " ", {false, "first", {.count = 0}, 3, 7000}, false, 5000},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct line *l = read_line(&verb, rows[i].line);
        char left[100] = "";
        if (l->result != OPTIONS_OK)
            fail_msg("%s: %s", rows[i].line, l->error);
        assert_string_equal(l->error, "");
        for (int k = 0; k < l->tool.argument_count; k++)
            snprintf(left + strlen(left), sizeof(left) - strlen(left), "%s ", l->tool.arguments[k]);
        assert_string_equal(left, rows[i].arguments);
        assert_null(l->tool.arguments[l->tool.argument_count]);
        assert_int_equal(l->own.flag, rows[i].own.flag);
        assert_string_equal(l->own.text, rows[i].own.text);
        assert_int_equal(l->own.list.count, rows[i].own.list.count);
        assert_int_equal(l->own.number, rows[i].own.number);
        assert_int_equal(l->own.wait_ms, rows[i].own.wait_ms);
        assert_int_equal(l->tool.is_json, rows[i].is_json);
        assert_int_equal(l->tool.timeout_ms, rows[i].timeout_ms);
        if (rows[i].own.list.count == 2) {
            assert_string_equal(l->own.list.items[0], "x");
            assert_string_equal(l->own.list.items[1], "y");
        }
    }
}

static void test_what_is_wrong(void **state) {
    static const struct {
        const char *line, *error;
    } rows[] = {
        {"", "an argument is missing; usage: signalbox verb A [B]"},
        {"a b c", "too many arguments; usage: signalbox verb A [B]"},
        {"--flag", "an argument is missing; usage: signalbox verb A [B]"},
        {"a --flag=yes", "--flag takes no value"},
        {"a --flag=", "--flag takes no value"},
        {"a --text", "--text needs a value"},
        {"a --number 1", "--number=1: must be a number from 2 to 5"},
        {"a --number 6", "--number=6: must be a number from 2 to 5"},
        {"a --number=", "--number=: must be a number from 2 to 5"},
        {"a --number=3x", "--number=3x: must be a number from 2 to 5"},
        {"a --number=99999999999999999999",
         "--number=99999999999999999999: must be a number from 2 to 5"},
        {"a --wait soon", "--wait=soon: must be a time, as in 200ms, 2s or 1m"},
        {"a -x", "-x: no such option; an argument that begins with '-' goes behind --"},
        {"a -help", "-help: no such option; an argument that begins with '-' goes behind --"},
        {"a --nothing-like-it",
         "--nothing-like-it: no such option; `signalbox verb --help` lists them"},
        {"a --flg", "--flg: no such option, did you mean --flag?; `signalbox verb --help` lists "
                    "them"},
        {"a --jso", "--jso: no such option, did you mean --json?; `signalbox verb --help` lists "
                    "them"},
        {"a --timout=1", "--timout: no such option, did you mean --timeout?; `signalbox verb "
                         "--help` lists them"},
        {"a --redi=x", "--redi: no such option, did you mean --redis?; `signalbox verb --help` "
                       "lists them"},
        {"a --lease-ms=700", "--lease-ms: no such option; `signalbox verb --help` lists them"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct line *l = read_line(&verb, rows[i].line);
        char expected[400];
        snprintf(expected, sizeof(expected), "signalbox verb: %s\n", rows[i].error);
        assert_int_equal(l->result, OPTIONS_BAD);
        assert_string_equal(l->error, expected);
    }
}

static void test_help_and_version_come_first(void **state) {
    static const struct {
        const char *line;
        enum options_result result;
    } rows[] = {
        {"--help", OPTIONS_HELP},
        {"-h", OPTIONS_HELP},
        {"a b c d --help", OPTIONS_HELP},
        {"--version", OPTIONS_VERSION},
        {"--version --help", OPTIONS_VERSION},
        {"--bad --help", OPTIONS_BAD},
        {"-- --help", OPTIONS_OK},
        {"a --text --help", OPTIONS_OK},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(read_line(&verb, rows[i].line)->result, rows[i].result);
}

/* --json and --timeout belong to the verbs that have them. */
static void test_a_verb_without_them(void **state) {
    static const struct verb bare = {.name = "bare", .arguments = "", VERB_COUNT(0, 0)};
    (void)state;
    assert_int_equal(read_line(&bare, "")->result, OPTIONS_OK);
    assert_int_equal(read_line(&bare, "--json")->result, OPTIONS_BAD);
    assert_int_equal(read_line(&bare, "--timeout 1s")->result, OPTIONS_BAD);
    assert_int_equal(read_line(&bare, "--redis redis://x")->result, OPTIONS_OK);
    assert_true(read_line(&bare, "--redis redis://x")->tool.is_redis_given);
    assert_false(read_line(&bare, "")->tool.is_redis_given);
    assert_string_equal(read_line(&bare, "a")->error,
                        "signalbox bare: too many arguments; usage: signalbox bare \n");
}

static void test_a_list_has_a_bound(void **state) {
    char line[4096] = "a";
    (void)state;
    for (int i = 0; i < SETTINGS_LIST_MAX; i++)
        strcat(line, " --list=x");
    struct line *l = read_line(&verb, line);
    assert_int_equal(l->result, OPTIONS_OK);
    assert_int_equal(l->own.list.count, SETTINGS_LIST_MAX);
    strcat(line, " --list=x");
    l = read_line(&verb, line);
    assert_int_equal(l->result, OPTIONS_BAD);
    assert_non_null(strstr(l->error, "--list is given more than "));
}

/* Those of the daemons are checked and kept; Redis is for all. */
static void test_settings_are_passed_on(void **state) {
    static const struct verb up = {.name = "up",
                                   .arguments = "",
                                   .flags = VERB_DAEMON_SETTINGS | VERB_REDIS,
                                   VERB_COUNT(0, 1)};
    char line[4096] = "";
    (void)state;
    struct line *l = read_line(&up, "--lease-ms 700 --redis redis://x --max-message-bytes=65536");
    assert_int_equal(l->result, OPTIONS_OK);
    assert_int_equal(l->tool.passed_count, 4);
    assert_string_equal(tool_passed(&l->tool, "lease-ms"), "700");
    assert_string_equal(tool_passed(&l->tool, "max-message-bytes"), "65536");
    assert_null(tool_passed(&l->tool, "redis"));
    assert_null(tool_passed(&l->tool, "700"));
    assert_string_equal(l->tool.settings.redis, "redis://x");
    assert_int_equal(read_line(&up, "--lease-ms 7")->result, OPTIONS_BAD);
    assert_int_equal(read_line(&up, "--lease-ms")->result, OPTIONS_BAD);
    assert_non_null(strstr(read_line(&up, "--leas-ms 700")->error, "did you mean --lease-ms?"));
    for (int i = 0; i < TOOL_PASSED_MAX / 2; i++)
        strcat(line, " --lease-ms=700");
    assert_int_equal(read_line(&up, line)->result, OPTIONS_OK);
    strcat(line, " --lease-ms=700");
    l = read_line(&up, line);
    assert_int_equal(l->result, OPTIONS_BAD);
    assert_string_equal(l->error, "signalbox up: too many settings\n");
}

static void test_help_shows_what_there_is(void **state) {
    static const char *const lines[] = {
        "usage: signalbox verb A [B] [options]\n\ndo something\n\nIn detail.\n\n",
        "\n  --flag                 a flag\n",
        "\n  --text TEXT            a text [first]\n",
        "\n  --list ITEM            a list\n",
        "\n  --number N             a number [3]\n",
        "\n  --json                 print JSON, for scripts\n",
        "\n  --timeout TIME         how long to wait for Redis [5s]\n",
        "\nSettings:\n",
        "--redis URL",
        "\nExit status: 0 success, 1 failure, 2 the command line",
    };
    static char text[16384];
    static const struct verb bare = {.name = "bare", .arguments = "", .summary = "do nothing"};
    struct tool t = {.verb = &verb};
    FILE *file = tmpfile();
    (void)state;
    options_print_help(file, &t);
    read_back(file, text, sizeof(text));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("%s is not in\n%s", lines[i], text);
    assert_null(strstr(text, "passed on"));
    t.verb = &bare;
    file = tmpfile();
    options_print_help(file, &t);
    read_back(file, text, sizeof(text));
    assert_ptr_equal(strstr(text, "usage: signalbox bare [options]\n\ndo nothing\n\n\nSettings"),
                     text);
    assert_null(strstr(text, "--json"));
    assert_null(strstr(text, "--timeout"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_help_and_version_come_first),
        cmocka_unit_test(test_a_verb_without_them),
        cmocka_unit_test(test_a_list_has_a_bound),
        cmocka_unit_test(test_settings_are_passed_on),
        cmocka_unit_test(test_help_shows_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
