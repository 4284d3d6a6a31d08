/* data.c - see data.h. */
#include "tests/world/redis/data.h"

#include <errno.h>
#include <stdio.h>

#include "tests/world/redis/numbers.h"

enum {
    KEY_COST = 72,
    FIELD_COST = 24,
    SMALL_HASH_FIELDS = 512,
    SMALL_HASH_BYTES = 64,
    SMALL_SET_MEMBERS = 512
};

/* ---- life ---- */

struct data *data_new(uint64_t seed) {
    struct data *d = mem_zalloc(sizeof(*d));
    d->seed = seed;
    for (int i = 0; i < DATABASES; i++) {
        d->databases[i].data = d;
        dict_init(&d->databases[i].keys, seed);
    }
    return d;
}

static void drop_text(void *ctx, struct dict_entry *e) {
    (void)ctx;
    text_drop(e->value.ptr);
}

static void value_free(struct value *v) {
    switch (v->type) {
    case VALUE_STRING: text_drop(v->string); break;
    case VALUE_HASH:
        dict_each_bucket(&v->dict, drop_text, NULL);
        dict_deinit(&v->dict);
        break;
    case VALUE_SET: dict_deinit(&v->dict); break;
    case VALUE_SORTED:
        dict_deinit(&v->sorted.members);
        free(v->sorted.items);
        break;
    case VALUE_STREAM: entries_deinit(&v->stream); break;
    }
    v->data->bytes -= v->bytes;
    free(v);
}

static void drop_value(void *ctx, struct dict_entry *e) {
    (void)ctx;
    value_free(e->value.ptr);
}

void keyspace_clear(struct keyspace *k) {
    dict_each_bucket(&k->keys, drop_value, NULL);
    dict_deinit(&k->keys);
}

void data_free(struct data *d) {
    for (int i = 0; i < DATABASES; i++)
        keyspace_clear(&d->databases[i]);
    free(d);
}

/* ---- keys ---- */

struct value *keyspace_find(const struct keyspace *k, struct bytes key) {
    const struct dict_entry *e = dict_find(&k->keys, key);
    return e != NULL ? e->value.ptr : NULL;
}

struct value *keyspace_add(struct keyspace *k, struct bytes key, enum value_type type) {
    struct value *v = mem_zalloc(sizeof(*v));
    *v = (struct value){
        .type = type, .is_small = true, .expires_ms = EXPIRES_NEVER, .data = k->data};
    if (type == VALUE_HASH || type == VALUE_SET)
        dict_init(&v->dict, k->data->seed);
    else if (type == VALUE_SORTED)
        dict_init(&v->sorted.members, k->data->seed);
    dict_add(&k->keys, key)->value.ptr = v;
    value_charge(v, KEY_COST + (long)key.len);
    return v;
}

void keyspace_remove(struct keyspace *k, struct bytes key) {
    struct dict_entry *e = dict_find(&k->keys, key);
    if (e == NULL)
        return;
    value_free(e->value.ptr);
    dict_remove(&k->keys, e);
}

/* ---- values ---- */

const char *value_type_name(const struct value *v) {
    static const char *const names[] = {"string", "hash", "set", "zset", "stream"};
    return v == NULL ? "none" : names[v->type];
}

void value_charge(struct value *v, long bytes) {
    v->bytes += (size_t)bytes;
    v->data->bytes += (size_t)bytes;
}

bool value_is_empty(const struct value *v) {
    switch (v->type) {
    case VALUE_HASH:
    case VALUE_SET: return v->dict.count == 0;
    case VALUE_SORTED: return v->sorted.members.count == 0;
    case VALUE_STRING:
    case VALUE_STREAM: break;
    }
    return false;
}

void value_set_string(struct value *v, struct text *string) {
    value_charge(v, (long)string->len - (v->string != NULL ? (long)v->string->len : 0));
    text_drop(v->string);
    v->string = string;
}

/* ---- hashes ---- */

bool hash_set(struct value *v, struct bytes field, struct bytes text) {
    struct dict_entry *e = dict_find(&v->dict, field);
    bool is_new = e == NULL;
    if (field.len > SMALL_HASH_BYTES || text.len > SMALL_HASH_BYTES)
        v->is_small = false;
    if (is_new) {
        e = dict_add(&v->dict, field);
        value_charge(v, FIELD_COST + (long)(field.len + text.len));
    } else {
        struct text *before = e->value.ptr;
        value_charge(v, (long)text.len - (long)before->len);
        text_drop(before);
    }
    e->value.ptr = text_new(text);
    if (v->dict.count > SMALL_HASH_FIELDS)
        v->is_small = false;
    return is_new;
}

struct text *hash_get(const struct value *v, struct bytes field) {
    const struct dict_entry *e = dict_find(&v->dict, field);
    return e != NULL ? e->value.ptr : NULL;
}

bool hash_delete(struct value *v, struct bytes field) {
    struct dict_entry *e = dict_find(&v->dict, field);
    if (e == NULL)
        return false;
    struct text *text = e->value.ptr;
    value_charge(v, -FIELD_COST - (long)(field.len + text->len));
    text_drop(text);
    dict_remove(&v->dict, e);
    return true;
}

