/* ws_wire.c - see ws_wire.h. */
#include "tests/world/story/ws_wire.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The answer to the key that all clients of the world send (RFC 6455, 1.3). */
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

void ws_wire_deinit(struct ws_wire *w) {
    free(w->in);
    free(w->message);
    *w = (struct ws_wire){0};
}

void ws_wire_take(struct ws_wire *w, const char *bytes, size_t len) {
    if (w->used > 0) {
        memmove(w->in, w->in + w->used, w->len - w->used);
        w->len -= w->used;
        w->used = 0;
    }
    if (w->len + len + 1 > w->room) {
        w->room = 2 * (w->len + len) + 256;
        w->in = realloc(w->in, w->room);
    }
    memcpy(w->in + w->len, bytes, len);
    w->len += len;
    w->in[w->len] = '\0';
}

static struct ws_event broken(const char *why) {
    return (struct ws_event){.what = WS_BROKEN, .bytes = why, .len = strlen(why)};
}

/* ---- HTTP */

/* The value of a header of the head, or NULL. */
static const char *header(const char *head, const char *end, const char *name) {
    size_t len = strlen(name);
    for (const char *line = head; line < end; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " ");
    }
    return NULL;
}

static struct ws_event next_answer(struct ws_wire *w) {
    const char *head = w->in + w->used;
    const char *end = w->len > w->used ? strstr(head, "\r\n\r\n") : NULL;
    if (end == NULL)
        return (struct ws_event){0};
    int status = 0;
    if (sscanf(head, "HTTP/1.1 %d", &status) != 1)
        return broken("no HTTP answer");
    const char *length = header(head, end + 2, "content-length");
    size_t body = length != NULL ? strtoul(length, NULL, 10) : 0;
    size_t all = (size_t)(end - head) + 4 + body;
    if (w->len - w->used < all)
        return (struct ws_event){0};
    w->used += all;
    if (status == 101) {
        const char *accept = header(head, end + 2, "sec-websocket-accept");
        if (accept == NULL || strncmp(accept, ACCEPT, strlen(ACCEPT)) != 0)
            return broken("a 101 with a wrong Sec-WebSocket-Accept");
        w->is_upgraded = true;
    } else if (status == 100) {
        return next_answer(w);
    }
    return (struct ws_event){.what = WS_ANSWER, .code = status, .bytes = end + 4, .len = body};
}

/* ---- frames */

static struct ws_event control(int opcode, const char *bytes, size_t len) {
    struct ws_event e = {.bytes = bytes, .len = len};
    if (opcode == WS_OP_CLOSE) {
        e.what = WS_CLOSE;
        e.code = len >= 2 ? (uint8_t)bytes[0] << 8 | (uint8_t)bytes[1] : 1005;
        e.bytes = len >= 2 ? bytes + 2 : "";
        e.len = len >= 2 ? len - 2 : 0;
    } else {
        e.what = opcode == WS_OP_PING ? WS_PING : WS_PONG;
    }
    return e;
}

static struct ws_event data(struct ws_wire *w, bool is_final, int opcode, const char *bytes,
                            size_t len) {
    if ((opcode == 0) != (w->message_opcode != 0))
        return broken("a fragment out of place");
    if (opcode != 0)
        w->message_opcode = opcode, w->message_len = 0;
    w->message = realloc(w->message, w->message_len + len + 1);
    memcpy(w->message + w->message_len, bytes, len);
    w->message_len += len;
    w->message[w->message_len] = '\0';
    if (!is_final)
        return ws_wire_next(w);
    struct ws_event e = {.what = w->message_opcode == WS_OP_TEXT ? WS_TEXT : WS_BINARY,
                         .bytes = w->message,
                         .len = w->message_len};
    w->message_opcode = 0;
    return e;
}

struct ws_event ws_wire_next(struct ws_wire *w) {
    if (!w->is_upgraded)
        return next_answer(w);
    const uint8_t *at = (const uint8_t *)w->in + w->used;
    size_t have = w->len - w->used, head = 2;
    if (have < head)
        return (struct ws_event){0};
    uint64_t len = at[1] & 0x7f;
    size_t more = len == 126 ? 2 : len == 127 ? 8 : 0;
    head += more;
    if (have < head)
        return (struct ws_event){0};
    if (more > 0)
        len = 0;
    for (size_t i = 0; i < more; i++)
        len = len << 8 | at[2 + i];
    int opcode = at[0] & 0x0f;
    bool is_final = (at[0] & 0x80) != 0;
    if ((at[0] & 0x70) != 0 || (at[1] & 0x80) != 0)
        return broken("reserved bits, or a mask of the server's");
    if (opcode >= 8 ? !is_final || more > 0 || opcode > WS_OP_PONG : opcode > WS_OP_BINARY)
        return broken("a frame with a wrong opcode");
    if (len > have - head)
        return (struct ws_event){0};
    w->used += head + len;
    const char *payload = (const char *)at + head;
    return opcode >= 8 ? control(opcode, payload, len) : data(w, is_final, opcode, payload, len);
}

char *ws_frame(struct dice *d, bool is_final, int opcode, const char *bytes, size_t len,
               size_t *len_out) {
    uint8_t *out = malloc(WS_FRAME_HEAD_MAX + len), *at = out, mask[4];
    *at++ = (uint8_t)((is_final ? 0x80 : 0) | opcode);
    size_t more = len < 126 ? 0 : len < 65536 ? 2 : 8;
    *at++ = (uint8_t)(0x80 | (more == 0 ? len : more == 2 ? 126 : 127));
    for (size_t i = more; i-- > 0;)
        *at++ = (uint8_t)((uint64_t)len >> 8 * i);
    dice_bytes(d, mask, sizeof(mask));
    memcpy(at, mask, sizeof(mask));
    at += sizeof(mask);
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)bytes[i] ^ mask[i & 3];
    *len_out = (size_t)(at - out) + len;
    return (char *)out;
}
