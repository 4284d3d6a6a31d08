/* repeats.c - see repeats.h. */
#include "broker/handlers/repeats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/entry/processing.h"
#include "broker/handlers/client_message.h"
#include "common/base/digest.h"
#include "common/bus/log/log_writer.h"

/*
 * An answer is kept with a mark in front, ANSWER_MARK bytes: '#' and a digest of the message. One
 * that an older broker has kept has none, and counts as that of any message.
 */

/* The key outlives the entry, which is freed as soon as it is processed: a later one of the same
 * read may have the same key. */
struct repeat {
    const struct in_entry *entry;
    struct client_message *message;
    struct buf key_bytes;
    struct answer_key key; /* borrows from them */
    char mark[ANSWER_MARK + 1];
    char *answer; /* with its mark; NULL: none yet */
};

struct repeats {
    size_t count;
    struct repeat items[ENTRY_READER_MAX];
};

struct repeats *repeats_new(void) {
    return mem_zalloc(sizeof(struct repeats));
}

static void forget(struct repeats *r) {
    for (size_t i = 0; i < r->count; i++) {
        client_message_unref(r->items[i].message);
        buf_deinit(&r->items[i].key_bytes);
        free(r->items[i].answer);
    }
    r->count = 0;
}

void repeats_free(struct repeats *r) {
    if (r == NULL)
        return;
    forget(r);
    free(r);
}

/* ---- looking */

/* Most messages have none, and are read only when they are processed. A key may be written with
 * escapes. */
static bool may_have_id(struct bytes body) {
    const char *at = body.ptr, *end = body.ptr + body.len;
    while (end - at >= 4 && (at = memchr(at, '"', (size_t)(end - at) - 3)) != NULL) {
        if (at[1] == '\\' || at[2] == '\\' ||
            ((at[1] | 0x20) == 'i' && (at[2] | 0x20) == 'd' && at[3] == '"'))
            return true;
        at++;
    }
    return false;
}

static bool is_v1(const struct in_entry *e) {
    return !e->is_bad && e->entry.kind == ENTRY_CLIENT && (e->entry.flags & FLAG_V1) != 0;
}

static void copy_key(struct repeat *item, struct bytes name, struct bytes client_id,
                     struct bytes id) {
    struct buf *b = &item->key_bytes;
    buf_append(b, name);
    buf_append(b, client_id);
    buf_append(b, id);
    item->key = (struct answer_key){
        .name = bytes_of(b->ptr, name.len),
        .client_id = bytes_of(b->ptr + name.len, client_id.len),
        .id = bytes_of(b->ptr + name.len + client_id.len, id.len),
    };
}

/* ---- which message it is */

static bool add_member(void *ctx, struct bytes key_text, struct json_value value) {
    struct buf *out = ctx;
    char room[JSON_KEY_ROOM];
    struct bytes inner = bytes_from(bytes_head(key_text, key_text.len - 1), 1);
    enum message_key key = message_form_find(json_key(inner, room), FORM_CLIENT | FORM_V1);
    if (key == KEY_REF || key == KEY_ID)
        return true;
    buf_append(out, key_text);
    buf_append_char(out, ':');
    json_append_compact(out, value);
    buf_append_char(out, ',');
    return true;
}

/* `ref` is for one connection, and `id` may come beside the body. */
static void make_mark(char mark_out[ANSWER_MARK + 1], const struct client_message *m,
                      struct bytes body) {
    struct json_value root = {0};
    struct buf text = {0};
    char digest[45];
    if (m->document != NULL)
        root = json_root(m->document);
    if (root.kind == JSON_KIND_OBJECT)
        json_each_member(root, add_member, &text);
    else
        buf_append(&text, body);
    digest_hmac_sha256_base64(BYTES_LIT("message"), buf_bytes(&text), digest);
    snprintf(mark_out, ANSWER_MARK + 1, "#%.*s", ANSWER_MARK - 1, digest);
    buf_deinit(&text);
}

/* It is in the body, or came beside it. */
static void look_at(struct repeats *r, const struct in_entry *e) {
    const struct entry *from = &e->entry;
    bool is_beside = !e->is_bad && from->kind == ENTRY_CLIENT && answer_id_is_valid(from->once);
    if (!is_beside && (!is_v1(e) || !may_have_id(from->body)))
        return;
    struct client_message *m = client_message_new(from->body, is_v1(e));
    struct bytes id = is_beside ? from->once : buf_bytes(&m->id);
    if (id.len == 0) {
        client_message_unref(m);
        return;
    }
    struct repeat *item = &r->items[r->count++];
    *item = (struct repeat){.entry = e, .message = m};
    copy_key(item, from->name, from->client_id, id);
    make_mark(item->mark, m, from->body);
}

bool repeats_look(struct repeats *r, struct in_entry *const *entries, size_t count) {
    MUST(count <= ENTRY_READER_MAX);
    forget(r);
    for (size_t i = 0; i < count; i++)
        look_at(r, entries[i]);
    return r->count > 0;
}

size_t repeats_count(const struct repeats *r) {
    return r->count;
}

void repeats_keys(const struct repeats *r, struct answer_key *keys_out) {
    for (size_t i = 0; i < r->count; i++)
        keys_out[i] = r->items[i].key;
}

void repeats_take(struct repeats *r, size_t index, struct bytes answer) {
    MUST(index < r->count);
    if (answer.len > 0)
        r->items[index].answer = bytes_dup(answer);
}

/* ---- processing */

static struct repeat *item_of(const struct processing *p) {
    struct repeats *r = p->batch->repeats;
    for (size_t i = 0; r != NULL && i < r->count; i++)
        if (r->items[i].entry == p->entry)
            return &r->items[i];
    return NULL;
}

struct client_message *repeats_message(const struct processing *p) {
    const struct repeat *item = item_of(p);
    return item != NULL ? client_message_ref(item->message)
                        : client_message_new(p->entry->entry.body, is_v1(p->entry));
}

static bool is_same(const struct answer_key *a, const struct answer_key *b) {
    return bytes_equal(a->id, b->id) && bytes_equal(a->client_id, b->client_id) &&
           bytes_equal(a->name, b->name);
}

/* The answer with its mark: of the same read, or of an earlier one. */
static struct bytes find(const struct processing *p, const struct repeat *item) {
    const struct repeats *r = p->batch->repeats;
    for (size_t i = 0; item != NULL && i < r->count; i++)
        if (r->items[i].answer != NULL && is_same(&r->items[i].key, &item->key))
            return bytes_str(r->items[i].answer);
    return BYTES_NONE;
}

static bool has_mark(struct bytes answer) {
    return answer.len > ANSWER_MARK && answer.ptr[0] == '#';
}

struct bytes repeats_find(const struct processing *p) {
    struct bytes answer = find(p, item_of(p));
    return has_mark(answer) ? bytes_from(answer, ANSWER_MARK) : answer;
}

bool repeats_is_other(const struct processing *p) {
    const struct repeat *item = item_of(p);
    struct bytes answer = find(p, item);
    return has_mark(answer) &&
           !bytes_equal(bytes_head(answer, ANSWER_MARK), bytes_of(item->mark, ANSWER_MARK));
}

void repeats_answer(struct processing *p, struct bytes answer) {
    struct repeat *item = item_of(p);
    if (item == NULL || item->answer != NULL)
        return;
    struct buf marked = {0};
    buf_append(&marked, bytes_of(item->mark, ANSWER_MARK));
    buf_append(&marked, answer);
    buf_append_char(&marked, '\0');
    item->answer = buf_take(&marked);
    log_writer_answer(p->batch->writer, &item->key, bytes_str(item->answer));
}
