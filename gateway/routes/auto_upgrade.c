/* auto_upgrade.c - see auto_upgrade.h. */
#include "gateway/routes/auto_upgrade.h"

#include "gateway/endpoints.h"
#include "gateway/conn/request.h"
#include "gateway/routes/upgrade.h"

bool auto_upgrade_wants(const struct request *r) {
    return r->endpoint->auto_upgrade && r->endpoint->is_ws &&
           http_head_count(&r->head, "Sec-WebSocket-Key") > 0;
}

void auto_upgrade(struct request *r) {
    struct upgrade_error error;
    struct upgrade_options options = {
        .name = bytes_str(r->path), .scope = SCOPE_GLOBAL, .is_automatic = true};
    if (upgrade(r, &options, &error) == UPGRADE_INVALID)
        request_refuse(r, error.status, error.text);
}
