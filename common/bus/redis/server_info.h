/*
 * server_info.h - which server a connection goes to, and whether its data are still those of
 * before: from the answer to INFO server replication.
 *
 * A server keeps its run_id while it is demoted and promoted again, but then it may have taken over
 * the data of another one. So the identity of a server that was ever promoted has the replication
 * id of that promotion, too.
 */
#ifndef SIGNALBOX_BUS_REDIS_SERVER_INFO_H
#define SIGNALBOX_BUS_REDIS_SERVER_INFO_H

#include <stdbool.h>

#include "common/base/bytes.h"

enum { SERVER_RUN_ID_TEXT = 48, SERVER_IDENTITY_TEXT = 96 };

struct server_info {
    char run_id[SERVER_RUN_ID_TEXT];
    char identity[SERVER_IDENTITY_TEXT];
    bool is_master;
};

/* The value of a line "name:value\r\n" of any section of INFO, or BYTES_NONE. */
struct bytes server_info_value(struct bytes text, const char *name);
/* False when the text names no run_id; then info_out is empty. */
bool server_info_read(struct server_info *info_out, struct bytes text);

#endif
