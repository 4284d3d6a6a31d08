/* test_loaded_app.c - what the cluster says at run time holds for every app that is loaded later,
 * and an app file that is wrong changes nothing. */
#include "common/daemon/loaded_app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/base/settings.h"

struct world {
    uv_loop_t loop;
    struct settings settings;
    struct loaded_app loaded;
    char folder[32], path[48];
};

static int setup(void **state) {
    static struct world w;
    char program[] = "test", *arguments[] = {program, NULL};
    int rest;
    w = (struct world){.folder = "/tmp/signalbox-test-XXXXXX"};
    log_set_level(LOG_ERROR + 1);
    assert_int_equal(settings_parse(&w.settings, FOR_ALL, 1, arguments, &rest), SETTINGS_OK);
    assert_int_equal(uv_loop_init(&w.loop), 0);
    assert_non_null(mkdtemp(w.folder));
    snprintf(w.path, sizeof(w.path), "%s/app.lua", w.folder);
    struct app_environment environment = {.loop = &w.loop, .settings = &w.settings};
    loaded_app_init(&w.loaded, w.path, &environment);
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    loaded_app_deinit(&w->loaded);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    unlink(w->path);
    rmdir(w->folder);
    return uv_loop_close(&w->loop);
}

static void write_app(struct world *w, const char *text) {
    FILE *file = fopen(w->path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) < 0, 0);
    fclose(file);
}

static void must_load(struct world *w, const char *text) {
    char *error = NULL;
    write_app(w, text);
    if (loaded_app_load(&w->loaded, &error) != 0)
        fail_msg("%s", error);
}

static void set_rule(struct world *w, const char *field, const char *value) {
    loaded_app_set_rule(&w->loaded, bytes_str(field), bytes_str(value));
}

static enum level level_of(struct world *w, const char *name) {
    return levels_get(app_registrations(w->loaded.app)->levels, bytes_str(name));
}

static void rules_come_before_the_app(void **state) {
    struct world *w = *state;
    set_rule(w, "level:msg", "clientid");
    set_rule(w, "level:gone", "clientid");
    set_rule(w, "level:gone", "");
    set_rule(w, "level:never", "");
    must_load(w, "signalbox.broadcast_level('group')");
    assert_int_equal(level_of(w, "Msg"), LEVEL_CLIENT_ID);
    assert_int_equal(level_of(w, "Gone"), LEVEL_GROUP);
    assert_int_equal(level_of(w, "Never"), LEVEL_GROUP);
}

static void rules_outlive_a_reload(void **state) {
    struct world *w = *state;
    must_load(w, "signalbox.broadcast_level('group')");
    set_rule(w, "level:msg", "name");
    assert_int_equal(level_of(w, "Msg"), LEVEL_NAME);
    set_rule(w, "level:msg", "clientid");
    must_load(w, "signalbox.broadcast_level('name')");
    assert_int_equal(level_of(w, "Msg"), LEVEL_CLIENT_ID);
    assert_int_equal(level_of(w, "Other"), LEVEL_NAME);
    set_rule(w, "level:msg", "");
    assert_int_equal(level_of(w, "Msg"), LEVEL_NAME);
}

static void the_secret_outlives_a_reload(void **state) {
    static const char text[] = "signalbox.signing{secret = signalbox.server_secret()}";
    struct world *w = *state;
    loaded_app_set_secret(&w->loaded, BYTES_LIT("first"));
    loaded_app_set_secret(&w->loaded, BYTES_LIT("the cluster's"));
    must_load(w, text);
    assert_string_equal(app_registrations(w->loaded.app)->signing.secret, "the cluster's");
    must_load(w, text);
    assert_string_equal(app_registrations(w->loaded.app)->signing.secret, "the cluster's");
}

static void a_wrong_file_changes_nothing(void **state) {
    struct world *w = *state;
    char *error = NULL;
    must_load(w, "signalbox.broadcast_level('group')");
    const struct app *before = w->loaded.app;
    write_app(w, "\nerror('not this one')");
    assert_int_equal(loaded_app_load(&w->loaded, &error), -1);
    assert_non_null(strstr(error, "app.lua:2: not this one"));
    free(error);
    assert_ptr_equal(w->loaded.app, before);
    set_rule(w, "level:msg", "clientid");
    assert_int_equal(level_of(w, "Msg"), LEVEL_CLIENT_ID);
    loaded_app_release(&w->loaded);
    assert_null(w->loaded.app);
    set_rule(w, "level:msg", ""); /* Redis may still answer then */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rules_come_before_the_app, setup, teardown),
        cmocka_unit_test_setup_teardown(rules_outlive_a_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(the_secret_outlives_a_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_file_changes_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
