/* memberships.c - see memberships.h. */
#include "gateway/session/memberships.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fold.h"
#include "gateway/session/client.h"

static struct memberships *with_room(struct bytes_list groups) {
    size_t count = groups.count < CONN_GROUPS_MAX ? groups.count : CONN_GROUPS_MAX;
    size_t fixed = count * (sizeof(struct membership) + sizeof(struct bytes));
    struct memberships *m = mem_zalloc(sizeof(*m) + fixed + bytes_list_total(groups));
    m->groups = (struct bytes *)(m->all + count);
    return m;
}

struct memberships *memberships_new(struct client *client, struct bytes_list groups,
                                    struct message_id changed) {
    struct memberships *m = with_room(groups);
    size_t most = groups.count < CONN_GROUPS_MAX ? groups.count : CONN_GROUPS_MAX;
    char *text = (char *)(m->groups + most);
    m->changed = changed;
    for (size_t i = 0; i < most; i++) {
        struct bytes group = groups.items[i];
        if (group.len == 0 || fold_list_has((struct bytes_list){m->groups, m->count}, group))
            continue;
        memcpy(text, group.ptr, group.len);
        m->all[m->count].client = client;
        m->groups[m->count++] = bytes_of(text, group.len);
        text += group.len;
    }
    return m;
}

struct bytes_list client_groups(const struct client *c) {
    if (c->memberships != NULL)
        return (struct bytes_list){c->memberships->groups, c->memberships->count};
    return (struct bytes_list){&c->who.group, c->who.group.len > 0};
}

struct bytes client_group(const struct client *c) {
    struct bytes_list groups = client_groups(c);
    return groups.count > 0 ? groups.items[0] : BYTES_NONE;
}

struct bytes client_data(const struct client *c) {
    struct session session;
    if (c->who.session.len == 0 || session_decode(c->who.session, &session) != PARSE_OK)
        return BYTES_NONE;
    session_free(&session);
    return session.data; /* it lies in who.session */
}

bool client_take_groups(struct client *c, const struct conn_details *d) {
    if (!bytes_equal(d->value, c->who.value))
        return false;
    struct memberships *before = c->memberships; /* d may borrow from it */
    c->memberships = memberships_new(c, d->groups, d->changed);
    free(before);
    return true;
}

void client_details(const struct client *c, struct buf *out) {
    struct conn_details d = {.value = c->who.value,
                             .changed =
                                 c->memberships != NULL ? c->memberships->changed : MESSAGE_ID_NONE,
                             .data = client_data(c),
                             .groups = client_groups(c)};
    if (conn_details_are_needed(&d))
        conn_details_encode(out, &d);
}
