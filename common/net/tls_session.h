/*
 * tls_session.h - one TLS conversation, without a socket. Internal to common/net: stream.c drives
 * it.
 *
 *     socket bytes ─▶ tls_session_feed ─▶ _handshake, then _open ─▶ plain bytes
 *     plain bytes  ─▶ tls_session_seal ─▶ tls_output ─▶ socket
 *
 * Every call may leave bytes for the peer in tls_output (answers of the handshake, alerts): the
 * caller sends them before it calls for another session, because there is one output buffer for
 * all.
 */
#ifndef SIGNALBOX_NET_TLS_SESSION_H
#define SIGNALBOX_NET_TLS_SESSION_H

#include "common/base/bytes.h"
#include "common/base/must.h"

struct certificate_set;
struct tls_peer;
struct tls_session;
struct tls_tickets;

/* What the functions of tls.h make. */
struct tls_context {
    struct ssl_ctx_st *ssl;
    struct certificate_set *certificates; /* NULL: a client's */
    struct tls_tickets *tickets;          /* NULL: OpenSSL has keys of its own */
    unsigned refs;
    bool is_server;
};

enum tls_step {
    TLS_DONE,  /* the handshake is over */
    TLS_MORE,  /* everything was used; more is needed from the peer */
    TLS_ENDED, /* the peer sent its close_notify */
    TLS_FAILED /* tls_session_error says why */
};

enum {
    TLS_RECORD_MAX = 16384, /* the largest piece that becomes one record */
    TLS_KEY_STEPS_MAX = 256 /* a peer that asks for new keys 64 times takes about as many */
};

/* server_name: whom to verify, or NULL for any; used by client contexts only. */
struct tls_session *tls_session_new(struct tls_context *context, const char *server_name);
void tls_session_free(struct tls_session *t);

/* `in` is borrowed until the _handshake and _open calls that follow have used it all. */
void tls_session_feed(struct tls_session *t, struct bytes in);
enum tls_step tls_session_handshake(struct tls_session *t);
/* TLS_FAILED also when the peer has asked for new keys too often.
 * Opens all that was fed into `out`; `cap` must be TLS_RECORD_MAX more than what is fed at once. */
enum tls_step tls_session_open(struct tls_session *t, char *out, size_t cap, size_t *len_out);
/* At most TLS_RECORD_MAX bytes. False when the session is broken. */
bool tls_session_seal(struct tls_session *t, struct bytes plain);
/* Sends our close_notify. */
void tls_session_end(struct tls_session *t);
/* Whether the handshake resumed an earlier session. */
bool tls_session_is_resumed(const struct tls_session *t);
/* All zero before the handshake is done. */
void tls_session_peer(const struct tls_session *t, struct tls_peer *out);
/* One line, "" when nothing failed. */
const char *tls_session_error(const struct tls_session *t);

/* What is to be sent, borrowed until the next call for any session. */
struct bytes tls_output(void);
void tls_output_clear(void);

#endif
