/* app_of_text.h - for tests and fuzzers: an app whose only file has this text. */
#ifndef SIGNALBOX_TESTS_APP_APP_OF_TEXT_H
#define SIGNALBOX_TESTS_APP_APP_OF_TEXT_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/app/app.h"
#include "common/base/must.h"

static inline struct app *app_of_text(const char *text, const struct app_environment *environment) {
    char path[] = "/tmp/signalbox-app-XXXXXX", *error = NULL;
    size_t len = strlen(text);
    int file = mkstemp(path);
    MUST(file >= 0 && write(file, text, len) == (ssize_t)len && close(file) == 0);
    struct app *app = app_load(path, environment, &error);
    unlink(path);
    if (app == NULL)
        must_fail(__FILE__, __LINE__, error);
    return app;
}

#endif
