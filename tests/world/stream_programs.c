/* stream_programs.c - see loop_programs.h: two ends of a pipe in one loop. */
#include <stdbool.h>
#include <string.h>

#include "common/base/must.h"
#include "tests/world/loop_programs.h"

enum { BIG = 4 << 20, ROOM = 65536 };

const char *loop_path;

static struct {
    uv_pipe_t server, accepted, client;
    uv_connect_t connect;
    uv_write_t writes[4];
    uv_shutdown_t shutdown;
    uv_timer_t timer;
    size_t got, rooms_given;
    size_t room; /* of the reader's buffer */
    void (*on_connected)(void);
    void (*on_accepted)(void);
    void (*on_end)(const char *who);
    char buffer[ROOM];
} w;

static char big[BIG];

static const char *who(const void *handle) {
    return handle == &w.client ? "client" : handle == &w.accepted ? "accepted" : "server";
}

static void on_closed(uv_handle_t *h) {
    tell_line(who(h), "closed");
}

static void close_all(void) {
    uv_handle_t *all[] = {(uv_handle_t *)&w.server, (uv_handle_t *)&w.accepted,
                          (uv_handle_t *)&w.client};
    for (int i = 0; i < 3; i++)
        if (!uv_is_closing(all[i]))
            uv_close(all[i], on_closed);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out) {
    (void)h;
    (void)suggested;
    *out = uv_buf_init(w.buffer, (unsigned)w.room);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
    (void)buf;
    if (n >= 0) {
        w.got += (size_t)n;
        return;
    }
    tell_line(who(s), "read %s after %zu, active %d", uv_err_name((int)n), w.got,
              uv_is_active((uv_handle_t *)s));
    if (w.on_end != NULL)
        w.on_end(who(s));
}

static void on_connected(uv_connect_t *req, int status) {
    tell_line("client", "connected %d", status);
    (void)req;
    if (w.on_connected != NULL)
        w.on_connected();
}

static void on_connection(uv_stream_t *s, int status) {
    tell_line("server", "connection %d", status);
    if (w.on_accepted == NULL)
        return;
    MUST(uv_accept(s, (uv_stream_t *)&w.accepted) == 0);
    w.on_accepted();
}

static void begin(uv_loop_t *loop, void (*on_connected_do)(void), void (*on_accepted_do)(void)) {
    memset(&w, 0, sizeof(w));
    w.room = ROOM;
    w.on_connected = on_connected_do;
    w.on_accepted = on_accepted_do;
    MUST(uv_pipe_init(loop, &w.server, 0) == 0);
    MUST(uv_pipe_init(loop, &w.accepted, 0) == 0);
    MUST(uv_pipe_init(loop, &w.client, 0) == 0);
    MUST(uv_pipe_bind(&w.server, loop_path) == 0);
    MUST(uv_listen((uv_stream_t *)&w.server, 16, on_connection) == 0);
    uv_pipe_connect(&w.connect, &w.client, loop_path, on_connected);
}

static void on_written(uv_write_t *req, int status) {
    tell_line(who(req->handle), "written %td %s, queued %zu", req - w.writes,
              status == 0 ? "0" : uv_err_name(status), uv_stream_get_write_queue_size(req->handle));
}

static void put(int i, uv_pipe_t *pipe, size_t len) {
    uv_buf_t buf = uv_buf_init(big, (unsigned)len);
    int r = uv_write(&w.writes[i], (uv_stream_t *)pipe, &buf, 1, on_written);
    tell_line(who(pipe), "write %d: %s", i, r == 0 ? "0" : uv_err_name(r));
}

static void read_from(uv_pipe_t *pipe) {
    int r = uv_read_start((uv_stream_t *)pipe, on_alloc, on_read);
    tell_line(who(pipe), "read_start %s", r == 0 ? "0" : uv_err_name(r));
}

/* --- there and back --- */

static void on_shut(uv_shutdown_t *req, int status) {
    tell_line(who(req->handle), "shut %s", status == 0 ? "0" : uv_err_name(status));
}

