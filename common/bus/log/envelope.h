/*
 * envelope.h - what travels between processes, as msgpack arrays.
 *
 *   entry     in the `in` stream of a partition, field m
 *             [ver, kind, ts_ms, flags, name, group, client_id, conn, session, body,
 *              names, groups, clients, code, reply, once]
 *             CONNECT and DISCONNECT have the fields t n i v r x instead (register.lua,
 *             unregister.lua)
 *   message   in the log and the channel of a Name, field m
 *             [ver, id, prev, kind, ts_ms, to_groups, to_clients, to_conn, from, flags, data]
 *
 * Absent values are nil. A decoded struct borrows from the bytes it was decoded from; its lists
 * live in the struct's zone, which entry_free / message_free give back. Readers ignore extra
 * elements at the end, so that old and new versions run side by side; a higher `ver` is refused.
 * Whatever the bytes, decoding ends with PARSE_OK or PARSE_BAD, and what it costs is bounded by
 * their number: times lie before the year 10000, a CLOSE has a code that may be sent.
 */
#ifndef SIGNALBOX_BUS_LOG_ENVELOPE_H
#define SIGNALBOX_BUS_LOG_ENVELOPE_H

#include "common/base/buf.h"
#include "common/base/parse.h"

enum { ENVELOPE_VERSION = 1 };

/* A list with more elements is not decoded: whoever wrote it checked nothing. */
enum { ENVELOPE_LIST_MAX = 1000 };

/* Elements of all arrays together: msgpack-c makes room for as many as an array claims to have. */
enum { ENVELOPE_ELEMENTS_MAX = 4096 };

enum entry_kind {
#define ENTRY(NAME, number, text) ENTRY_##NAME = number,
#define MESSAGE(NAME, number, text)
#include "common/bus/log/envelope.def"
#undef ENTRY
#undef MESSAGE
};

enum message_kind {
#define ENTRY(NAME, number, text)
#define MESSAGE(NAME, number, text) MESSAGE_##NAME = number,
#include "common/bus/log/envelope.def"
#undef ENTRY
#undef MESSAGE
};

enum envelope_flag {
    FLAG_BINARY = 1,  /* body / data is a binary message */
    FLAG_CHECKED = 2, /* the levels were checked where the send entered */
    FLAG_V1 = 4,      /* the sender speaks signalbox.v1 */
    FLAG_JSON = 8,    /* data is the JSON text of a value that is no string */
    FLAG_EVERY = 16,  /* to every Name of the partition */
    /* Gateways report what became of it: publish_receipt, to the token in `from`. */
    FLAG_RECEIPT = 32,
    FLAG_UNCOMPRESSED = 64 /* it is compressed for nobody, since its length could tell a secret */
};

/* The client id of a sender; none when it is a publisher's token. */
static inline struct bytes sender_of(unsigned flags, struct bytes from) {
    return (flags & FLAG_RECEIPT) != 0 ? BYTES_NONE : from;
}

/* A message id: <term>-<seq>, increasing over all logs of a partition. 0-0 is before everything. */
struct message_id {
    uint64_t term, seq;
};

enum { MESSAGE_ID_TEXT = 44 };
#define MESSAGE_ID_NONE ((struct message_id){0, 0})

static inline int message_id_compare(struct message_id a, struct message_id b) {
    if (a.term != b.term)
        return a.term < b.term ? -1 : 1;
    return a.seq == b.seq ? 0 : a.seq < b.seq ? -1 : 1;
}
static inline bool message_id_is_none(struct message_id id) {
    return id.term == 0 && id.seq == 0;
}
/* The next id, and the one before; the last and the first stay what they are. */
static inline struct message_id message_id_after(struct message_id id) {
    if (id.seq < UINT64_MAX)
        return (struct message_id){id.term, id.seq + 1};
    return id.term < UINT64_MAX ? (struct message_id){id.term + 1, 0} : id;
}
static inline struct message_id message_id_before(struct message_id id) {
    if (id.seq > 0)
        return (struct message_id){id.term, id.seq - 1};
    return id.term > 0 ? (struct message_id){id.term - 1, UINT64_MAX} : id;
}
bool message_id_parse(struct bytes text, struct message_id *id_out);
/* The NUL-terminated text. */
const char *message_id_format(struct message_id id, char text_out[MESSAGE_ID_TEXT]);

struct entry {
    enum entry_kind kind;
    uint64_t ts_ms; /* wall clock of the process that made it */
    unsigned flags;
    struct bytes name, group, client_id; /* of the sender's connection; TICK: name: the schedule */
    struct bytes conn;                   /* its connection value "gid:connno:connected_ms|group" */
    struct bytes session;                /* CLIENT: an encoded struct session */
    struct bytes body; /* CLIENT, SEND: the payload; CLOSE, DISCONNECT: the reason */
    /* SEND, CLOSE, GROUPS: to whom. CLIENT: groups: of the sender, if they are not just `group` */
    struct bytes_list names, groups, clients;
    /* CLOSE: close code; GROUPS: enum groups_change; TICK: the tick's time, seconds */
    int64_t code;
    struct bytes once;    /* CLIENT: the message's own id, if it is not in its body (answers.h) */
    struct bytes reply;   /* CLIENT: to whom its outcome is reported (publish.h); or empty */
    struct bytes details; /* CONNECT, DISCONNECT: encoded struct conn_details; or empty */
    void *zone;           /* owner of the lists */
};

