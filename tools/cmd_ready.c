/* cmd_ready.c - ready: asks /readyz of a process. It is meant for health checks: the exit status is
 * the answer. */
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/http/http_authority.h"
#include "tools/http_get.h"
#include "tools/tool.h"
#include "tools/verb.h"

#define DEFAULT_URL "http://127.0.0.1:9090"

struct ready {
    int64_t patience_ms;
    struct tool *tool;
    char host[256];
    int port;
};

static void on_answer(void *ctx, int status, struct bytes body) {
    struct ready *r = ctx;
    bool is_ready = status == 200;
    struct buf json = {0};
    while (body.len > 0 && body.ptr[body.len - 1] == '\n')
        body.len--;
    if (r->tool->is_json) {
        buf_printf(&json, "{\"ready\":%s", is_ready ? "true" : "false");
        tool_append_json(&json, ",\"reason\":", is_ready ? BYTES_LIT("") : body);
        buf_append_char(&json, '}');
        tool_print(&json);
    } else { /* the body is "ready", perhaps with a note, or the reason */
        printf("%s%.*s\n", is_ready ? "" : "not ready: ", BYTES_FMT(body));
    }
    tool_end(r->tool, is_ready ? TOOL_OK : TOOL_FAILED);
}

static void on_ready(void *ctx) {
    struct ready *r = ctx;
    http_get(&r->tool->loop, r->host, r->port, "/readyz", (uint64_t)r->patience_ms, on_answer, r);
}

/* "http://127.0.0.1:9090", where http:// may be absent and a path behind the port is ignored; or
 * "unix:/run/signalbox/admin.sock". */
static bool read_url(struct ready *r, const char *text) {
    struct bytes rest = bytes_str(text);
    uint64_t port;
    if (bytes_starts_with(rest, BYTES_LIT("unix:"))) {
        rest = bytes_from(rest, strlen("unix:"));
        return rest.len > 0 &&
               snprintf(r->host, sizeof(r->host), "%s", rest.ptr) < (int)sizeof(r->host);
    }
    if (bytes_starts_with(rest, BYTES_LIT("http://")))
        rest = bytes_from(rest, strlen("http://"));
    struct http_authority at = http_authority_split(bytes_split(&rest, '/'));
    struct bytes host = http_authority_address(at.host);
    if (host.len == 0 || !bytes_to_u64(at.port, &port) || port < 1 || port > 65535)
        return false;
    r->port = (int)port;
    return snprintf(r->host, sizeof(r->host), "%.*s", BYTES_FMT(host)) < (int)sizeof(r->host);
}

static int run(struct tool *t, void *own) {
    struct ready *r = own;
    const char *url = t->argument_count > 0 ? t->arguments[0] : DEFAULT_URL;
    r->tool = t;
    if (!read_url(r, url)) {
        tool_complain(t, "%s: must be http://HOST:PORT or unix:PATH", url);
        return TOOL_USAGE;
    }
    return tool_run_offline(t, on_ready, r);
}

static const struct option options[] = {
    {"timeout", OPTION_DURATION, offsetof(struct ready, patience_ms), "TIME",
     "how long to wait for the answer", .initial = "3s"},
};

const struct verb verb_ready = {
    .name = "ready",
    .arguments = "[ADMIN_URL]",
    .summary = "ask whether a gateway or broker is ready; the exit status is the answer",
    .details = "ADMIN_URL is the address of its admin listener [" DEFAULT_URL "].",
    .flags = VERB_JSON,
    .max_arguments = 1,
    VERB_OPTIONS(options),
    VERB_RUN(struct ready, run)};