static void close_at_end(const char *name) {
    (void)name;
    close_all();
}

static void write_and_shut(void) {
    uv_buf_t buf = uv_buf_init(big, 10);
    put(0, &w.client, 5);
    put(1, &w.client, 0);
    tell_line("client", "try %d", uv_try_write((uv_stream_t *)&w.client, &buf, 1));
    tell_line("client", "queued %zu", uv_stream_get_write_queue_size((uv_stream_t *)&w.client));
    int r = uv_shutdown(&w.shutdown, (uv_stream_t *)&w.client, on_shut);
    tell_line("client", "shutdown %d", r);
    r = uv_shutdown(&w.shutdown, (uv_stream_t *)&w.client, on_shut);
    tell_line("client", "again %s", uv_err_name(r));
    put(2, &w.client, 5);
    tell_line("client", "try %s", uv_err_name(uv_try_write((uv_stream_t *)&w.client, &buf, 1)));
}

static void read_at_server(void) {
    read_from(&w.accepted);
    read_from(&w.accepted);
}

static void write_read_and_end(uv_loop_t *loop) {
    begin(loop, write_and_shut, read_at_server);
    w.on_end = close_at_end;
    uv_run(loop, UV_RUN_DEFAULT);
}

/* --- more than the socket takes --- */

static void write_much(void) {
    uv_buf_t buf = uv_buf_init(big, BIG);
    put(0, &w.client, BIG);
    put(1, &w.client, BIG);
    put(2, &w.client, 7);
    tell_line("client", "is queued %d",
              uv_stream_get_write_queue_size((uv_stream_t *)&w.client) > BIG);
    tell_line("client", "try %s", uv_err_name(uv_try_write((uv_stream_t *)&w.client, &buf, 1)));
    MUST(uv_shutdown(&w.shutdown, (uv_stream_t *)&w.client, on_shut) == 0);
}

static void more_than_the_socket_takes(uv_loop_t *loop) {
    begin(loop, write_much, read_at_server);
    w.on_end = close_at_end;
    uv_run(loop, UV_RUN_DEFAULT);
}

static void on_close_timer(uv_timer_t *t) {
    uv_close((uv_handle_t *)t, NULL);
    close_all();
}

static void close_soon(void) {
    MUST(uv_timer_init(w.server.loop, &w.timer) == 0);
    MUST(uv_timer_start(&w.timer, on_close_timer, 20, 0) == 0);
}

static void closed_with_writes_waiting(uv_loop_t *loop) {
    begin(loop, write_much, close_soon);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* --- connecting --- */

static void a_connect_is_closed(uv_loop_t *loop) {
    begin(loop, NULL, NULL);
    put(0, &w.client, 3); /* waits for the connect */
    close_all();
    uv_run(loop, UV_RUN_DEFAULT);
}

static void nobody_is_there(uv_loop_t *loop) {
    memset(&w, 0, sizeof(w));
    MUST(uv_pipe_init(loop, &w.client, 0) == 0);
    uv_pipe_connect(&w.connect, &w.client, "/nowhere/at/all", on_connected);
    read_from(&w.client);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&w.client, on_closed);
    uv_run(loop, UV_RUN_DEFAULT);
}

