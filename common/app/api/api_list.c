/* api_list.c - signalbox.names, groups, clients and exists: who is connected, by the registry. All
 * wait. */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/app/lua/json_lua.h"
#include "common/base/fold.h"
#include "common/bus/cluster/registry.h"

/* exists { client_id=, group= } looks at so many Names of each partition. */
enum { SAME_ID_MAX = 64 };

/* A question to the registry; what it asks for is copied. */
struct query {
    struct app_call *call;
    app_push_fn *push;
    bool has_groups;   /* only those of `groups` */
    struct buf groups; /* each with a NUL after it */
    const struct registry_row *rows;
    size_t count;
    struct conn_details details; /* of the row that is pushed */
};

static struct registry *check_registry(lua_State *L, const char *function) {
    struct registry *registry = app_of(L)->env.registry;
    api_bus(L, function);
    if (registry == NULL)
        luaL_error(L, "signalbox.%s needs Redis, and there is none here", function);
    return registry;
}

static struct query *query_new(struct app_call *call, app_push_fn *push, struct bytes_list groups) {
    struct query *q = mem_zalloc(sizeof(*q));
    q->call = call;
    q->push = push;
    q->has_groups = bytes_list_is_given(groups);
    for (size_t i = 0; i < groups.count; i++) {
        buf_append(&q->groups, groups.items[i]);
        buf_append_char(&q->groups, '\0');
    }
    return q;
}

static void on_rows(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct query *q = ctx;
    q->rows = rows;
    q->count = count;
    if (status < 0)
        app_resume_error(q->call, registry_failure(status));
    else
        app_resume_ok(q->call, q->push, q);
    conn_details_free(&q->details);
    buf_deinit(&q->groups);
    free(q);
}

/* --- results --- */

static bool has_group(const struct query *q, struct bytes_list groups) {
    struct bytes rest = buf_bytes(&q->groups);
    while (rest.len > 0) {
        struct bytes one = bytes_split(&rest, '\0');
        if (one.len > 0 && fold_list_has(groups, one))
            return true;
    }
    return false;
}

static bool is_wanted(const struct query *q, const struct registry_row *row) {
    struct conn_details d;
    if (!q->has_groups)
        return true;
    conn_details_read(row->value, row->details, &d);
    bool is_it = has_group(q, d.groups);
    conn_details_free(&d);
    return is_it;
}

