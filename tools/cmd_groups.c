/* cmd_groups.c - join, leave: change the groups of one connection, at whatever gateway it is. */
#include "tools/send_one.h"
#include "tools/verb.h"

struct change {
    struct send_one one;
};

/* NAME ID GROUP … */
static int run(struct tool *t, struct change *c, enum groups_change change) {
    const struct settings_list client = {.items = {t->arguments[1]}, .count = 1};
    struct settings_list groups = {.count = 0};
    int exit_code = TOOL_USAGE;
    for (int i = 2; i < t->argument_count; i++)
        groups.items[groups.count++] = t->arguments[i];
    c->one.tool = t;
    c->one.what = (struct delivery){.kind = MESSAGE_GROUPS, .code = change};
    c->one.has_one_id = true;
    if (send_one_address(&c->one, t->arguments[0], &groups, &client))
        exit_code = send_one_run(&c->one);
    send_one_deinit(&c->one);
    return exit_code;
}

static int run_join(struct tool *t, void *own) {
    return run(t, own, GROUPS_JOIN);
}

static int run_leave(struct tool *t, void *own) {
    return run(t, own, GROUPS_LEAVE);
}

const struct verb verb_join = {.name = "join",
                               .arguments = "NAME ID GROUP…",
                               .summary = "let a connection join groups",
                               .flags = VERB_REDIS | VERB_JSON,
                               VERB_COUNT(3, 2 + SETTINGS_LIST_MAX),
                               VERB_RUN(struct change, run_join)};

const struct verb verb_leave = {.name = "leave",
                                .arguments = "NAME ID GROUP…",
                                .summary = "let a connection leave groups",
                                .flags = VERB_REDIS | VERB_JSON,
                                VERB_COUNT(3, 2 + SETTINGS_LIST_MAX),
                                VERB_RUN(struct change, run_leave)};
