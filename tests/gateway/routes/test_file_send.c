/* test_file_send.c - answering with a file: what is a file, which part of it, and how it ends. */
#include "gateway/routes/file_send.h"

#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/http/http_reply.h"
#include "tests/gateway/routes/routes_room.h"

static struct routes_room room;

static const char app[] =
    "signalbox.static('/', 'root')\n"
    "local function file(status) return function(w) w:file('root/ten.txt', status) end end\n"
    "signalbox.route('POST', '/posted', file())\n"
    "signalbox.route('GET', '/created', file(201))\n"
    "signalbox.route('GET', '/missing', file(404))\n"
    "signalbox.route('GET', '/folder', function(w) w:file('root/folder') end)\n"
    "signalbox.route('GET', '/slash/', function(w) w:file('root/folder') end)\n"
    "signalbox.route('GET', '/beside', function(w) w:file('../' .. w.query.name) end)\n"
    "signalbox.route('GET', '/nothing', function(w) w:file('root/none') end)\n";

static const char *path_of(const char *name) {
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", room.folder, name);
    return path;
}

/* Files are as old as `ago` seconds. */
static void make_older(const char *name, time_t ago) {
    struct timespec times[2] = {{.tv_sec = time(NULL) - ago}, {.tv_sec = time(NULL) - ago}};
    assert_int_equal(utimensat(AT_FDCWD, path_of(name), times, 0), 0);
}

static int setup(void **state) {
    static const char *const folders[] = {"root",         "root/folder",  "root/empty",
                                          "root/odd.css", "root/indexed", "root/indexed/index.html",
                                          "root2"};
    (void)state;
    routes_room_init(&room, "", WITHOUT_REDIS);
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        assert_int_equal(mkdir(path_of(folders[i]), 0700), 0);
    routes_room_file(&room, "root/ten.txt", BYTES_LIT("0123456789"));
    make_older("root/ten.txt", 100);
    routes_room_file(&room, "root/folder/index.html", BYTES_LIT("index"));
    routes_room_file(&room, "root2/secret", BYTES_LIT("secret"));
    routes_room_load(&room, app);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_room_deinit(&room);
    return 0;
}

static struct bytes get(const char *target, const char *fields) {
    return routes_room_get(&room, "GET", target, fields);
}

static void assert_field(struct bytes answer, const char *name, const char *value) {
    struct bytes is = routes_room_field(answer, name);
    if (value == NULL ? is.ptr != NULL : !bytes_equal_str(is, value))
        fail_msg("%s is %.*s, not %s", name, BYTES_FMT(is), value != NULL ? value : "missing");
}

static size_t open_files(void) {
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* ---- what a file is */

static void the_ending_says_what_it_is(void **state) {
    static const struct {
        const char *name, *type;
    } cases[] = {
        {"a.html", "text/html; charset=utf-8"},
        {"a.HTML", "text/html; charset=utf-8"},
        {"a.min.js", "text/javascript; charset=utf-8"},
        {"a.json", "application/json"},
        {"a.woff", "font/woff"},
        {"a.woff2", "font/woff2"},
        {"a.wasm", "application/wasm"},
        {".css", "text/css; charset=utf-8"},
        {"a.html2", "application/octet-stream"},
        {"a.htm", "text/html; charset=utf-8"},
        {"a.", "application/octet-stream"},
        {"html", "application/octet-stream"},
        {"odd.css/plain", "application/octet-stream"}, /* the folder's ending is not the file's */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char name[64], target[64];
        snprintf(name, sizeof(name), "root/%s", cases[i].name);
        snprintf(target, sizeof(target), "/%s", cases[i].name);
        routes_room_file(&room, name, BYTES_LIT("x"));
        struct bytes answer = get(target, "");
        routes_room_expect(answer, 200, "x");
        assert_field(answer, "Content-Type", cases[i].type);
        assert_field(answer, "Cache-Control", "no-cache");
        assert_field(answer, "Accept-Ranges", "bytes");
    }
}

static void a_file_of_any_length_is_sent_whole(void **state) {
    static const size_t lengths[] = {0, 1, 65535, 65536, 65537, 131072, 200001};
    (void)state;
    size_t before = open_files();
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buf content = {0};
        char length[32];
        for (size_t k = 0; k < lengths[i]; k++)
            buf_append_char(&content, (char)(k * 31 >> 3));
        routes_room_file(&room, "root/sized", buf_bytes(&content));
        snprintf(length, sizeof(length), "%zu", lengths[i]);
        struct bytes answer = get("/sized", "");
        assert_int_equal(routes_room_status(answer), 200);
        assert_field(answer, "Content-Length", length);
        assert_true(bytes_equal(routes_room_body(answer), buf_bytes(&content)));
        answer = routes_room_get(&room, "HEAD", "/sized", "");
        routes_room_expect(answer, 200, "");
        assert_field(answer, "Content-Length", length);
        buf_deinit(&content);
    }
    assert_int_equal(open_files(), before);
}