static int compare_texts(const void *a, const void *b) {
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* The list that is gathered, in a userdata on the stack. */
static struct bytes *push_room(lua_State *L, size_t count) {
    return lua_newuserdatauv(L, (count + 1) * sizeof(struct bytes), 0);
}

/* An array, also while it is empty. */
static int push_texts(lua_State *L, struct bytes *texts, size_t count) {
    qsort(texts, count, sizeof(*texts), compare_texts);
    json_push_texts(L, (struct bytes_list){texts, count});
    return 1;
}

static int push_names(void *ctx, lua_State *L) {
    const struct query *q = ctx;
    struct bytes *texts = push_room(L, q->count);
    for (size_t i = 0; i < q->count; i++)
        texts[i] = q->rows[i].name;
    return push_texts(L, texts, q->count);
}

static int push_clients(void *ctx, lua_State *L) {
    const struct query *q = ctx;
    struct bytes *texts = push_room(L, q->count);
    size_t count = 0;
    for (size_t i = 0; i < q->count; i++)
        if (is_wanted(q, &q->rows[i]))
            texts[count++] = q->rows[i].client_id;
    return push_texts(L, texts, count);
}

static void push_client(lua_State *L, struct query *q, const struct registry_row *row) {
    struct conn_value value = {0};
    (void)conn_value_parse(row->value, &value);
    conn_details_free(&q->details); /* of the row before; on_rows frees the last */
    conn_details_read(row->value, row->details, &q->details);
    lua_createtable(L, 0, 7);
    stack_set_bytes(L, "client_id", row->client_id);
    if (q->details.groups.count > 0)
        stack_set_bytes(L, "group", q->details.groups.items[0]);
    api_set_groups(L, q->details.groups);
    api_set_data(L, q->details.data);
    stack_set_bytes(L, "gateway", value.gateway);
    stack_set_bytes(L, "transport", conn_value_transport(&value));
    stack_set_time(L, "connected_at", value.connected_ms);
}

static int push_client_rows(void *ctx, lua_State *L) {
    struct query *q = ctx;
    lua_Integer count = 0;
    lua_newtable(L);
    json_mark_array(L, -1);
    for (size_t i = 0; i < q->count; i++) {
        if (!is_wanted(q, &q->rows[i]))
            continue;
        push_client(L, q, &q->rows[i]);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

static int compare_folded(const void *a, const void *b) {
    return fold_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* The groups of all rows, which they borrow from; texts may be NULL. */
static size_t take_groups(const struct query *q, struct bytes *texts) {
    struct conn_details d;
    size_t count = 0;
    for (size_t i = 0; i < q->count; i++) {
        conn_details_read(q->rows[i].value, q->rows[i].details, &d);
        for (size_t k = 0; k < d.groups.count; k++, count++)
            if (texts != NULL)
                texts[count] = d.groups.items[k];
        conn_details_free(&d);
    }
    return count;
}

static int push_groups(void *ctx, lua_State *L) {
    const struct query *q = ctx;
    struct bytes *texts = push_room(L, take_groups(q, NULL));
    size_t count = take_groups(q, texts), distinct = 0;
    qsort(texts, count, sizeof(*texts), compare_folded);
    for (size_t i = 0; i < count; i++)
        if (distinct == 0 || !fold_equal(texts[distinct - 1], texts[i]))
            texts[distinct++] = texts[i];
    return push_texts(L, texts, distinct);
}

static int push_is_there(void *ctx, lua_State *L) {
    const struct query *q = ctx;
    bool is_there = false;
    for (size_t i = 0; i < q->count; i++)
        is_there |= is_wanted(q, &q->rows[i]);
    lua_pushboolean(L, is_there);
    return 1;
}

/* --- the functions --- */

int api_names(lua_State *L) {
    struct app_call *call = app_may_wait(L);
    struct registry *registry = check_registry(L, "names");
    registry_names(registry, on_rows, query_new(call, push_names, (struct bytes_list){NULL, 0}));
    return app_wait(L, call);
}

/* groups(name): distinct without case. */
int api_groups(lua_State *L) {
    const char *name = api_check_text(L, 1, "name");
    struct app_call *call = app_may_wait(L);
    struct registry *registry = check_registry(L, "groups");
    struct query *q = query_new(call, push_groups, (struct bytes_list){NULL, 0});
    registry_list(registry, bytes_str(name), on_rows, q);
    return app_wait(L, call);
}

/* clients { name=, group=, details= } */
int api_clients(lua_State *L) {
    static const char *const allowed[] = {"name", "group", "details", NULL};
    struct bytes one;
    api_check_options(L, 1, allowed);
    const char *name = api_option_address(L, 1, "name");
    struct bytes_list groups = api_option_list(L, 1, "group", &one);
    bool has_details = api_option_bool(L, 1, "details", false);
    luaL_argcheck(L, name != NULL, 1, "the option 'name' is missing");
    struct app_call *call = app_may_wait(L);
    struct registry *registry = check_registry(L, "clients");
    struct query *q = query_new(call, has_details ? push_client_rows : push_clients, groups);
    registry_list(registry, bytes_str(name), on_rows, q);
    return app_wait(L, call);
}

/* exists { name=, client_id=, group= }: a name or a client id is needed. */
int api_exists(lua_State *L) {
    static const char *const allowed[] = {"name", "client_id", "group", NULL};
    struct bytes one[2];
    api_check_options(L, 1, allowed);
    const char *name = api_option_address(L, 1, "name");
    struct bytes_list ids = api_option_list(L, 1, "client_id", &one[0]);
    struct bytes_list groups = api_option_list(L, 1, "group", &one[1]);
    luaL_argcheck(L, name != NULL || bytes_list_is_given(ids), 1,
                  "a name or a client_id is needed");
    luaL_argcheck(L, ids.count <= 1, 1, "the option 'client_id' is one id");
    struct app_call *call = app_may_wait(L);
    struct registry *registry = check_registry(L, "exists");
    if (bytes_list_is_nobody(ids)) {
        lua_pushboolean(L, false);
        return 1;
    }
    struct query *q = query_new(call, push_is_there, groups);
    if (!bytes_list_is_given(ids) && !q->has_groups)
        registry_find_name(registry, bytes_str(name), on_rows, q);
    else if (!bytes_list_is_given(ids))
        registry_list(registry, bytes_str(name), on_rows, q);
    else if (name == NULL)
        registry_find_id(registry, ids.items[0], SAME_ID_MAX, on_rows, q);
    else
        registry_find(registry, bytes_str(name), ids.items[0], on_rows, q);
    return app_wait(L, call);
}
