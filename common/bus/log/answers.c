/* answers.c - see answers.h. */
#include "common/bus/log/answers.h"

#include "common/bus/bus_send.h"

bool answer_id_is_valid(struct bytes id) {
    for (size_t i = 0; i < id.len; i++)
        if ((unsigned char)id.ptr[i] < 0x20 || id.ptr[i] == 0x7f)
            return false;
    return id.len > 0 && id.len <= ANSWER_ID_MAX;
}

/* Neither a Name nor a client id has a NUL. */
struct bytes answers_key(struct buf *out, unsigned partition, const struct answer_key *k,
                         bool is_second) {
    key_of(out, partition, is_second ? KEY_ANSWERS_SECOND : KEY_ANSWERS, k->name);
    buf_append_char(out, '\0');
    buf_append(out, k->client_id);
    return buf_bytes(out);
}

void answers_ask(struct bus *bus, unsigned partition, const struct answer_key *asked, size_t count,
                 reply_fn *fn, void *ctx) {
    struct buf key = {0};
    struct command c = command_script(SCRIPT_find_answers, 2 * (unsigned)count);
    for (size_t i = 0; i < count; i++) {
        command_bytes(&c, answers_key(&key, partition, &asked[i], false));
        command_bytes(&c, answers_key(&key, partition, &asked[i], true));
    }
    for (size_t i = 0; i < count; i++)
        command_bytes(&c, asked[i].id);
    buf_deinit(&key);
    bus_send(bus, partition, &c, fn, ctx);
}

struct bytes answers_read(const struct redisReply *reply, size_t index) {
    struct bytes answer = reply_bytes(reply_at(reply, index));
    return answer.len <= ANSWER_BYTES_MAX ? answer : BYTES_NONE;
}
