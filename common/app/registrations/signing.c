/* signing.c - see signing.h. */
#include "common/app/registrations/signing.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/utf8.h"

void signing_deinit(struct signing *s) {
    free(s->secret);
    *s = (struct signing){0};
}

void signing_set(struct signing *s, bool is_on, const char *secret, bool is_strict) {
    char *copy = secret == NULL ? NULL : mem_strdup(secret);
    signing_deinit(s);
    *s = (struct signing){.is_on = is_on, .is_strict = is_strict, .secret = copy};
}

/* <secret>, or <secret>;<User-Agent>;<remote IP> */
static void append_key(const struct signing *s, const struct signing_context *who,
                       struct buf *out) {
    buf_append_str(out, s->secret);
    if (!s->is_strict)
        return;
    buf_append_char(out, ';');
    buf_append(out, who->user_agent);
    buf_append_char(out, ';');
    buf_append(out, who->remote_address);
}

static void signature(const struct signing *s, const struct signing_context *who, struct bytes id,
                      char text_out[45]) {
    struct buf key = {0};
    append_key(s, who, &key);
    digest_hmac_sha256_base64(buf_bytes(&key), id, text_out);
    if (key.len > 0)
        memset(key.ptr, 0, key.len);
    buf_deinit(&key);
}

void signing_sign(const struct signing *s, const struct signing_context *who, struct bytes id,
                  struct buf *out) {
    char text[45];
    MUST(s->is_on && s->secret != NULL);
    signature(s, who, id, text);
    buf_append_str(out, "s:");
    buf_append(out, id);
    buf_append_char(out, '.');
    buf_append_str(out, text);
}

struct bytes signing_raw(struct bytes id) {
    struct bytes body = bytes_from(id, signing_is_signed(id) ? 2 : 0);
    ptrdiff_t dot = bytes_find_last(body, '.');
    return signing_is_signed(id) && dot > 0 ? bytes_head(body, (size_t)dot) : id;
}

bool signing_verify(const struct signing *s, const struct signing_context *who, struct bytes id) {
    char expected[45];
    if (!s->is_on || s->secret == NULL || !signing_is_signed(id))
        return false;
    struct bytes body = bytes_from(id, 2);
    ptrdiff_t dot = bytes_find_last(body, '.');
    if (dot <= 0)
        return false;
    signature(s, who, bytes_head(body, (size_t)dot), expected);
    return digest_equal(bytes_from(body, (size_t)dot + 1), bytes_str(expected));
}

bool signing_accepts(const struct signing *s, const struct signing_context *who, struct bytes id) {
    return s->is_on ? signing_verify(s, who, id) : id.len > 0 && !signing_is_signed(id);
}

const char *signing_secret_error(struct bytes secret) {
    if (bytes_find(secret, '\0') >= 0)
        return "the secret has a NUL in it";
    if (!utf8_is_valid(secret))
        return "the secret is not valid UTF-8";
    for (size_t i = 0; i < secret.len; i++)
        if (strchr(" \t\r\n", secret.ptr[i]) == NULL)
            return NULL;
    return "the secret is empty";
}