/* ---- sets ---- */

bool set_add(struct value *v, struct bytes member) {
    int64_t number;
    if (dict_find(&v->dict, member) != NULL)
        return false;
    dict_add(&v->dict, member);
    value_charge(v, FIELD_COST + (long)member.len);
    if (!number_parse(member, &number) || v->dict.count > SMALL_SET_MEMBERS)
        v->is_small = false;
    return true;
}

bool set_remove(struct value *v, struct bytes member) {
    struct dict_entry *e = dict_find(&v->dict, member);
    if (e == NULL)
        return false;
    dict_remove(&v->dict, e);
    value_charge(v, -FIELD_COST - (long)member.len);
    return true;
}

static int compare_numbers(const void *a, const void *b) {
    int64_t x = 0, y = 0;
    number_parse(dict_key(*(struct dict_entry *const *)a), &x);
    number_parse(dict_key(*(struct dict_entry *const *)b), &y);
    return x < y ? -1 : x > y;
}

static void each_number(const struct dict *d, dict_fn *fn, void *ctx) {
    struct dict_entry **all = mem_alloc((d->count + 1) * sizeof(struct dict_entry *)), *e;
    size_t n = 0;
    DICT_EACH(e, d)
    all[n++] = e;
    qsort(all, n, sizeof(struct dict_entry *), compare_numbers);
    for (size_t i = 0; i < n; i++)
        fn(ctx, all[i]);
    free(all);
}

void value_each(const struct value *v, dict_fn *fn, void *ctx) {
    struct dict_entry *e;
    if (!v->is_small)
        dict_each_bucket(&v->dict, fn, ctx);
    else if (v->type == VALUE_SET)
        each_number(&v->dict, fn, ctx);
    else
        DICT_EACH(e, &v->dict)
    fn(ctx, e);
}

/* ---- sorted sets ---- */

static size_t sorted_place(const struct sorted *s, size_t count, struct bytes member,
                           double score) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct dict_entry *e = s->items[middle];
        bool is_before = e->value.number != score ? e->value.number < score
                                                  : bytes_compare(dict_key(e), member) < 0;
        if (is_before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void sorted_insert(struct sorted *s, size_t count, struct dict_entry *e) {
    size_t at = sorted_place(s, count, dict_key(e), e->value.number);
    memmove(s->items + at + 1, s->items + at, (count - at) * sizeof(struct dict_entry *));
    s->items[at] = e;
}

static void sorted_take_out(struct sorted *s, size_t count, const struct dict_entry *e) {
    size_t at = sorted_place(s, count, dict_key(e), e->value.number);
    memmove(s->items + at, s->items + at + 1, (count - at - 1) * sizeof(struct dict_entry *));
}

bool sorted_set(struct value *v, struct bytes member, double score) {
    struct sorted *s = &v->sorted;
    size_t count = s->members.count;
    struct dict_entry *e = dict_find(&s->members, member);
    bool is_new = e == NULL;
    if (!is_new) {
        sorted_take_out(s, count, e);
        count--;
    } else {
        if (count == s->room) {
            s->room = s->room * 2 + 8;
            s->items = mem_realloc(s->items, s->room * sizeof(struct dict_entry *));
        }
        e = dict_add(&s->members, member);
        value_charge(v, FIELD_COST + (long)member.len);
    }
    e->value.number = score;
    sorted_insert(s, count, e);
    return is_new;
}

bool sorted_remove(struct value *v, struct bytes member) {
    struct sorted *s = &v->sorted;
    struct dict_entry *e = dict_find(&s->members, member);
    if (e == NULL)
        return false;
    sorted_take_out(s, s->members.count, e);
    dict_remove(&s->members, e);
    value_charge(v, -FIELD_COST - (long)member.len);
    return true;
}

/* ---- copies ---- */

static void copy_value(struct value *to, const struct value *from) {
    struct dict_entry *e;
    to->expires_ms = from->expires_ms;
    switch (from->type) {
    case VALUE_STRING: value_set_string(to, text_hold(from->string)); break;
    case VALUE_HASH:
        DICT_EACH(e, &from->dict)
        dict_add(&to->dict, dict_key(e))->value.ptr = text_hold(e->value.ptr);
        break;
    case VALUE_SET:
        DICT_EACH(e, &from->dict)
        dict_add(&to->dict, dict_key(e));
        break;
    case VALUE_SORTED:
        for (size_t i = 0; i < from->sorted.members.count; i++)
            sorted_set(to, dict_key(from->sorted.items[i]), from->sorted.items[i]->value.number);
        break;
    case VALUE_STREAM: entries_copy(&to->stream, &from->stream); break;
    }
    to->is_small = from->is_small;
    value_charge(to, (long)from->bytes - (long)to->bytes);
}

struct data *data_copy(const struct data *from) {
    struct data *to = data_new(from->seed);
    struct dict_entry *e;
    for (int i = 0; i < DATABASES; i++)
        DICT_EACH(e, &from->databases[i].keys) {
            const struct value *v = e->value.ptr;
            copy_value(keyspace_add(&to->databases[i], dict_key(e), v->type), v);
        }
    return to;
}