static void a_request_may_follow(void **state) {
    (void)state;
    struct bytes answer = routes_room_ask(
        &room, "GET /ten.txt HTTP/1.1\r\nHost: h\r\n\r\nHEAD /ten.txt HTTP/1.1\r\nHost: h\r\n\r\n"
               "GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    routes_room_expect(answer, 200, NULL);
    struct bytes rest = routes_room_body(answer);
    assert_true(bytes_starts_with(rest, BYTES_LIT("0123456789HTTP/1.1 200")));
    rest = routes_room_body(bytes_from(rest, 10)); /* behind the head of the second */
    routes_room_expect(rest, 404, "not found\n");
}

static void folders_have_an_index(void **state) {
    static const struct {
        const char *target;
        int status;
        const char *body, *location;
    } cases[] = {
        {"/folder/", 200, "index", NULL}, /* a route fits only the path without the slash */
        {"/folder/index.html", 200, "index", NULL},
        {"/folder", 301, "", "./folder/"}, /* the route's web:file */
        {"/empty", 301, "", "./empty/"},
        {"/empty?a=b&c", 301, "", "./empty/?a=b&c"},
        {"/empty?", 301, "", "./empty/?"},
        {"/empty/", 404, "not found\n", NULL},
        {"/slash/", 200, "index", NULL},
        {"/indexed/", 404, "not found\n", NULL}, /* its index.html is a folder */
        {"/odd.css", 301, "", "./odd.css/"},
        {"/folder/index.html/", 404, "not found\n", NULL},
        {"/", 404, "not found\n", NULL},
        {"/none", 404, "not found\n", NULL},
        {"/ten.txt/more", 404, "not found\n", NULL},
    };
    (void)state;
    size_t before = open_files();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes answer = get(cases[i].target, "");
        if (routes_room_status(answer) != cases[i].status)
            fail_msg("%s: %.*s", cases[i].target, BYTES_FMT(answer));
        routes_room_expect(answer, cases[i].status, cases[i].body);
        assert_field(answer, "Location", cases[i].location);
    }
    assert_int_equal(open_files(), before);
}

static void a_redirect_is_encoded(void **state) {
    (void)state;
    assert_int_equal(mkdir(path_of("root/a b%"), 0700), 0);
    assert_field(get("/a%20b%25", ""), "Location", "./a%20b%25/");
}

/* Wherever a link leads, the file has to lie below the folder. */
static void what_lies_outside_is_missing(void **state) {
    static const struct {
        const char *link, *to, *target;
        int status;
    } cases[] = {
        {"root/in", "ten.txt", "/in", 200},
        {"root/out", "../root2/secret", "/out", 404}, /* a folder whose name begins the same */
        {"root/up", "..", "/up/app.lua", 404},
        {"root/etc", "/etc", "/etc/hostname", 404},
        {"root/loop", "loop", "/loop", 404},
        {"root/dead", "nowhere", "/dead", 404},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(symlink(cases[i].to, path_of(cases[i].link)), 0);
        routes_room_expect(get(cases[i].target, ""), cases[i].status,
                           cases[i].status == 200 ? "0123456789" : "not found\n");
    }
    /* web:file takes any path of the app's; the file must lie in its folder. */
    routes_room_expect(get("/beside?name=none", ""), 404, "not found\n");
    char target[100];
    snprintf(target, sizeof(target), "/beside?name=%s/root/ten.txt",
             strrchr(room.folder, '/') + 1); /* there and back */
    routes_room_expect(get(target, ""), 200, "0123456789");
    routes_room_expect(get("/beside?name=../etc/hostname", ""), 404, "not found\n");
}

