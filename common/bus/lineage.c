/* lineage.c - see lineage.h. */
#include "common/bus/lineage.h"

#include "common/base/must.h"
#include "common/bus/link.h"
#include "common/bus/partition.h"

struct command lineage_ask(unsigned partition) {
    struct buf key = {0};
    struct command c = command_begin("HMGET");
    command_bytes(&c, key_of(&key, partition, "own", BYTES_NONE));
    command_text(&c, "t");
    command_text(&c, "i");
    command_text(&c, "y");
    buf_deinit(&key);
    return c;
}

/* Whether the terms rise and end with the one that is held. An older broker that took the partition
 * in between does not write them. */
static bool read_terms(struct lineage *l, struct bytes text) {
    while (text.len > 0) {
        uint64_t term;
        if (l->count == ARRAY_LEN(l->terms) || !bytes_to_u64(bytes_split(&text, ' '), &term) ||
            (l->count > 0 && term <= l->terms[l->count - 1]))
            return false;
        l->terms[l->count++] = term;
    }
    return l->count > 0 && l->terms[l->count - 1] == l->term;
}

bool lineage_read(struct lineage *l_out, const struct redisReply *reply) {
    *l_out = (struct lineage){.has_owner = false};
    if (reply_count(reply) != 3)
        return false;
    l_out->has_owner = bytes_to_u64(reply_bytes(reply_at(reply, 0)), &l_out->term);
    if (!l_out->has_owner)
        return true;
    if (!message_id_parse(reply_bytes(reply_at(reply, 1)), &l_out->last))
        l_out->last = (struct message_id){l_out->term, 0};
    if (!read_terms(l_out, reply_bytes(reply_at(reply, 2))))
        l_out->count = 0;
    return true;
}

enum lineage_place lineage_find(const struct lineage *l, struct message_id id) {
    MUST(l->has_owner);
    if (id.term > l->term)
        return LINEAGE_ELSEWHERE;
    if (id.term == l->term)
        return LINEAGE_WITHIN;
    if (l->count == 0 || id.term < l->terms[0])
        return LINEAGE_UNKNOWN;
    size_t i = 0;
    while (l->terms[i] < id.term)
        i++;
    bool is_before_all = i == 1 && l->terms[0] == 0;
    return l->terms[i] == id.term || is_before_all ? LINEAGE_WITHIN : LINEAGE_ELSEWHERE;
}
