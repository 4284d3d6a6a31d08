/* identity.c - see identity.h. */
#include "gateway/conn/identity.h"

#include <string.h>

static struct bytes copy_to(char **at, struct bytes from) {
    struct bytes copy = bytes_of(*at, from.len);
    if (from.len > 0)
        memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return copy;
}

struct identity *identity_new(const struct identity *from) {
    size_t len = from->name.len + from->group.len + from->client_id.len + from->value.len +
                 from->session.len;
    struct identity *who = mem_alloc(sizeof(*who) + len);
    char *at = (char *)(who + 1);
    *who = *from;
    who->name = copy_to(&at, from->name);
    who->group = copy_to(&at, from->group);
    who->client_id = copy_to(&at, from->client_id);
    who->value = copy_to(&at, from->value);
    who->session = copy_to(&at, from->session);
    return who;
}