void entry_encode(struct buf *out, const struct entry *e);
/* PARSE_OK or PARSE_BAD. */
MUST_CHECK enum parse entry_decode(struct bytes in, struct entry *e_out);
void entry_free(struct entry *e);
const char *entry_kind_text(enum entry_kind kind);
const char *message_kind_text(enum message_kind kind);

struct message {
    struct message_id id, prev; /* prev: id of the message before it in the same log */
    enum message_kind kind;
    uint64_t ts_ms;
    struct bytes_list to_groups, to_clients;
    struct bytes to_conn; /* only the connection with this value; empty: no restriction */
    struct bytes from;    /* client id of the sender, or empty */
    unsigned flags;
    struct bytes data;
    bool is_to_every; /* it came in the log for every Name: whoever read it there says so */
    void *zone;
};

/* Whether it is in the log of its Name. A note is published between two messages and kept nowhere:
 * `prev` never leads to it, and who misses it misses nothing of the log. */
static inline bool message_has_place(const struct message *m) {
    return m->kind != MESSAGE_NOTE;
}

/* Of a message GROUPS, all but its data. */
void message_encode(struct buf *out, const struct message *m);
MUST_CHECK enum parse message_decode(struct bytes in, struct message *m_out);
void message_free(struct message *m);

/* What the broker's handlers may know of the sender's upgrade request. The gateway makes it once
 * for each connection. */
struct session_header {
    struct bytes name, value;
};
struct session {
    struct bytes path; /* of the upgrade request, canonical (http_path.h): signal routes match it */
    struct bytes url;  /* "ws://host/path?query" as requested */
    struct bytes protocol;       /* "ws" or "wss" */
    struct bytes address;        /* the Host header */
    struct bytes endpoint;       /* the endpoint's name, or empty */
    struct bytes remote_address; /* TCP peer */
    const struct session_header *headers;
    size_t header_count;
    struct bytes data; /* what the app keeps with the connection, as JSON; or empty */
    void *zone;
};

void session_encode(struct buf *out, const struct session *s);
MUST_CHECK enum parse session_decode(struct bytes in, struct session *s_out);
void session_free(struct session *s);

/* Connection values. */
struct conn_value {
    struct bytes gateway; /* gid */
    uint64_t number;
    uint64_t connected_ms;  /* wall clock */
    struct bytes group;     /* or empty */
    struct bytes transport; /* what carries it: "sse"; empty: a WebSocket of its own */
};
void conn_value_encode(struct buf *out, const struct conn_value *v);
bool conn_value_parse(struct bytes text, struct conn_value *v_out);

/*
 * The groups of a connection, and its data. Its value says the one group that it had when it was
 * made; the registry keeps the rest beside the value, of the connections that have more to say:
 *
 *     [value, changed, data, folded group, group, folded group, group, …]     all of them texts
 *
 * The scripts read and write it, too: they cannot fold a group (fold.h), and find it by its folded
 * text. `value` is whose details these are, since another connection may have taken the client id.
 */
enum { CONN_GROUPS_MAX = 100, CONN_GROUPS_BYTES_MAX = 8192 };
struct conn_details {
    struct bytes value;
    struct message_id changed; /* the message that changed the groups last, or none */
    struct bytes data;         /* JSON, or empty */
    struct bytes_list groups;  /* the oldest first; always given */
    struct bytes only;         /* where the one group of a value lies */
    void *zone;
};
/* Whether the value does not say it all. */
bool conn_details_are_needed(const struct conn_details *d);
void conn_details_encode(struct buf *out, const struct conn_details *d);
/* What is known of the connection with this value: details that are not its own, or cannot be read,
 * count as none. Borrows from both; the struct must stay where it is. */
void conn_details_read(struct bytes value, struct bytes details, struct conn_details *d_out);
void conn_details_free(struct conn_details *d);
/* As conn_details_read, of whoever's they are; false when they are nobody's. */
MUST_CHECK bool conn_details_decode(struct bytes details, struct conn_details *d_out);

/* What happens to the groups of a connection. */
enum groups_change { GROUPS_JOIN = 1, GROUPS_LEAVE = 2 };
/* The change as commit.lua takes it, which makes new details of it. */
void groups_change_encode(struct buf *out, enum groups_change change, struct bytes_list groups);
/* As people are shown it: "ws" or "sse". */
static inline struct bytes conn_value_transport(const struct conn_value *v) {
    return v->transport.len > 0 ? v->transport : BYTES_LIT("ws");
}

#endif
