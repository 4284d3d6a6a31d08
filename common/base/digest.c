/* digest.c - see digest.h. */
#include "common/base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/base64.h"

void digest_sha1_base64(struct bytes data, char text_out[29]) {
    unsigned char digest[20];
    MUST(EVP_Digest(data.ptr, data.len, digest, NULL, EVP_sha1(), NULL) == 1);
    text_out[base64_encode(bytes_of(digest, sizeof(digest)), text_out)] = '\0';
}

void digest_hmac_sha256(struct bytes key, struct bytes data, unsigned char out[DIGEST_SHA256]) {
    const void *key_ptr = key.ptr == NULL ? "" : key.ptr;
    MUST(HMAC(EVP_sha256(), key_ptr, (int)key.len, (const unsigned char *)data.ptr, data.len, out,
              NULL) != NULL);
}

void digest_hmac_sha256_base64(struct bytes key, struct bytes data, char text_out[45]) {
    unsigned char digest[DIGEST_SHA256];
    digest_hmac_sha256(key, data, digest);
    text_out[base64_encode(bytes_of(digest, sizeof(digest)), text_out)] = '\0';
}

bool digest_equal(struct bytes a, struct bytes b) {
    return a.len == b.len && CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}
