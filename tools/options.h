/* options.h - reads a verb's command line by the table of its options, and prints its help. */
#ifndef SIGNALBOX_TOOLS_OPTIONS_H
#define SIGNALBOX_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct tool;

enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_BAD };

/* argv is what follows the verb. Fills t->settings, `own`, and t->arguments, for which argv is
 * overwritten. OPTIONS_BAD after one line on standard error. */
enum options_result options_parse(struct tool *t, void *own, int argc, char **argv);
void options_print_help(FILE *out, const struct tool *t);

#endif
