/*
 * internal.h - what the parts of the model share: the server, a connection, and one call of a
 * command.
 *
 * A command reads its arguments from the call and appends its reply with the answer_… functions.
 * It finds keys with call_find and friends, which know what has expired and of what type a key must
 * be; call_changed says that the key was written.
 */
#ifndef SIGNALBOX_WORLD_REDIS_INTERNAL_H
#define SIGNALBOX_WORLD_REDIS_INTERNAL_H

#include <sys/queue.h>

#include "tests/world/redis/data.h"
#include "tests/world/redis/model.h"

enum { ID_TEXT = 41, BLOCK_KEYS_MAX = 16, CONFIG_COUNT = 14 };

/* ---- one call ---- */

struct call {
    struct redis_model *model;
    struct redis_session *session; /* NULL: redis_model_ask */
    struct keyspace *db;
    const struct bytes *argv;
    int argc;
    struct buf *out;
    const struct command_row *row;
    bool is_script, is_exec;
};

typedef void command_fn(struct call *c);

enum command_flag {
    WRITES = 1 << 0,
    NEEDS_MEMORY = 1 << 1, /* refused with OOM */
    NO_SCRIPT = 1 << 2,
    IN_LOADING = 1 << 3,
    IN_STALE = 1 << 4,
    NO_AUTH = 1 << 5,
    NO_MULTI = 1 << 6,
    WHILE_SUBSCRIBED = 1 << 7,
    IN_BUSY = 1 << 8,
    IS_SCRIPT = 1 << 9 /* its flags are those of the script */
};

struct command_row {
    const char *name; /* lower case; "client|kill" */
    int arity;        /* with the name; negative: at least */
    unsigned flags;
    command_fn *fn; /* NULL: it has subcommands, with rows of their own */
};

/* The table of a file: rows of one theme. commands.c joins them. */
extern const struct command_row server_rows[], key_rows[], string_rows[], hash_rows[], set_rows[],
    sorted_rows[], stream_rows[], pubsub_rows[], script_rows[], multi_rows[], client_rows[],
    config_rows[];

/* The row of the command, or of its subcommand ("client|kill"). NULL: there is none; *container_out
 * is then that of the command, if there is one. */
const struct command_row *command_find(const struct bytes *argv, int argc,
                                       const struct command_row **container_out);
/* Carries out one command of a client that passed redis_session_step, or queues it. */
void command_run(struct call *c);
/* Why it may not run now, as an error reply; false: it may. */
bool command_is_refused(struct call *c, unsigned flags);
/* "unknown command" or "wrong number of arguments": false, and answered. */
bool command_fits(struct call *c);

/* ---- replies ---- */

void answer_int(struct call *c, int64_t n);
void answer_bulk(struct call *c, struct bytes b);
void answer_status(struct call *c, const char *text);
void answer_ok(struct call *c);
void answer_nil(struct call *c);
void answer_nil_array(struct call *c);
void answer_array(struct call *c, size_t count);
void answer_float(struct call *c, double d);
void answer_id(struct call *c, struct entry_id id);
/* The text begins with its code. Line ends become spaces. */
void answer_error(struct call *c, const char *format, ...) PRINTF_LIKE(2, 3);
void answer_syntax_error(struct call *c);
void answer_bad_integer(struct call *c);

/* ---- arguments ---- */

static inline bool arg_is(const struct call *c, int i, const char *word) {
    return bytes_equal_nocase(c->argv[i], bytes_str(word));
}
/* Answers an error when it is none. */
bool arg_int(struct call *c, int i, int64_t *out);

/* ---- keys ---- */

int64_t call_now_ms(const struct call *c);
/* NULL: not there, or expired and removed. */
struct value *call_find(struct call *c, struct bytes key);
/* The same; false, and answered, when it is of another type. *v_out may be NULL. */
bool call_find_type(struct call *c, struct bytes key, enum value_type type, struct value **v_out);
/* Makes it when it is not there. NULL, and answered, when it is of another type. */
struct value *call_make(struct call *c, struct bytes key, enum value_type type);
/* The key was written: one that became empty is removed. */
void call_changed(struct call *c, struct bytes key, struct value *v);
bool value_is_expired(const struct value *v, int64_t now_ms);
/* SCAN and its kin: options from argument `from` on; the reply of a whole. */
struct scan_options {
    int64_t count;
    struct bytes pattern, type;
};
bool scan_options(struct call *c, int from, struct scan_options *out);
bool scan_cursor(struct call *c, struct bytes text, uint64_t *out);
/* Pairs (is_hash) or members of a hash or set, as one page. */
void scan_value(struct call *c, const struct value *v, int at);

