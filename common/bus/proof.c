/* proof.c - see proof.h. */
#include "common/bus/proof.h"

#include "common/base/cluster_secret.h"
#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus.h"
#include "common/bus/partition.h"

enum { PREFIX = 5 /* "hmac:" */, DIGITS = 44, PROOF = PREFIX + DIGITS + 1 };

/* The control channel's name says which fleet it is: its prefix and its database. */
static void sign(const struct bus *b, const char *purpose, struct bytes about, struct bytes text,
                 char proof_out[DIGITS + 1]) {
    struct buf data = {0};
    buf_printf(&data, "%s %zu ", fleet_channel(CHANNEL_CONTROL), about.len);
    buf_append(&data, about);
    buf_append(&data, text);
    cluster_secret_sign(bus_cluster_secret(b), purpose, buf_bytes(&data), proof_out);
    buf_deinit(&data);
}

void proof_append(const struct bus *b, struct buf *out, const char *purpose, struct bytes about,
                  struct bytes text) {
    char proof[DIGITS + 1];
    if (bus_cluster_secret(b)->is_known) {
        sign(b, purpose, about, text, proof);
        buf_printf(out, "hmac:%s ", proof);
    }
    buf_append(out, text);
}

bool proof_take(struct bus *b, const char *purpose, struct bytes about, struct bytes value,
                struct bytes *text_out) {
    char proof[DIGITS + 1];
    bool has_proof = value.len >= PROOF && bytes_starts_with(value, BYTES_LIT("hmac:")) &&
                     value.ptr[PROOF - 1] == ' ';
    *text_out = has_proof ? bytes_from(value, PROOF) : value;
    if (!bus_cluster_secret(b)->is_known)
        return true;
    if (has_proof) {
        sign(b, purpose, about, *text_out, proof);
        if (digest_equal(bytes_of(value.ptr + PREFIX, DIGITS), bytes_of(proof, DIGITS)))
            return true;
    }
    bus_note_unproven(b, purpose, about);
    return false;
}
