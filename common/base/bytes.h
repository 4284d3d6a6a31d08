/*
 * bytes.h - a borrowed run of bytes. It never owns: whoever handed it out says how long it lives.
 *
 * A `struct bytes` may hold any octets, NUL included. An absent value is {NULL, 0}; an empty one
 * has a pointer.
 */
#ifndef SIGNALBOX_BASE_BYTES_H
#define SIGNALBOX_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const char *ptr;
    size_t len;
};

#define BYTES_NONE      ((struct bytes){NULL, 0})
#define BYTES_LIT(text) ((struct bytes){"" text, sizeof(text) - 1})
/* For printf: "%.*s", BYTES_FMT(b). */
#define BYTES_FMT(b) (int)(b).len, (b).ptr

static inline struct bytes bytes_of(const void *ptr, size_t len) {
    return (struct bytes){ptr, len};
}

/* The text up to its NUL; NULL gives BYTES_NONE. */
struct bytes bytes_str(const char *text);

static inline bool bytes_is_empty(struct bytes b) {
    return b.len == 0;
}

/* ASCII letters become lower case; every other byte stays. */
static inline char bytes_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The value of a hexadecimal digit, or -1. */
static inline int bytes_hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = bytes_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* From offset `from` to the end; an offset past the end gives an empty run. */
struct bytes bytes_from(struct bytes b, size_t from);
/* The first `len` bytes, or all when there are fewer. */
struct bytes bytes_head(struct bytes b, size_t len);
/* Without leading and trailing spaces and tabs. */
struct bytes bytes_trim(struct bytes b);

bool bytes_equal(struct bytes a, struct bytes b);
/* ASCII letters compare without case; all other bytes exactly. */
bool bytes_equal_nocase(struct bytes a, struct bytes b);
bool bytes_equal_str(struct bytes a, const char *text);
bool bytes_starts_with(struct bytes b, struct bytes prefix);
bool bytes_ends_with(struct bytes b, struct bytes suffix);
/* As memcmp, then the shorter first: <0, 0, >0. */
int bytes_compare(struct bytes a, struct bytes b);

/* The offset of the first / last `c`, or -1. */
ptrdiff_t bytes_find(struct bytes b, char c);
ptrdiff_t bytes_find_last(struct bytes b, char c);

/* Takes the part before `separator` off the front of *rest and returns it; the whole when there is
 * none. *rest becomes BYTES_NONE after the last part. */
struct bytes bytes_split(struct bytes *rest, char separator);

/* Decimal digits only, no sign, no space; false when empty, too big or anything else. */
bool bytes_to_u64(struct bytes b, uint64_t *value_out);

/* A NUL-terminated heap copy; free with free(). */
char *bytes_dup(struct bytes b);

/* A borrowed list of addressees. Without items it is absent, and restricts nothing; with items and
 * count 0 it is an empty list, and addresses nobody. */
struct bytes_list {
    const struct bytes *items;
    size_t count;
};

static inline bool bytes_list_is_given(struct bytes_list list) {
    return list.items != NULL;
}
static inline bool bytes_list_is_nobody(struct bytes_list list) {
    return list.items != NULL && list.count == 0;
}
/* One empty list is enough. */
static inline bool bytes_lists_are_nobody(struct bytes_list names, struct bytes_list groups,
                                          struct bytes_list clients) {
    return bytes_list_is_nobody(names) || bytes_list_is_nobody(groups) ||
           bytes_list_is_nobody(clients);
}
bool bytes_list_has(struct bytes_list list, struct bytes value);
/* How many bytes all its items have. */
size_t bytes_list_total(struct bytes_list list);

#endif
