/*
 * entry_reader.h - reads a stream entry by entry from a cursor: a partition's `in`, or the public
 * stream.
 *
 * Plain XREAD on a blocking link of its own; the cursor lives in Redis, where commit.lua moves it
 * together with what it stands for. Each read is asked for (entry_reader_read), so the reader sets
 * the
 * pace; the number of entries per read follows their size and what Redis is willing to answer
 * (paging.h).
 */
#ifndef SIGNALBOX_BUS_LOG_ENTRY_READER_H
#define SIGNALBOX_BUS_LOG_ENTRY_READER_H

#include "common/bus/log/envelope.h"

struct bus;
struct entry_reader;

enum entry_reader_kind {
    /* Field m is an envelope, or t n i v r are those of register.lua and unregister.lua. */
    ENTRY_READER_ENTRIES,
    ENTRY_READER_TEXT /* field m is text as a publisher wrote it */
};

/* Shared by reference; immutable. */
struct in_entry {
    unsigned refs;
    struct message_id id; /* of the stream: ms-seq */
    char id_text[MESSAGE_ID_TEXT];
    bool is_bad; /* ENTRY_READER_ENTRIES: could not be decoded */
    /* ENTRY_READER_TEXT: the name of a field that is not the one m of an entry; else absent. */
    struct bytes stray;
    size_t unread_bytes; /* not 0: larger than Redis gives out and than a message may be, so many
                            bytes; is_bad, and text is its beginning */
    /* An entry that was set aside and came back (deferred.h): */
    bool is_back;
    unsigned handled;        /* so many handlers of its event have run */
    struct message_id order; /* the id it had when it first came; of others: id */
    struct bytes
        text; /* the value of m, or of all fields of a connect/disconnect: for dead letters */
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
/* Reads on after the last entry that on_entries brought. Does nothing while a read is under way. */
void entry_reader_read(struct entry_reader *l);
/* For how long nothing could be read, without a break, for a reason that may be this process' own:
 * it does not connect, or is not allowed to. 0: not so. */
uint64_t entry_reader_unread_ms(const struct entry_reader *l);
/* No more callbacks. NULL is legal. */
void entry_reader_close(struct entry_reader *l);

/* Exposed for tests: the entry for the fields of a stream entry (name, value, name, value …). */
struct in_entry *in_entry_new(enum entry_reader_kind kind, struct message_id id,
                              const struct bytes *fields, size_t count);

#endif
