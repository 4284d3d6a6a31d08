/*
 * fuzz_resume_token.c - resume tokens, and what stands under a right signature, in any bytes.
 *
 * Properties: what nobody signed is refused; what is read, made again and read again says the same;
 * each text has one spelling.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/base64.h"
#include "common/base/digest.h"
#include "gateway/session/resume_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct resume_key key = {"a key"};

static void check_unsigned(struct bytes text) {
    struct resume_token t;
    struct buf scratch = {0}, plain = {0}, again = {0};
    MUST(!resume_token_read(text, &key, 1, &scratch, &t));
    if (base64url_decode(text, &plain)) {
        base64url_append(&again, buf_bytes(&plain));
        MUST(bytes_equal(buf_bytes(&again), text));
    }
    MUST(plain.len <= text.len);
    buf_deinit(&scratch);
    buf_deinit(&plain);
    buf_deinit(&again);
}

static void check_again(const struct resume_token *t) {
    struct resume_token again;
    struct buf text = {0}, scratch = {0};
    resume_token_append(&text, &key, t);
    MUST(text.len <= RESUME_TOKEN_MAX);
    if (text.len > 0) {
        MUST(resume_token_read(buf_bytes(&text), &key, t->issued_s, &scratch, &again));
        MUST(again.issued_s == t->issued_s && bytes_equal(again.name, t->name));
        MUST(message_id_compare(again.position, t->position) == 0);
        MUST(bytes_equal(again.client_id, t->client_id) && bytes_equal(again.value, t->value));
    }
    buf_deinit(&text);
    buf_deinit(&scratch);
}

static void check_signed(struct bytes content) {
    unsigned char mac[DIGEST_SHA256];
    struct buf all = {0}, text = {0}, scratch = {0};
    struct resume_token t;
    digest_hmac_sha256(bytes_str(key.text), content, mac);
    buf_append(&all, bytes_of(mac, sizeof(mac)));
    buf_append(&all, content);
    base64url_append(&text, buf_bytes(&all));
    if (resume_token_read(buf_bytes(&text), &key, 0, &scratch, &t))
        check_again(&t);
    buf_deinit(&all);
    buf_deinit(&text);
    buf_deinit(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of((const char *)data, size);
    check_unsigned(text);
    check_signed(text);
    return 0;
}
