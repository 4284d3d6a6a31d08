/* options.h - a verb's command line, by its table. */
#ifndef SIGNALBOX_TOOLS_OPTIONS_H
#define SIGNALBOX_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct tool;

enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_BAD };

/* argv: what follows the verb. Fills t->settings, t->arguments (which replace argv) and `own`.
 * OPTIONS_BAD after one line on standard error. */
enum options_result options_parse(struct tool *t, void *own, int argc, char **argv);
void options_print_help(FILE *out, const struct tool *t);

#endif
