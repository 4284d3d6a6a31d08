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

#include "common/base/log.h"
#include "common/base/settings.h"
#include "tests/common/app/app_of_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct app *load_app(void) {
    static struct settings settings;
    static char program[] = "fuzz", *arguments[] = {program, NULL};
    static const char text[] = "signalbox.on('connect', 'N', 'greet', function(e) end)\n"
                               "signalbox.signal_route('Msg', function(m) end)\n";
    int rest;
    MUST(settings_parse(&settings, FOR_ALL, 1, arguments, &rest) == SETTINGS_OK);
    settings.lua_budget_ms = 1000;
    struct app_environment environment = {.settings = &settings};
    return app_of_text(text, &environment);
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
