/*
 * fuzz_app_rules.c - rules that were set at run time, as Redis may hold them: a line that is the
 * field, then the value.
 *
 * Properties: any rule is taken or ignored; an empty value gives back what the app file said, and
 * the app goes on.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/app/app.h"
#include "common/base/log.h"
#include "common/base/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct app *load_app(void) {
    static struct settings settings;
    static char program[] = "fuzz", *arguments[] = {program, NULL};
    static const char text[] = "signalbox.on('connect', 'N', 'greet', function(e) end)\n"
                               "signalbox.signal_route('Msg', function(m) end)\n";
    char path[] = "/tmp/fuzz_app_rules_XXXXXX", *error = NULL;
    int rest, fd = mkstemp(path);
    MUST(settings_parse(&settings, FOR_ALL, 1, arguments, &rest) == SETTINGS_OK);
    settings.lua_budget_ms = 1000;
    MUST(write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1 && close(fd) == 0);
    struct app_environment environment = {.settings = &settings};
    struct app *app = app_load(path, &environment, &error);
    unlink(path);
    if (app == NULL)
        must_fail(__FILE__, __LINE__, error);
    return app;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct app *app;
    struct bytes value = bytes_of((const char *)data, size);
    struct bytes field = bytes_split(&value, '\n');
    if (app == NULL) {
        log_set_level(LOG_ERROR);
        app = load_app();
    }
    app_apply_rule(app, field, value.ptr != NULL ? value : BYTES_NONE);
    app_apply_rule(app, field, BYTES_NONE);
    MUST(app_registrations(app)->event_handlers.count == 1);
    return 0;
}
