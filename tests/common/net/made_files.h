/*
 * made_files.h - for tests: a folder of their own, and files that the shell (openssl) makes in it.
 */
#ifndef SIGNALBOX_TESTS_NET_MADE_FILES_H
#define SIGNALBOX_TESTS_NET_MADE_FILES_H

#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"

static char made_folder[64];

static inline void made_folder_begin(const char *test) {
    snprintf(made_folder, sizeof(made_folder), "/tmp/%s.XXXXXX", test);
    assert_non_null(mkdtemp(made_folder));
}

/* For cmocka's teardown. */
static inline int made_folder_end(void **state) {
    char line[100];
    (void)state;
    snprintf(line, sizeof(line), "rm -rf %s", made_folder);
    return system(line);
}

/* Runs it in the folder. What it prints is shown when it fails. */
static inline void made_by(const char *script) {
    struct buf line = {0};
    buf_printf(&line, "cd %s && (%s) >log 2>&1 || { cat log; exit 1; }", made_folder, script);
    char *text = buf_take(&line);
    assert_int_equal(system(text), 0);
    free(text);
}

/* The path of a file there; holds until the fourth call after it. */
static inline const char *made_path(const char *name) {
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", made_folder, name);
    return path;
}

#endif
