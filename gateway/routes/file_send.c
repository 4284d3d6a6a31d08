/*
 * file_send.c - see file_send.h.
 *
 *     realpath(root) ▶ realpath(root/path) ▶ open ▶ fstat ▶ head ▶ read ▶ send ▶ drained ▶ read …
 *
 * Each step is one request to the pool; on_step gets its result and starts the next step.
 */
#include "gateway/routes/file_send.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/http/http_path.h"
#include "common/http/http_range.h"
#include "common/http/http_reply.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/request.h"
#include "gateway/routes/routes.h"

/* ---- the Content-Type, by the ending of the name. To add a type: a line here. */

static const struct {
    const char *ending, *type;
} types[] = {
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"webmanifest", "application/manifest+json"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"xml", "application/xml"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/x-icon"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"otf", "font/otf"},
    {"mp3", "audio/mpeg"},
    {"wav", "audio/wav"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
    {"pdf", "application/pdf"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
    {"wasm", "application/wasm"},
};

static struct bytes content_type_of(const char *path) {
    const char *dot = strrchr(path, '.');
    if (dot != NULL && strchr(dot, '/') == NULL)
        for (size_t i = 0; i < ARRAY_LEN(types); i++)
            if (bytes_equal_nocase(bytes_str(dot + 1), bytes_str(types[i].ending)))
                return bytes_str(types[i].type);
    return BYTES_LIT("application/octet-stream");
}

/* ---- the steps */

enum { PIECE_BYTES = 64 * 1024 };

enum step { STEP_ROOT, STEP_REAL, STEP_OPEN, STEP_STAT, STEP_READ, STEP_SENDING, STEP_CLOSE };

struct file_send {
    struct request *request;
    enum step step;
    int status;
    char *root, *path, *file; /* root: as given, then its real path */
    bool is_index;
    uv_file fd;
    uint64_t at, end; /* what is still to be sent of the file */
    char *piece;
    uv_fs_t fs;
};

static void on_step(uv_fs_t *fs);

static uv_loop_t *loop_of(const struct file_send *f) {
    return f->request->routes->loop;
}

static void done(struct file_send *f) {
    struct request *r = f->request;
    request_set_worker(r, NULL, NULL);
    free(f->root);
    free(f->path);
    free(f->file);
    free(f->piece);
    free(f);
    request_worked(r);
}

static void close_and_done(struct file_send *f) {
    if (f->fd < 0) {
        done(f);
        return;
    }
    f->step = STEP_CLOSE;
    MUST(uv_fs_close(loop_of(f), &f->fs, f->fd, on_step) == 0);
}

static void not_there(struct file_send *f) {
    request_reply(f->request, 404, BYTES_LIT("text/plain; charset=utf-8"),
                  BYTES_LIT("not found\n"));
    close_and_done(f);
}

static void read_piece(struct file_send *f) {
    struct request *r = f->request;
    if (r->conn == NULL || f->at >= f->end) {
        close_and_done(f);
        return;
    }
    uint64_t left = f->end - f->at;
    uv_buf_t buf = uv_buf_init(f->piece, left < PIECE_BYTES ? (unsigned)left : PIECE_BYTES);
    f->step = STEP_READ;
    MUST(uv_fs_read(loop_of(f), &f->fs, f->fd, &buf, 1, (int64_t)f->at, on_step) == 0);
}

static void on_drained(struct request *r) {
    struct file_send *f = r->work;
    if (f->step == STEP_SENDING)
        read_piece(f);
}

/* The next step notices that the client is gone; while the client is waited for, this does. */
static const struct request_worker worker = {.on_gone = on_drained, .on_drained = on_drained};

static void send_piece(struct file_send *f, ssize_t len) {
    struct request *r = f->request;
    if (r->conn == NULL) {
        close_and_done(f);
        return;
    }
    if (len <= 0) { /* the file has shrunk: the length in the head cannot be kept */
        conn_drop(r->conn);
        close_and_done(f);
        return;
    }
    f->at += (uint64_t)len;
    conn_send_bytes(r->conn, bytes_of(f->piece, (size_t)len));
    f->step = STEP_SENDING;
}

struct validators {
    char etag[64], modified[HTTP_DATE_SIZE];
    bool is_settled; /* not of this second, in which the file may change again */
};

static struct validators validators_of(const uv_stat_t *stat) {
    struct validators v = {.is_settled = stat->st_mtim.tv_sec < time(NULL)};
    snprintf(v.etag, sizeof(v.etag), "\"%llx-%llx-%llx\"", (unsigned long long)stat->st_mtim.tv_sec,
             (unsigned long long)stat->st_mtim.tv_nsec, (unsigned long long)stat->st_size);
    http_date(stat->st_mtim.tv_sec, v.modified);
    return v;
}

/* Only GET and HEAD are conditional: the answer to another method is sent in full. */
static bool is_current(struct request *r, const struct validators *v) {
    struct bytes rest = http_head_find(&r->head, "If-None-Match");
    if (!request_is_head(r) && !bytes_equal_str(r->head.method, "GET"))
        return false;
    if (rest.ptr == NULL)
        return bytes_equal_str(http_head_find(&r->head, "If-Modified-Since"), v->modified);
    while (rest.ptr != NULL) {
        struct bytes one = bytes_trim(bytes_split(&rest, ','));
        if (bytes_starts_with(one, BYTES_LIT("W/")))
            one = bytes_from(one, 2);
        if (bytes_equal_str(one, v->etag) || bytes_equal_str(one, "*"))
            return true;
    }
    return false;
}

/* A part is of use only to a client that has the rest of the same file (RFC 9110, 13.1.5). */
static enum http_range wanted_range(struct file_send *f, const struct validators *v,
                                    uint64_t size) {
    struct request *r = f->request;
    struct bytes condition = http_head_find(&r->head, "If-Range");
    bool is_same = condition.ptr == NULL || bytes_equal_str(condition, v->etag) ||
                   (v->is_settled && bytes_equal_str(condition, v->modified));
    if (f->status != 200 || !is_same || !bytes_equal_str(r->head.method, "GET") ||
        http_head_count(&r->head, "Range") != 1)
        return HTTP_RANGE_ALL;
    return http_range_parse(http_head_find(&r->head, "Range"), size, &f->at, &f->end);
}

/* Content-Range: of a 206 the part that follows, of a 416 the length of the file. */
static void add_range(struct file_send *f, bool is_part, uint64_t size) {
    struct buf text = {0};
    if (is_part)
        buf_printf(&text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, f->at, f->end - 1, size);
    else
        buf_printf(&text, "bytes */%" PRIu64, size);
    (void)request_header(f->request, BYTES_LIT("Content-Range"), buf_bytes(&text));
    buf_deinit(&text);
}

static void send_head(struct file_send *f, const uv_stat_t *stat) {
    struct request *r = f->request;
    struct validators v = validators_of(stat);
    f->end = stat->st_size;
    (void)request_header(r, BYTES_LIT("ETag"), bytes_str(v.etag));
    (void)request_header(r, BYTES_LIT("Last-Modified"), bytes_str(v.modified));
    (void)request_header(r, BYTES_LIT("Cache-Control"), BYTES_LIT("no-cache"));
    (void)request_header(r, BYTES_LIT("Accept-Ranges"), BYTES_LIT("bytes"));
    if (f->status == 200 && is_current(r, &v)) {
        request_reply_head(r, 304, BYTES_NONE, 0);
        close_and_done(f);
        return;
    }
    enum http_range range = wanted_range(f, &v, stat->st_size);
    if (range != HTTP_RANGE_ALL)
        add_range(f, range == HTTP_RANGE_PART, stat->st_size);
    if (range == HTTP_RANGE_NONE) {
        request_reply(r, 416, BYTES_LIT("text/plain; charset=utf-8"),
                      BYTES_LIT("the range is not in the file\n"));
        close_and_done(f);
        return;
    }
    request_reply_head(r, range == HTTP_RANGE_PART ? 206 : f->status, content_type_of(f->file),
                       (int64_t)(f->end - f->at));
    if (request_takes_body(r))
        f->piece = mem_alloc(PIECE_BYTES);
    else
        f->at = f->end;
    read_piece(f);
}

static void look_up(struct file_send *f, const char *tail) {
    struct buf path = {0};
    buf_printf(&path, "%s%s%s", f->root, f->path, tail);
    free(f->file);
    f->file = buf_take(&path);
    f->step = STEP_REAL;
    if (uv_fs_realpath(loop_of(f), &f->fs, f->file, on_step) < 0)
        not_there(f);
}

static void redirect_to_folder(struct file_send *f) {
    struct request *r = f->request;
    struct buf where = {0};
    /* Relative: a proxy may have taken a part of the path off. */
    buf_append_str(&where, "./");
    http_path_to_url(bytes_str(strrchr(r->path, '/') + 1), &where);
    buf_append_char(&where, '/');
    if (r->head.query.ptr != NULL) {
        buf_append_char(&where, '?');
        buf_append(&where, r->head.query);
    }
    (void)request_header(r, BYTES_LIT("Location"), buf_bytes(&where));
    buf_deinit(&where);
    request_reply(r, 301, BYTES_NONE, BYTES_NONE);
    close_and_done(f);
}

static bool ends_in_slash(const char *path) {
    size_t len = strlen(path);
    return len > 0 && path[len - 1] == '/';
}

static void on_stat(struct file_send *f, const uv_stat_t *stat) {
    if (S_ISREG(stat->st_mode)) {
        send_head(f, stat);
        return;
    }
    if (!S_ISDIR(stat->st_mode) || f->is_index) {
        not_there(f);
        return;
    }
    bool has_slash = ends_in_slash(f->path);
    if (!has_slash && !ends_in_slash(f->request->path)) {
        redirect_to_folder(f);
        return;
    }
    uv_fs_t close_now;
    (void)uv_fs_close(NULL, &close_now, f->fd, NULL);
    uv_fs_req_cleanup(&close_now);
    f->fd = -1;
    f->is_index = true;
    look_up(f, has_slash ? "index.html" : "/index.html");
}

const char *file_send_below(const char *path, const char *prefix) {
    size_t len = strlen(prefix);
    while (len > 0 && prefix[len - 1] == '/')
        len--;
    bool is_below = strncmp(path, prefix, len) == 0 && (path[len] == '/' || path[len] == '\0');
    return is_below ? path + len : NULL;
}

static void on_real(struct file_send *f, const char *real) {
    if (file_send_below(real, f->root) == NULL) {
        not_there(f);
        return;
    }
    free(f->file);
    f->file = mem_strdup(real);
    f->step = STEP_OPEN;
    if (uv_fs_open(loop_of(f), &f->fs, f->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0,
                   on_step) < 0)
        not_there(f);
}

/* real: the path found, on the two steps that look for one. */
static void on_result(struct file_send *f, ssize_t result, const char *real,
                      const uv_stat_t *stat) {
    switch (f->step) {
    case STEP_ROOT:
        free(f->root);
        f->root = mem_strdup(real);
        look_up(f, "");
        break;
    case STEP_REAL: on_real(f, real); break;
    case STEP_OPEN:
        f->fd = (uv_file)result;
        f->step = STEP_STAT;
        MUST(uv_fs_fstat(loop_of(f), &f->fs, f->fd, on_step) == 0);
        break;
    case STEP_STAT: on_stat(f, stat); break;
    case STEP_READ: send_piece(f, result); break;
    case STEP_SENDING: MUST(!"no request is out"); break;
    case STEP_CLOSE: done(f); break;
    }
}

/* The request is cleaned up before anything else: the next step uses it again, or `f` is freed. */
static void on_step(uv_fs_t *fs) {
    struct file_send *f = container_of(fs, struct file_send, fs);
    ssize_t result = fs->result;
    bool is_path = result >= 0 && (f->step == STEP_ROOT || f->step == STEP_REAL);
    char *real = is_path ? mem_strdup(fs->ptr) : NULL;
    uv_stat_t stat = fs->statbuf;
    uv_fs_req_cleanup(fs);
    if (result == UV_EMFILE || result == UV_ENFILE) {
        request_refuse(f->request, 503, "no file can be opened now");
        close_and_done(f);
    } else if (result < 0 && f->step != STEP_READ && f->step != STEP_CLOSE) {
        not_there(f);
    } else {
        on_result(f, result, real, &stat);
    }
    free(real);
}

void file_send(struct request *r, const char *root, const char *path, int status) {
    struct file_send *f = mem_zalloc(sizeof(*f));
    request_work(r);
    request_set_state(r, REQUEST_CLAIMED);
    *f = (struct file_send){.request = r, .step = STEP_ROOT, .status = status, .fd = -1};
    f->root = mem_strdup(root);
    f->path = mem_strdup(path);
    request_set_worker(r, &worker, f);
    if (uv_fs_realpath(loop_of(f), &f->fs, f->root, on_step) < 0)
        not_there(f);
}
