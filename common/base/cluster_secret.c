/* cluster_secret.c - see cluster_secret.h. */
#include "common/base/cluster_secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "common/base/digest.h"

/* Extracts when there is a salt, else expands: the two halves of HKDF. */
static void hkdf(int mode, struct bytes key, struct bytes text, unsigned char *out) {
    const char *text_name =
        mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY ? OSSL_KDF_PARAM_SALT : OSSL_KDF_PARAM_INFO;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key.ptr, key.len),
        OSSL_PARAM_construct_octet_string(text_name, (void *)text.ptr, text.len),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    MUST(EVP_KDF_derive(ctx, out, CLUSTER_SECRET_KEY, params) == 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

int cluster_secret_read(struct cluster_secret *s_out, const char *path,
                        char why_out[SECRET_FILE_WHY]) {
    char text[SECRET_FILE_MAX + 1];
    *s_out = (struct cluster_secret){0};
    if (*path == '\0')
        return 0;
    int result = secret_file_read(path, text, why_out);
    if (result == 0 && strlen(text) < CLUSTER_SECRET_MIN) {
        snprintf(why_out, SECRET_FILE_WHY,
                 "its first line has fewer than %d bytes: make one with `signalbox secret`",
                 CLUSTER_SECRET_MIN);
        result = -EINVAL;
    }
    if (result == 0) {
        hkdf(EVP_KDF_HKDF_MODE_EXTRACT_ONLY, bytes_str(text), BYTES_LIT("signalbox cluster"),
             s_out->key);
        s_out->is_known = true;
    }
    OPENSSL_cleanse(text, sizeof(text));
    return result;
}

void cluster_secret_derive(const struct cluster_secret *s, const char *purpose,
                           unsigned char key_out[CLUSTER_SECRET_KEY]) {
    MUST(s->is_known);
    hkdf(EVP_KDF_HKDF_MODE_EXPAND_ONLY, bytes_of(s->key, sizeof(s->key)), bytes_str(purpose),
         key_out);
}

void cluster_secret_sign(const struct cluster_secret *s, const char *purpose, struct bytes data,
                         char text_out[45]) {
    unsigned char key[CLUSTER_SECRET_KEY];
    cluster_secret_derive(s, purpose, key);
    digest_hmac_sha256_base64(bytes_of(key, sizeof(key)), data, text_out);
    OPENSSL_cleanse(key, sizeof(key));
}