static void only_files_are_sent(void **state) {
    (void)state;
    assert_int_equal(mkfifo(path_of("root/pipe"), 0600), 0);
    routes_room_expect(get("/pipe", ""), 404, "not found\n");
    assert_int_equal(mkfifo(path_of("root/folder/pipe"), 0600), 0);
    routes_room_expect(get("/folder/pipe", ""), 404, "not found\n");
}

static void what_is_below_a_prefix(void **state) {
    static const struct {
        const char *path, *prefix, *below;
    } cases[] = {
        {"/a/b", "/a", "/b"}, {"/a", "/a", ""},      {"/a/", "/a", "/"},  {"/ab", "/a", NULL},
        {"/", "/a", NULL},    {"/a", "/a/b", NULL},  {"/a", "/", "/a"},   {"/", "/", "/"},
        {"/a", "", "/a"},     {"/a/b", "/a/", "/b"}, {"/a", "/a///", ""}, {"/A", "/a", NULL},
        {"", "/", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *below = file_send_below(cases[i].path, cases[i].prefix);
        if (cases[i].below == NULL ? below != NULL
                                   : below == NULL || strcmp(below, cases[i].below) != 0)
            fail_msg("%s below %s: %s", cases[i].path, cases[i].prefix, below);
    }
}

/* ---- conditions */

static void what_the_client_has_is_not_sent_again(void **state) {
    char etag[80], modified[HTTP_DATE_SIZE], fields[400];
    static const char all[] = "0123456789";
    (void)state;
    struct bytes answer = get("/ten.txt", "");
    snprintf(etag, sizeof(etag), "%.*s", BYTES_FMT(routes_room_field(answer, "ETag")));
    snprintf(modified, sizeof(modified), "%.*s",
             BYTES_FMT(routes_room_field(answer, "Last-Modified")));
    assert_true(etag[0] == '"' && etag[strlen(etag) - 1] == '"' && strlen(etag) > 5);
    /* E stands for its ETag, M for its date. */
    static const struct {
        const char *method, *target, *fields;
        int status;
    } cases[] = {
        {"GET", "/ten.txt", "If-None-Match: E\r\n", 304},
        {"HEAD", "/ten.txt", "If-None-Match: E\r\n", 304},
        {"GET", "/ten.txt", "If-None-Match: W/E\r\n", 304},
        {"GET", "/ten.txt", "If-None-Match: \"x\", E\r\n", 304},
        {"GET", "/ten.txt", "If-None-Match: E ,\"x\"\r\n", 304},
        {"GET", "/ten.txt", "If-None-Match: *\r\n", 304},
        {"GET", "/ten.txt", "If-None-Match: \"x\"\r\n", 200},
        {"GET", "/ten.txt", "If-None-Match: \r\n", 200},
        {"GET", "/ten.txt", "If-Modified-Since: M\r\n", 304},
        {"HEAD", "/ten.txt", "If-Modified-Since: M\r\n", 304},
        {"GET", "/ten.txt", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 200},
        /* the ETag decides when both are given */
        {"GET", "/ten.txt", "If-None-Match: \"x\"\r\nIf-Modified-Since: M\r\n", 200},
        {"GET", "/ten.txt", "If-None-Match: E\r\nIf-Modified-Since: never\r\n", 304},
        {"POST", "/posted", "If-None-Match: E\r\n", 200}, /* another method is not conditional */
        {"GET", "/created", "If-None-Match: E\r\n", 201}, /* nor is another status */
        {"GET", "/missing", "If-Modified-Since: M\r\n", 404},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = {0};
        for (const char *at = cases[i].fields; *at != '\0'; at++) {
            bool is_value = at > cases[i].fields && strchr(" /", at[-1]) != NULL;
            if (is_value && *at == 'E')
                buf_append_str(&text, etag);
            else if (is_value && *at == 'M' && at[1] == '\r')
                buf_append_str(&text, modified);
            else
                buf_append_char(&text, *at);
        }
        snprintf(fields, sizeof(fields), "%.*s", BYTES_FMT(buf_bytes(&text)));
        buf_deinit(&text);
        answer = routes_room_get(&room, cases[i].method, cases[i].target, fields);
        if (routes_room_status(answer) != cases[i].status)
            fail_msg("%s %s %s: %.*s", cases[i].method, cases[i].target, fields, BYTES_FMT(answer));
        bool has_body = cases[i].status != 304 && strcmp(cases[i].method, "HEAD") != 0;
        routes_room_expect(answer, cases[i].status, has_body ? all : "");
        assert_field(answer, "ETag", etag);
        assert_field(answer, "Last-Modified", modified);
        assert_field(answer, "Content-Length", cases[i].status == 304 ? NULL : "10");
        assert_field(answer, "Content-Type",
                     cases[i].status == 304 ? NULL : "text/plain; charset=utf-8");
    }
}

/* Each of time, its part below a second, and length. */
static void another_file_has_another_etag(void **state) {
    static const struct {
        time_t seconds;
        long nanoseconds;
        const char *content;
    } cases[] = {{1000, 0, "a"}, {1001, 0, "a"}, {1000, 1, "a"}, {1000, 0, "ab"}};
    char etags[ARRAY_LEN(cases)][80];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct timespec at = {.tv_sec = cases[i].seconds, .tv_nsec = cases[i].nanoseconds};
        routes_room_file(&room, "root/changing", bytes_str(cases[i].content));
        assert_int_equal(
            utimensat(AT_FDCWD, path_of("root/changing"), (struct timespec[]){at, at}, 0), 0);
        struct bytes answer = get("/changing", "");
        snprintf(etags[i], sizeof(etags[i]), "%.*s", BYTES_FMT(routes_room_field(answer, "ETag")));
        if (i == 0)
            assert_field(answer, "Last-Modified", "Thu, 01 Jan 1970 00:16:40 GMT");
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(etags[i], etags[k]);
    }
}

