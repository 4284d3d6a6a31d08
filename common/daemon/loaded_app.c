/* loaded_app.c - see loaded_app.h. */
#include "common/daemon/loaded_app.h"

#include <stdlib.h>

#include "common/base/table.h"

struct rule {
    char *field, *value;
    UT_hash_handle hh;
};

static void forget_rule(struct loaded_app *l, struct rule *rule) {
    HASH_DEL(l->rules, rule);
    free(rule->field);
    free(rule->value);
    free(rule);
}

void loaded_app_set_rule(struct loaded_app *l, struct bytes field, struct bytes value) {
    struct rule *rule;
    HASH_FIND(hh, l->rules, field.ptr, field.len, rule);
    if (rule != NULL)
        forget_rule(l, rule);
    if (value.len > 0) {
        rule = mem_zalloc(sizeof(*rule));
        rule->field = bytes_dup(field);
        rule->value = bytes_dup(value);
        HASH_ADD_KEYPTR(hh, l->rules, rule->field, field.len, rule);
    }
    if (l->app != NULL)
        app_apply_rule(l->app, field, value);
}

void loaded_app_set_secret(struct loaded_app *l, struct bytes secret) {
    free(l->secret);
    l->secret = bytes_dup(secret);
    if (l->app != NULL)
        app_set_server_secret(l->app, secret);
}

int loaded_app_load(struct loaded_app *l, char **error_out) {
    struct rule *rule, *next;
    struct app *fresh = app_load(l->path, &l->environment, error_out);
    if (fresh == NULL)
        return -1;
    loaded_app_release(l);
    l->app = fresh;
    HASH_ITER (hh, l->rules, rule, next)
        app_apply_rule(fresh, bytes_str(rule->field), bytes_str(rule->value));
    if (l->secret != NULL)
        app_set_server_secret(fresh, bytes_str(l->secret));
    return 0;
}

void loaded_app_release(struct loaded_app *l) {
    if (l->app != NULL)
        app_release(l->app);
    l->app = NULL;
}

void loaded_app_init(struct loaded_app *l, const char *path,
                     const struct app_environment *environment) {
    *l = (struct loaded_app){.path = path, .environment = *environment};
}

void loaded_app_deinit(struct loaded_app *l) {
    struct rule *rule, *next;
    loaded_app_release(l);
    HASH_ITER (hh, l->rules, rule, next)
        forget_rule(l, rule);
    free(l->secret);
    l->secret = NULL;
}
