/* addressees.c - see addressees.h. */
#include "gateway/session/addressees.h"

#include "common/base/fold.h"
#include "gateway/session/client.h"
#include "gateway/session/memberships.h"

static void read_lists(struct addressees *a) {
    struct bytes_list groups = a->m->to_groups, ids = a->m->to_clients;
    struct buf folded = {0};
    a->is_read = true;
    for (size_t i = 0; i < groups.count; i++) {
        buf_clear(&folded);
        fold_append(&folded, groups.items[i]);
        text_set_add(&a->groups, arena_copy(&a->texts, buf_bytes(&folded)));
    }
    for (size_t i = 0; i < ids.count; i++)
        text_set_add(&a->ids, ids.items[i]);
    buf_deinit(&folded);
}

static bool have_one(const struct addressees *a, struct bytes_list groups) {
    struct buf folded = {0};
    bool have = false;
    for (size_t i = 0; i < groups.count && !have; i++) {
        buf_clear(&folded);
        fold_append(&folded, groups.items[i]);
        have = text_set_has(&a->groups, buf_bytes(&folded));
    }
    buf_deinit(&folded);
    return have;
}

bool addressees_have(struct addressees *a, const struct client *client) {
    const struct message *m = a->m;
    const struct identity *who = &client->who;
    if (!a->is_read)
        read_lists(a);
    if (m->to_conn.len > 0 && !bytes_equal(m->to_conn, who->value))
        return false;
    return (!bytes_list_is_given(m->to_groups) || have_one(a, client_groups(client))) &&
           (!bytes_list_is_given(m->to_clients) || text_set_has(&a->ids, who->client_id));
}

void addressees_deinit(struct addressees *a) {
    text_set_clear(&a->groups);
    text_set_clear(&a->ids);
    arena_clear(&a->texts);
}
