/* server_info.c - see server_info.h. */
#include "common/bus/redis/server_info.h"

#include <stdio.h>

struct bytes server_info_value(struct bytes text, const char *name) {
    while (text.len > 0) {
        struct bytes line = bytes_split(&text, '\n');
        struct bytes word = bytes_split(&line, ':');
        if (!bytes_equal_str(word, name))
            continue;
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        return line;
    }
    return BYTES_NONE;
}

/* The second replication id is that of the master before, and zero without one. The first one of a
 * server that was never promoted changes when replicas come and go, and means nothing then. */
bool server_info_read(struct server_info *info_out, struct bytes text) {
    struct bytes run_id = server_info_value(text, "run_id"),
                 replid = server_info_value(text, "master_replid"),
                 before = server_info_value(text, "master_replid2"),
                 role = server_info_value(text, "role");
    bool was_promoted = false;
    for (size_t i = 0; i < before.len; i++)
        was_promoted |= before.ptr[i] != '0';
    *info_out = (struct server_info){.is_master = bytes_equal_str(role, "master")};
    if (run_id.len == 0 || run_id.len >= sizeof(info_out->run_id))
        return false;
    if (!was_promoted || replid.len >= SERVER_RUN_ID_TEXT)
        replid.len = 0;
    snprintf(info_out->run_id, sizeof(info_out->run_id), "%.*s", BYTES_FMT(run_id));
    snprintf(info_out->identity, sizeof(info_out->identity), "%.*s/%.*s", BYTES_FMT(run_id),
             BYTES_FMT(replid));
    return true;
}
