/* static.c - see static.h. */
#include "gateway/routes/static.h"

#include <stdlib.h>
#include <string.h>

#include "common/app/app.h"
#include "common/http/http_path.h"
#include "gateway/routes/file_send.h"
#include "gateway/gateway.h"
#include "gateway/conn/request.h"

/* The path below the prefix: it starts with '/', or is empty when the path is the prefix; NULL when
 * the prefix does not fit. */
static const char *below(const char *path, const char *prefix) {
    size_t len = strlen(prefix);
    while (len > 0 && prefix[len - 1] == '/')
        len--;
    if (strncmp(path, prefix, len) != 0 || (path[len] != '/' && path[len] != '\0'))
        return NULL;
    return path + len;
}

bool static_serve(struct request *r) {
    const struct registrations *registrations = app_registrations(r->gateway->app);
    const struct static_folder *best = NULL;
    if (!request_is_head(r) && !bytes_equal_str(r->head.method, "GET"))
        return false;
    for (size_t i = 0; i < registrations->static_folders.count; i++) {
        const struct static_folder *folder = &registrations->static_folders.items[i];
        if (below(r->path, folder->prefix) != NULL &&
            (best == NULL || strlen(folder->prefix) > strlen(best->prefix)))
            best = folder;
    }
    if (best == NULL)
        return false;
    struct buf file = {0};
    if (http_path_to_file(bytes_str(below(r->path, best->prefix)), &file)) {
        char *path = buf_take(&file);
        file_send(r, best->folder, path, 200);
        free(path);
        return true;
    }
    buf_deinit(&file);
    return false;
}
