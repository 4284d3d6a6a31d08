/*
 * entry_reader.h - reads a stream entry by entry from a cursor: a partition's `in`, or the public
 * stream.
 *
 * It uses plain XREAD on a blocking link of its own. The cursor lives in Redis, where commit.lua
 * moves it together with the outputs of the entries that it passes. Each read is requested
 * (entry_reader_read), so that the owner sets the pace. How many entries a read asks for depends on
 * their size and on what Redis is willing to answer (paging.h).
 *
 * An entry that Redis does not answer, because it is larger than client-output-buffer-limit allows,
 * stops the reader and raises a trouble, unless it is also larger than a message may be: then its
 * beginning is handed on, for the dead letters.
 */
#ifndef SIGNALBOX_BUS_LOG_ENTRY_READER_H
#define SIGNALBOX_BUS_LOG_ENTRY_READER_H

#include "common/bus/log/envelope.h"

struct bus;
struct entry_reader;

/* So many entries are read at a time, whatever Redis answers. */
enum { ENTRY_READER_MAX = 128 };

enum entry_reader_kind {
    /* Field m is an envelope, or t n i v r are those of register.lua and unregister.lua. */
    ENTRY_READER_ENTRIES,
    ENTRY_READER_TEXT /* field m is text as a publisher wrote it */
};

/* Shared by reference; immutable. */
struct in_entry {
    unsigned refs;
    size_t counted;       /* in memory_budget.h */
    struct message_id id; /* of the stream: ms-seq */
    char id_text[MESSAGE_ID_TEXT];
    bool is_bad; /* ENTRY_READER_ENTRIES: could not be decoded */
    /* ENTRY_READER_TEXT: the name of a field that is not the one m of an entry; else absent. */
    struct bytes stray;
    /* Not 0: so many bytes, more than Redis answers and than a message may have. is_bad is set, and
     * text is the beginning. */
    size_t unread_bytes;
    /* An entry that was deferred and came back (deferred.h): */
    bool is_back;
    unsigned handled;        /* how many handlers of its event have run */
    struct message_id order; /* the id it had when it first came; for other entries: id */
    /* The value of m, or of all fields of a connect or disconnect, for dead letters. */
    struct bytes text;
    struct entry entry; /* ENTRY_READER_ENTRIES: borrows from the bytes below */
    char bytes[];
};

struct in_entry *in_entry_ref(struct in_entry *e);
void in_entry_unref(struct in_entry *e); /* NULL is legal */

struct entry_reader_events {
    /* What a read brought, in order, one entry at least. The references are the callee's. */
    void (*on_entries)(void *ctx, struct in_entry **entries, size_t count);
};

struct entry_reader_options {
    unsigned partition; /* as key_of takes it: the public stream, too */
    enum entry_reader_kind kind;
    struct message_id cursor; /* reads what is after it */
    const char *label;        /* of the stream in the log and of its trouble: "3", "public" */
};

/* TROUBLE_readers is raised while nothing can be read. */
struct entry_reader *entry_reader_new(struct bus *bus, const struct entry_reader_options *options,
                                      const struct entry_reader_events *events, void *ctx);
/* Reads what follows the last entry of on_entries. Does nothing while a read is under way. */
void entry_reader_read(struct entry_reader *l);
/* For how long nothing could be read without a break, for a reason that may be this process' own
 * (it does not connect, or is not allowed to). 0: it reads, or the reason is another. */
uint64_t entry_reader_unread_ms(const struct entry_reader *l);
/* No more callbacks. NULL is legal. */
void entry_reader_close(struct entry_reader *l);

/* Exposed for tests: the entry for the fields of a stream entry (name, value, name, value …). */
struct in_entry *in_entry_new(enum entry_reader_kind kind, struct message_id id,
                              const struct bytes *fields, size_t count);

#endif