static void write_before_it_is_connected(uv_loop_t *loop) {
    uv_buf_t buf = uv_buf_init(big, 3);
    begin(loop, NULL, read_at_server);
    w.on_end = close_at_end;
    tell_line("client", "try %s", uv_err_name(uv_try_write((uv_stream_t *)&w.client, &buf, 1)));
    put(0, &w.client, 3);
    put(1, &w.client, 4);
    int r = uv_shutdown(&w.shutdown, (uv_stream_t *)&w.client, on_shut);
    tell_line("client", "shutdown %d", r);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* --- reading --- */

static void read_nothing(void) {
    w.room = 0;
    read_from(&w.accepted);
    close_soon();
}

static void write_five(void) {
    put(0, &w.client, 5);
}

static bool has_said_no_room;

static void on_no_room(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
    (void)buf;
    if (has_said_no_room)
        return;
    has_said_no_room = true;
    tell_line(who(s), "read %s, active %d", uv_err_name((int)n), uv_is_active((uv_handle_t *)s));
    uv_read_stop(s);
    tell_line(who(s), "stopped, active %d", uv_is_active((uv_handle_t *)s));
    uv_read_stop(s);
    w.room = ROOM;
    w.on_end = close_at_end;
    read_from(&w.accepted);
    uv_close((uv_handle_t *)&w.client, on_closed);
}

static void read_without_room(void) {
    read_nothing();
    uv_read_stop((uv_stream_t *)&w.accepted);
    MUST(uv_read_start((uv_stream_t *)&w.accepted, on_alloc, on_no_room) == 0);
}

static void no_room_to_read(uv_loop_t *loop) {
    has_said_no_room = false;
    begin(loop, write_five, read_without_room);
    uv_run(loop, UV_RUN_DEFAULT);
}

static void close_client(void) {
    uv_close((uv_handle_t *)&w.client, on_closed);
}

static void on_end_write(const char *name) {
    (void)name;
    uv_buf_t buf = uv_buf_init(big, 5);
    int r = uv_try_write((uv_stream_t *)&w.accepted, &buf, 1);
    tell_line("accepted", "try after the end %s", r < 0 ? uv_err_name(r) : "taken");
    put(0, &w.accepted, 5);
    close_soon();
}

static void write_to_one_that_is_gone(uv_loop_t *loop) {
    begin(loop, close_client, read_at_server);
    w.on_end = on_end_write;
    uv_run(loop, UV_RUN_DEFAULT);
}

static void close_at_once(void) {
    uv_close((uv_handle_t *)&w.accepted, on_closed);
}

static void read_then_wait(void) {
    put(0, &w.client, 5);
    MUST(uv_read_start((uv_stream_t *)&w.client, on_alloc, on_read) == 0);
}

static void the_server_closes_at_once(uv_loop_t *loop) {
    begin(loop, read_then_wait, close_at_once);
    w.on_end = close_at_end;
    uv_run(loop, UV_RUN_DEFAULT);
}

/* --- accepting --- */

static void on_take(uv_timer_t *t) {
    int r = uv_accept((uv_stream_t *)&w.server, (uv_stream_t *)&w.accepted);
    tell_line("server", "accept later %d", r);
    r = uv_accept((uv_stream_t *)&w.server, (uv_stream_t *)&w.accepted);
    tell_line("server", "accept again %s", uv_err_name(r));
    uv_close((uv_handle_t *)t, NULL);
    close_all();
}

static void take_soon(void) {
    MUST(uv_timer_init(w.server.loop, &w.timer) == 0);
    MUST(uv_timer_start(&w.timer, on_take, 20, 0) == 0);
}

static void a_connection_waits(uv_loop_t *loop) {
    begin(loop, take_soon, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *found) {
    (void)req;
    tell_line("loop", "looked up %d %d", status, found != NULL);
    uv_freeaddrinfo(found);
}

static void look_up(uv_loop_t *loop) {
    uv_getaddrinfo_t req;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    int r = uv_getaddrinfo(loop, &req, on_looked_up, "10.1.2.3", "80", &hints);
    tell_line("loop", "asked %d, alive %d", r, uv_loop_alive(loop));
    uv_run(loop, UV_RUN_DEFAULT);
}

const struct loop_program stream_programs[] = {
    {"write before it is connected", write_before_it_is_connected},
    {"write, read and end", write_read_and_end},
    {"more than the socket takes", more_than_the_socket_takes},
    {"closed with writes waiting", closed_with_writes_waiting},
    {"a connect is closed", a_connect_is_closed},
    {"nobody is there", nobody_is_there},
    {"no room to read", no_room_to_read},
    {"write to one that is gone", write_to_one_that_is_gone},
    {"the server closes at once", the_server_closes_at_once},
    {"a connection waits", a_connection_waits},
    {"look up", look_up},
    {NULL, NULL}};