/* ---- ranges */

static void a_part_is_sent_when_one_is_wanted(void **state) {
    static const struct {
        const char *method, *target, *fields;
        int status;
        const char *body, *range;
    } cases[] = {
        {"GET", "/ten.txt", "Range: bytes=0-0\r\n", 206, "0", "bytes 0-0/10"},
        {"GET", "/ten.txt", "Range: bytes=3-5\r\n", 206, "345", "bytes 3-5/10"},
        {"GET", "/ten.txt", "Range: bytes=9-\r\n", 206, "9", "bytes 9-9/10"},
        {"GET", "/ten.txt", "Range: bytes=-2\r\n", 206, "89", "bytes 8-9/10"},
        {"GET", "/ten.txt", "Range: bytes=0-99\r\n", 206, "0123456789", "bytes 0-9/10"},
        {"GET", "/ten.txt", "Range: bytes=10-\r\n", 416, "the range is not in the file\n",
         "bytes */10"},
        {"GET", "/ten.txt", "Range: bytes=-0\r\n", 416, NULL, "bytes */10"},
        {"GET", "/ten.txt", "Range: lines=1-2\r\n", 200, "0123456789", NULL},
        {"GET", "/ten.txt", "Range: bytes=1-2\r\nRange: bytes=1-2\r\n", 200, "0123456789", NULL},
        {"HEAD", "/ten.txt", "Range: bytes=1-2\r\n", 200, "", NULL},
        {"POST", "/posted", "Range: bytes=1-2\r\n", 200, "0123456789", NULL},
        {"GET", "/created", "Range: bytes=1-2\r\n", 201, "0123456789", NULL},
        {"GET", "/missing", "Range: bytes=99-\r\n", 404, "0123456789", NULL},
        {"GET", "/none", "Range: bytes=1-2\r\n", 404, "not found\n", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes answer =
            routes_room_get(&room, cases[i].method, cases[i].target, cases[i].fields);
        if (routes_room_status(answer) != cases[i].status)
            fail_msg("%s: %.*s", cases[i].fields, BYTES_FMT(answer));
        routes_room_expect(answer, cases[i].status, cases[i].body);
        assert_field(answer, "Content-Range", cases[i].range);
    }
}

static void a_part_is_of_the_file_the_client_has(void **state) {
    char fields[300], modified[HTTP_DATE_SIZE];
    (void)state;
    struct bytes answer = get("/ten.txt", "");
    snprintf(modified, sizeof(modified), "%.*s",
             BYTES_FMT(routes_room_field(answer, "Last-Modified")));
    snprintf(fields, sizeof(fields), "Range: bytes=1-2\r\nIf-Range: %.*s\r\n",
             BYTES_FMT(routes_room_field(answer, "ETag")));
    routes_room_expect(get("/ten.txt", fields), 206, "12");
    routes_room_expect(get("/ten.txt", "Range: bytes=1-2\r\nIf-Range: \"x\"\r\n"), 200, NULL);
    /* a date only of a file that does not change any more */
    snprintf(fields, sizeof(fields), "Range: bytes=1-2\r\nIf-Range: %s\r\n", modified);
    routes_room_expect(get("/ten.txt", fields), 206, "12");
    make_older("root/ten.txt", -100);
    answer = get("/ten.txt", "");
    snprintf(fields, sizeof(fields), "Range: bytes=1-2\r\nIf-Range: %.*s\r\n",
             BYTES_FMT(routes_room_field(answer, "Last-Modified")));
    routes_room_expect(get("/ten.txt", fields), 200, "0123456789");
    make_older("root/ten.txt", 100);
}

static void an_empty_file_has_no_parts(void **state) {
    (void)state;
    routes_room_file(&room, "root/void", BYTES_NONE);
    struct bytes answer = get("/void", "Range: bytes=0-\r\n");
    assert_int_equal(routes_room_status(answer), 416);
    assert_field(answer, "Content-Range", "bytes */0");
}

/* ---- what may happen meanwhile */

enum { LARGE = 16 << 20 };

static void make_large(void) {
    routes_room_file(&room, "root/large", BYTES_LIT("x"));
    assert_int_equal(truncate(path_of("root/large"), LARGE), 0);
}

/* Has sent so much that the client's socket and ours are full. */
static int begin_large(const char *method) {
    char text[100];
    int fd = routes_room_connect(&room);
    snprintf(text, sizeof(text), "%s /large HTTP/1.1\r\nHost: h\r\n\r\n", method);
    routes_room_say(&room, fd, bytes_str(text));
    bus_room_turn(&room.bus_room, 50);
    return fd;
}

static size_t hear_all(int fd) {
    return routes_room_hear(&room, fd, "").len;
}

static void the_client_may_leave(void **state) {
    (void)state;
    size_t before = open_files();
    make_large();
    int fd = begin_large("GET");
    assert_int_equal(open_files(), before + 3); /* two sockets and the file */
    routes_room_hang_up(&room, fd);
    for (int i = 0; i < 100 && open_files() > before; i++)
        bus_room_turn(&room.bus_room, 10);
    assert_int_equal(open_files(), before);
}

static void the_file_may_shrink(void **state) {
    (void)state;
    size_t before = open_files();
    make_large();
    int fd = begin_large("GET");
    assert_int_equal(truncate(path_of("root/large"), 1), 0);
    size_t got = hear_all(fd);
    assert_true(got > 65536 && got < LARGE); /* the connection ended before its length */
    routes_room_hang_up(&room, fd);
    assert_int_equal(open_files(), before);
}

static void no_descriptor_may_be_left(void **state) {
    struct rlimit limit, old;
    (void)state;
    int fd = routes_room_connect(&room);
    int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    limit = (struct rlimit){(rlim_t)next, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    routes_room_say(&room, fd,
                    BYTES_LIT("GET /ten.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    struct bytes answer = routes_room_hear(&room, fd, "");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    routes_room_expect(answer, 503, "no file can be opened now\n");
    routes_room_hang_up(&room, fd);
    routes_room_expect(get("/ten.txt", ""), 200, "0123456789");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ending_says_what_it_is),
        cmocka_unit_test(a_file_of_any_length_is_sent_whole),
        cmocka_unit_test(a_request_may_follow),
        cmocka_unit_test(folders_have_an_index),
        cmocka_unit_test(a_redirect_is_encoded),
        cmocka_unit_test(what_lies_outside_is_missing),
        cmocka_unit_test(only_files_are_sent),
        cmocka_unit_test(what_is_below_a_prefix),
        cmocka_unit_test(what_the_client_has_is_not_sent_again),
        cmocka_unit_test(another_file_has_another_etag),
        cmocka_unit_test(a_part_is_sent_when_one_is_wanted),
        cmocka_unit_test(a_part_is_of_the_file_the_client_has),
        cmocka_unit_test(an_empty_file_has_no_parts),
        cmocka_unit_test(the_client_may_leave),
        cmocka_unit_test(the_file_may_shrink),
        cmocka_unit_test(no_descriptor_may_be_left),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