/* ---- subscriptions: pubsub.c ---- */

struct listener {
    struct redis_session *session;
    struct channel *channel;
    TAILQ_ENTRY(listener) in_channel, in_session;
};
TAILQ_HEAD(listeners, listener);

struct pubsub {
    struct dict channels, patterns; /* ptr: struct channel */
};

void pubsub_init(struct pubsub *p, uint64_t seed);
void pubsub_deinit(struct pubsub *p);
/* How many heard it. */
int64_t pubsub_publish(struct redis_model *m, struct bytes channel, struct bytes payload);
void pubsub_leave(struct redis_session *s);

/* ---- blocked reads: stream_block.c ---- */

struct blocked {
    bool is_blocked;
    uint64_t until_us; /* monotonic; UINT64_MAX: for ever */
    int64_t most;      /* COUNT; 0: all */
    unsigned keys;
    struct text *key[BLOCK_KEYS_MAX];
    struct entry_id after[BLOCK_KEYS_MAX];
    unsigned ready[BLOCK_KEYS_MAX]; /* it grew, as the how-manieth in this command; 0: it did not */
    struct keyspace *db;
    TAILQ_ENTRY(redis_session) link;
};

/* The keys and ids of an XREAD that found nothing; it waits from now on. */
void block_begin(struct call *c, uint64_t until_us, int64_t most, int first_key, unsigned keys,
                 const struct entry_id *after);
void block_end(struct redis_session *s);
/* A stream grew: whoever waits for it is served when the command has ended. BYTES_NONE: any may
 * have. */
void block_ready(struct redis_model *m, const struct keyspace *db, struct bytes key);
void block_serve(struct redis_model *m);
void block_expire(struct redis_model *m);
/* Everybody who waits gets this error; is_closing: and is cut off. */
void block_fail(struct redis_model *m, const char *error);
/* One key of an XREAD: its name and the entries. */
void answer_entry(struct call *c, const struct entry *e);

/* ---- scripts: script.c ---- */

struct scripts;
struct scripts *scripts_new(void);
void scripts_free(struct scripts *s);
size_t scripts_bytes(const struct scripts *s);
/* The flags of the command for the script that this EVAL or EVALSHA names. */
unsigned script_flags(struct call *c, unsigned flags);

/* ---- the server ---- */

TAILQ_HEAD(sessions, redis_session);

struct redis_model {
    struct data *data;
    struct scripts *scripts;
    struct pubsub pubsub;
    struct sessions sessions; /* in the order of their numbers */
    struct sessions blocked;  /* in the order in which they began to wait */
    unsigned ready_count;     /* streams that grew and for which somebody waits */
    int64_t wall_us;
    uint64_t monotonic_us, started_us;
    uint64_t seed, lives;
    int64_t next_client_id;
    char run_id[41], replid[41], replid2[41];
    bool is_replica;
    bool lacks_replicas; /* no replica ever comes: min-replicas-to-write refuses all writes */
    enum redis_refusal refusal;
    size_t maxmemory, argument_most, query_most; /* of config, in bytes */
    char config[CONFIG_COUNT][128];
    void (*tap)(void *ctx, struct bytes channel, struct bytes payload);
    void *tap_ctx;
    void (*ahead)(void *ctx, const struct bytes *argv, int argc);
    void *ahead_ctx;
    int64_t swept_ms;
    bool is_lazy; /* keys that nobody asks for stay */
};

struct queued {
    const struct command_row *row;
    struct text **argv;
    int argc;
    STAILQ_ENTRY(queued) link;
};

struct redis_session {
    struct redis_model *model;
    const struct redis_events *events;
    void *ctx;
    int64_t id;
    char addr[64], name[64];
    TAILQ_ENTRY(redis_session) link;
    struct buf in, out;
    size_t in_at; /* parsed so far */
    int db;
    bool is_authenticated, is_closing;
    bool is_closed; /* its client was told; it is freed soon */
    bool is_multi, is_multi_bad;
    STAILQ_HEAD(, queued) queue;
    size_t queued;
    struct listeners channels, patterns;
    size_t channel_count, pattern_count;
    struct blocked blocked;
    struct bytes *argv; /* of the command being read */
    int argc_room;
};

/* Hands what is in out to the client. */
void session_flush(struct redis_session *s);
/* It ends once this command has ended. */
void session_close(struct redis_session *s);
void session_drop_queue(struct redis_session *s);
/* ---- config.c ---- */
const char *config_get(const struct redis_model *m, const char *name);
void config_init(struct redis_model *m);

#endif
