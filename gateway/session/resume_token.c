/* resume_token.c - see resume_token.h. */
#include "gateway/session/resume_token.h"

#include <inttypes.h>

#include "common/base/base64.h"
#include "common/base/cluster_secret.h"
#include "common/base/digest.h"
#include "common/bus/bus.h"

#define PURPOSE "resume token 1"

bool resume_key_of(const struct bus *bus, struct resume_key *key_out) {
    const struct cluster_secret *cluster = bus_cluster_secret(bus);
    struct bytes server = bytes_str(bus_secret(bus));
    if (cluster->is_known)
        cluster_secret_sign(cluster, PURPOSE, BYTES_LIT("key"), key_out->text);
    else if (server.len > 0)
        digest_hmac_sha256_base64(server, BYTES_LIT(PURPOSE), key_out->text);
    return cluster->is_known || server.len > 0;
}

static void sign(const struct resume_key *key, struct bytes content,
                 unsigned char mac_out[DIGEST_SHA256]) {
    digest_hmac_sha256(bytes_str(key->text), content, mac_out);
}

static void append_content(struct buf *out, const struct resume_token *t) {
    const struct bytes texts[] = {t->name, t->client_id, t->value};
    char id[MESSAGE_ID_TEXT];
    buf_printf(out, "%" PRIu64, t->issued_s);
    buf_append_char(out, '\0');
    buf_append_str(out, message_id_format(t->position, id));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        buf_append_char(out, '\0');
        buf_append(out, texts[i]);
    }
}

void resume_token_append(struct buf *out, const struct resume_key *key,
                         const struct resume_token *t) {
    unsigned char mac[DIGEST_SHA256];
    struct buf content = {0}, all = {0};
    append_content(&content, t);
    sign(key, buf_bytes(&content), mac);
    buf_append(&all, bytes_of(mac, sizeof(mac)));
    buf_append(&all, buf_bytes(&content));
    if (base64_encoded_size(all.len) <= RESUME_TOKEN_MAX)
        base64url_append(out, buf_bytes(&all));
    buf_deinit(&content);
    buf_deinit(&all);
}

static bool read_content(struct bytes content, struct resume_token *t_out) {
    struct bytes issued = bytes_split(&content, '\0');
    struct bytes position = bytes_split(&content, '\0');
    t_out->name = bytes_split(&content, '\0');
    t_out->client_id = bytes_split(&content, '\0');
    t_out->value = content;
    return bytes_to_u64(issued, &t_out->issued_s) && message_id_parse(position, &t_out->position) &&
           t_out->value.ptr != NULL;
}

bool resume_token_read(struct bytes text, const struct resume_key *key, uint64_t now_s,
                       struct buf *scratch, struct resume_token *t_out) {
    unsigned char mac[DIGEST_SHA256];
    buf_clear(scratch);
    if (text.len > RESUME_TOKEN_MAX || !base64url_decode(text, scratch) ||
        scratch->len < sizeof(mac))
        return false;
    struct bytes content = bytes_from(buf_bytes(scratch), sizeof(mac));
    sign(key, content, mac);
    if (!digest_equal(bytes_head(buf_bytes(scratch), sizeof(mac)), bytes_of(mac, sizeof(mac))))
        return false;
    return read_content(content, t_out) &&
           (now_s < t_out->issued_s || now_s - t_out->issued_s < RESUME_TOKEN_SECONDS);
}
