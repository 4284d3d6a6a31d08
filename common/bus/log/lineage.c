/* lineage.c - see lineage.h. */
#include "common/bus/log/lineage.h"

#include "common/base/must.h"
#include "common/bus/redis/command.h"
#include "common/bus/redis/reply.h"
#include "common/bus/partition.h"

struct command lineage_ask(unsigned partition) {
    struct buf key = {0};
    struct command c = command_begin("HMGET");
    command_bytes(&c, key_of(&key, partition, KEY_OWN, BYTES_NONE));
    command_text(&c, "t");
    command_text(&c, "i");
    command_text(&c, "y");
    command_text(&c, "k");
    buf_deinit(&key);
    return c;
}

static bool read_term(struct lineage_term *t_out, struct bytes word) {
    bool is_good = bytes_to_u64(bytes_split(&word, '<'), &t_out->term);
    t_out->before = MESSAGE_ID_NONE;
    return is_good && (word.len == 0 || message_id_parse(word, &t_out->before));
}

/* Whether the terms rise and end with the one that is held. An older broker that took the partition
 * in between does not write them. */
static bool read_terms(struct lineage *l, struct bytes text) {
    while (text.len > 0) {
        struct lineage_term *t = &l->terms[l->count];
        if (l->count == ARRAY_LEN(l->terms) || !read_term(t, bytes_split(&text, ' ')) ||
            (l->count > 0 && t->term <= t[-1].term))
            return false;
        l->count++;
    }
    return l->count > 0 && l->terms[l->count - 1].term == l->term;
}

static void read_kept(struct lineage *l, struct bytes text) {
    uint64_t until_ms;
    if (bytes_to_u64(bytes_split(&text, ' '), &until_ms) && message_id_parse(text, &l->kept_after))
        l->kept_until_ms = until_ms;
}

bool lineage_read(struct lineage *l_out, const struct redisReply *reply) {
    *l_out = (struct lineage){.has_owner = false};
    if (reply_count(reply) != 4)
        return false;
    l_out->has_owner = bytes_to_u64(reply_bytes(reply_at(reply, 0)), &l_out->term);
    if (!l_out->has_owner)
        return true;
    if (!message_id_parse(reply_bytes(reply_at(reply, 1)), &l_out->last))
        l_out->last = (struct message_id){l_out->term, 0};
    if (!read_terms(l_out, reply_bytes(reply_at(reply, 2))))
        l_out->count = 0;
    read_kept(l_out, reply_bytes(reply_at(reply, 3)));
    return true;
}

/* The place of the first term that is not less; count when there is none. */
static size_t find_term(const struct lineage *l, uint64_t term) {
    size_t i = 0;
    while (i < l->count && l->terms[i].term < term)
        i++;
    return i;
}

enum lineage_place lineage_find(const struct lineage *l, struct message_id id) {
    MUST(l->has_owner);
    if (id.term > l->term)
        return LINEAGE_ELSEWHERE;
    if (id.term == l->term)
        return LINEAGE_WITHIN;
    if (l->count == 0 || id.term < l->terms[0].term)
        return LINEAGE_UNKNOWN;
    size_t i = find_term(l, id.term);
    bool is_before_all = i == 1 && l->terms[0].term == 0;
    return l->terms[i].term == id.term || is_before_all ? LINEAGE_WITHIN : LINEAGE_ELSEWHERE;
}

struct message_id lineage_up_to(const struct lineage *l, struct message_id id) {
    size_t i = find_term(l, id.term);
    return i < l->count ? l->terms[i].before : l->last;
}

bool lineage_is_strange(const struct lineage *l, struct message_id id) {
    return l->has_owner && id.term > l->term;
}

bool lineage_contains(const struct lineage *l, struct message_id id) {
    if (id.seq == 0)
        return true;
    if (!l->has_owner || id.term > l->last.term)
        return false;
    if (id.term == l->last.term)
        return id.seq <= l->last.seq;
    size_t i = find_term(l, id.term + 1);
    return i < l->count && l->terms[i].before.term == id.term && id.seq <= l->terms[i].before.seq;
}
