/*
 * fuzz_client_message.c - the body of a client's message, as a gateway hands it on.
 *
 * Properties: a message is valid, or one line says why not and it addresses nobody; lists stay
 * within their bound; texts are of the message; a second reading says the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "broker/handlers/client_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lists(const struct client_message *m) {
    const struct texts *all[] = {&m->names, &m->groups, &m->clients};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        MUST(all[i]->count <= ENVELOPE_LIST_MAX);
        MUST(m->is_valid || m->has_unknown || all[i]->count == 0);
    }
    MUST(!m->has_unknown || bytes_list_is_nobody(texts_list(&m->clients)));
}

static void check_same(const struct client_message *a, const struct client_message *b) {
    MUST(a->is_valid == b->is_valid && a->is_misunderstood == b->is_misunderstood);
    MUST(a->has_unknown == b->has_unknown && a->is_direct == b->is_direct);
    MUST(a->message.kind == b->message.kind && a->names.count == b->names.count);
    MUST(a->groups.count == b->groups.count && a->clients.count == b->clients.count);
    MUST(bytes_equal(buf_bytes(&a->error), buf_bytes(&b->error)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes body = bytes_of((const char *)data, size);
    struct client_message *m = client_message_new(body, true),
                          *again = client_message_new(body, true);
    MUST(m->is_valid == (m->error.len == 0));
    MUST(memchr(m->error.ptr != NULL ? m->error.ptr : "", '\n', m->error.len) == NULL);
    check_lists(m);
    check_same(m, again);
    client_message_unref(again);
    client_message_unref(m);
    return 0;
}
