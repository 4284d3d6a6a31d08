/* seal.c - see seal.h. */
#include "common/base/seal.h"

#include <string.h>

#include <openssl/evp.h>

#include "common/base/random.h"

enum { NONCE = 12, TAG = 16 };

static EVP_CIPHER_CTX *begin(const unsigned char *key, const void *nonce, struct bytes about,
                             int is_sealing) {
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int len;
    MUST(c != NULL && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce, is_sealing) == 1);
    MUST(EVP_CipherUpdate(c, NULL, &len, (const unsigned char *)about.ptr, (int)about.len) == 1);
    return c;
}

void seal(const unsigned char key[SEAL_KEY], struct bytes about, struct bytes text,
          struct buf *out) {
    unsigned char *at = (unsigned char *)buf_reserve(out, text.len + SEAL_MORE);
    int len;
    random_bytes(at, NONCE);
    EVP_CIPHER_CTX *c = begin(key, at, about, 1);
    MUST(EVP_CipherUpdate(c, at + NONCE, &len, (const unsigned char *)text.ptr, (int)text.len) ==
         1);
    MUST(EVP_CipherFinal_ex(c, at + NONCE + text.len, &len) == 1);
    MUST(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, at + NONCE + text.len) == 1);
    EVP_CIPHER_CTX_free(c);
    buf_added(out, text.len + SEAL_MORE);
}

bool seal_open(const unsigned char key[SEAL_KEY], struct bytes about, struct bytes sealed,
               struct buf *out) {
    if (sealed.len < SEAL_MORE)
        return false;
    size_t text_len = sealed.len - SEAL_MORE;
    const unsigned char *text = (const unsigned char *)sealed.ptr + NONCE;
    unsigned char *at = (unsigned char *)buf_reserve(out, text_len + 1), tag[TAG];
    int len;
    memcpy(tag, text + text_len, TAG);
    EVP_CIPHER_CTX *c = begin(key, sealed.ptr, about, 0);
    MUST(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1);
    bool is_ok = EVP_CipherUpdate(c, at, &len, text, (int)text_len) == 1 &&
                 EVP_CipherFinal_ex(c, at + len, &len) == 1;
    EVP_CIPHER_CTX_free(c);
    if (is_ok)
        buf_added(out, text_len);
    return is_ok;
}
