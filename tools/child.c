/* child.c - see child.h. Processes are made by fork, since uv_spawn cannot call prctl in the
 * child. */
#include "tools/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"

enum { LINE_MAX_BYTES = 8192, NAME_WIDTH = 10, EXIT_NOT_RUN = 127 };

/* --- printing --- */

static void print_line(const char *name, int colour, struct bytes line) {
    if (colour > 0 && isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL)
        printf("\x1b[3%dm%-*s |\x1b[0m %.*s\n", colour, NAME_WIDTH, name, BYTES_FMT(line));
    else
        printf("%-*s | %.*s\n", NAME_WIDTH, name, BYTES_FMT(line));
    fflush(stdout);
}

void child_say(const char *format, ...) {
    struct buf line = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&line, format, args);
    va_end(args);
    print_line("signalbox", 0, buf_bytes(&line));
    buf_deinit(&line);
}

/* --- reading what it prints: one reader for each start --- */

struct reader {
    uv_pipe_t pipe;
    struct child *child;
    struct buf line;
    char piece[4096];
};

static void on_reader_closed(uv_handle_t *handle) {
    struct reader *r = container_of((uv_pipe_t *)handle, struct reader, pipe);
    buf_deinit(&r->line);
    free(r);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct reader *r = container_of((uv_pipe_t *)handle, struct reader, pipe);
    (void)suggested;
    *buf = uv_buf_init(r->piece, sizeof(r->piece));
}

static void print_taken(struct reader *r) {
    print_line(r->child->name, r->child->colour, buf_bytes(&r->line));
    buf_clear(&r->line);
}

static void take(struct reader *r, struct bytes in) {
    while (in.len > 0) {
        ptrdiff_t newline = bytes_find(in, '\n');
        size_t len = newline < 0 ? in.len : (size_t)newline;
        buf_append(&r->line, bytes_head(in, len));
        if (newline >= 0 || r->line.len > LINE_MAX_BYTES)
            print_taken(r);
        in = bytes_from(in, newline < 0 ? len : len + 1);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct reader *r = container_of((uv_pipe_t *)stream, struct reader, pipe);
    if (n > 0)
        take(r, bytes_of(buf->base, (size_t)n));
    if (n >= 0)
        return;
    if (r->line.len > 0)
        print_taken(r);
    uv_close((uv_handle_t *)stream, on_reader_closed);
}

static void read_from(struct child *c, uv_loop_t *loop, int fd) {
    struct reader *r = mem_zalloc(sizeof(*r));
    r->child = c;
    MUST(uv_pipe_init(loop, &r->pipe, 0) == 0);
    MUST(uv_pipe_open(&r->pipe, fd) == 0);
    MUST(uv_read_start((uv_stream_t *)&r->pipe, on_room, on_read) == 0);
}

/* --- starting --- */

void child_add_argument(struct child *c, const char *text) {
    MUST(c->argument_count < CHILD_ARGUMENTS_MAX);
    c->arguments[c->argument_count++] = mem_strdup(text);
}

void child_add_option(struct child *c, const char *name, const char *value) {
    struct buf text = {0};
    buf_printf(&text, "--%s", name);
    buf_append_char(&text, '\0');
    child_add_argument(c, text.ptr);
    child_add_argument(c, value);
    buf_deinit(&text);
}

void child_deinit(struct child *c) {
    for (int i = 0; i < c->argument_count; i++)
        free(c->arguments[i]);
    c->argument_count = 0;
}

/* Between fork and exec: system calls only. */
static void become(const struct child *c, int output, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setpgid(0, 0);
    int input = open("/dev/null", O_RDONLY);
    if (getppid() != parent || input < 0 || (c->folder != NULL && chdir(c->folder) != 0))
        _exit(EXIT_NOT_RUN);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execvp(c->arguments[0], c->arguments);
    const char *why = strerror(errno);
    if (write(STDERR_FILENO, why, strlen(why)) < 0)
        _exit(EXIT_NOT_RUN);
    _exit(EXIT_NOT_RUN);
}

int child_start(struct child *c, uv_loop_t *loop) {
    int ends[2];
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    c->arguments[c->argument_count] = NULL;
    pid_t pid = fork();
    if (pid == 0)
        become(c, ends[1], parent);
    int error = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -error;
    }
    c->pid = pid;
    read_from(c, loop, ends[0]);
    return 0;
}

/* --- ending --- */

void child_signal(const struct child *c, int number) {
    if (c->pid != 0)
        kill(c->pid, number);
}

bool child_reap(struct child *c, int *status_out) {
    if (c->pid == 0 || waitpid(c->pid, status_out, WNOHANG) != c->pid)
        return false;
    c->pid = 0;
    return true;
}

void child_describe_end(int status, char text_out[80]) {
    if (WIFSIGNALED(status))
        snprintf(text_out, 80, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text_out, 80, "exit status %d", WEXITSTATUS(status));
}
