/* registry_view.c - see registry_view.h. */
#include "tests/world/story/registry_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/world/redis/model.h"
#include "tests/world/story/books.h"
#include "tests/world/story/cast.h"

/* Bulk strings in arrays, as Redis writes them; each is handed over, NUL-terminated. */
static void each_bulk(struct buf *reply, void (*fn)(void *ctx, const char *text, size_t len),
                      void *ctx) {
    const char *at = reply->ptr, *end = reply->ptr + reply->len;
    if (reply->len == 0 || *at != '*')
        return;
    while (at < end && (*at == '$' || *at == '*')) {
        char *rest;
        if (*at == '*' || at[1] == '-') {
            at = strstr(at, "\r\n") + 2;
            continue;
        }
        size_t len = strtoul(at + 1, &rest, 10);
        char *text = malloc(len + 1);
        memcpy(text, rest + 2, len);
        text[len] = '\0';
        fn(ctx, text, len);
        free(text);
        at = rest + 2 + len + 2;
    }
}

/* words: the command and its arguments, then NULL. */
static void ask_words(const char *const *words, void (*fn)(void *, const char *, size_t),
                      void *ctx) {
    struct bytes argv[4];
    struct buf reply = {0};
    int argc = 0;
    for (; argc < (int)ARRAY_LEN(argv) && words[argc] != NULL; argc++)
        argv[argc] = bytes_str(words[argc]);
    redis_model_ask(cast_redis_model(), argv, argc, &reply);
    buf_append(&reply, bytes_of("", 1));
    reply.len--;
    each_bulk(&reply, fn, ctx);
    buf_deinit(&reply);
}

static void ask(const char *command, const char *key, void (*fn)(void *, const char *, size_t),
                void *ctx) {
    ask_words((const char *const[]){command, key, NULL}, fn, ctx);
}

/* ---- the registry: client, value, client, value … */

struct pairs {
    void (*fn)(void *ctx, const char *client, const char *group);
    void *ctx;
    char client[TOKEN_MAX];
    bool has_client;
};

static void on_pair(void *ctx, const char *text, size_t len) {
    struct pairs *pairs = ctx;
    (void)len;
    if (!pairs->has_client) {
        snprintf(pairs->client, sizeof(pairs->client), "%s", text);
    } else {
        const char *bar = strchr(text, '|');
        pairs->fn(pairs->ctx, pairs->client, bar != NULL ? bar + 1 : "");
    }
    pairs->has_client = !pairs->has_client;
}

void registry_each(int name, void (*fn)(void *ctx, const char *client, const char *group),
                   void *ctx) {
    struct pairs pairs = {.fn = fn, .ctx = ctx};
    char key[64];
    snprintf(key, sizeof(key), "sb:{%s}:c:%s", books_tag(name_partition(name)), book_names[name]);
    ask("HGETALL", key, on_pair, &pairs);
}

/* ---- strays */

struct strays {
    unsigned partition;
    char found[128];
    const char *client;
    const char *value;
    bool is_value, is_client, is_there; /* while its registrations are read */
};

static void on_value(void *ctx, const char *text, size_t len) {
    struct strays *strays = ctx;
    (void)len;
    if (strays->is_value && strays->is_client && strcmp(text, strays->value) == 0)
        strays->is_there = true;
    strays->is_client = !strays->is_value && strcmp(text, strays->client) == 0;
    strays->is_value = !strays->is_value;
}

static void on_member(void *ctx, const char *member, size_t len) {
    struct strays *strays = ctx;
    if (len == 0 || strays->found[0] != '\0') /* an empty one fences a dead gateway */
        return;
    char key[128];
    strays->client = member + strlen(member) + 1;
    strays->value = strays->client + strlen(strays->client) + 1;
    strays->is_value = strays->is_client = strays->is_there = false;
    snprintf(key, sizeof(key), "sb:{%s}:c:%s", books_tag(strays->partition), member);
    ask("HGETALL", key, on_value, strays);
    if (!strays->is_there && name_find(member, strlen(member)) != NAME_ALL)
        snprintf(strays->found, sizeof(strays->found), "%s of %s", strays->client, member);
}

/* Also of a gateway that is dead and forgotten: its set has nothing but its fence. */
static void on_gateway(void *ctx, const char *key, size_t len) {
    (void)len;
    ask("SMEMBERS", key, on_member, ctx);
}

const char *registry_stray(void) {
    static struct strays strays;
    strays = (struct strays){0};
    for (; strays.partition < WORLD_PARTITIONS; strays.partition++) {
        char key[64];
        snprintf(key, sizeof(key), "sb:{%s}:g:*", books_tag(strays.partition));
        ask("KEYS", key, on_gateway, &strays);
    }
    return strays.found[0] == '\0' ? NULL : strays.found;
}

/* ---- what waits */

static void on_cursor(void *ctx, const char *text, size_t len) {
    (void)len;
    snprintf(ctx, MESSAGE_ID_TEXT + 1, "(%s", text);
}

struct waiting {
    void (*fn)(unsigned sent);
};

/* A value of an entry, or its id, or a field: only a value can be decoded. */
static void on_part(void *ctx, const char *text, size_t len) {
    static const char member[] = "\"message\":\"";
    struct entry e;
    unsigned sent;
    if (entry_decode(bytes_of(text, len), &e) != PARSE_OK)
        return;
    struct bytes body = e.kind == ENTRY_SEND ? e.body : BYTES_NONE;
    const char *at = e.kind == ENTRY_CLIENT && e.body.len > 0
                         ? memmem(e.body.ptr, e.body.len, member, strlen(member))
                         : NULL;
    if (at != NULL)
        body = bytes_from(e.body, (size_t)(at - e.body.ptr) + strlen(member));
    if (body.len > 0 && books_parse(body.ptr, body.len, &sent))
        ((struct waiting *)ctx)->fn(sent);
    entry_free(&e);
}

void registry_each_waiting(void (*fn)(unsigned sent)) {
    for (unsigned p = 0; p < WORLD_PARTITIONS; p++) {
        char own[64], in[64], after[MESSAGE_ID_TEXT + 1] = "-";
        snprintf(own, sizeof(own), "sb:{%s}:own", books_tag(p));
        snprintf(in, sizeof(in), "sb:{%s}:in", books_tag(p));
        ask_words((const char *const[]){"HMGET", own, "c", NULL}, on_cursor, after);
        ask_words((const char *const[]){"XRANGE", in, after, "+", NULL}, on_part,
                  &(struct waiting){fn});
    }
}
