/* test_reference.c - how the X-PODE-SIGNAL-* headers are read, and which connection they find. */
#include "gateway/routes/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bus/partition.h"
#include "common/http/http_head.h"
#include "tests/gateway/routes/routes_room.h"

static void values_are_utf8_latin1_or_percent_encoded(void **state) {
    static const struct {
        const char *value;
        bool is_encoded;
        const char *expected;
    } cases[] = {
        {"plain", false, "plain"},
        {"J\xc3\xbcrgen", false, "J\xc3\xbcrgen"},
        {"J\xfcrgen", false, "J\xc3\xbcrgen"},               /* ISO 8859-1 */
        {"\xc3\xbc\xfc", false, "\xc3\x83\xc2\xbc\xc3\xbc"}, /* one wrong byte: all of it is */
        {"J%C3%BCrgen", false, "J%C3%BCrgen"},
        {"J%C3%BCrgen", true, "J\xc3\xbcrgen"},
        {"J%FCrgen", true, "J\xc3\xbcrgen"},
        {"a+b%2", true, "a+b%2"}, /* a plus is no space; what is no encoding stays */
        {"", true, ""},
    };
    struct buf out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        reference_read(bytes_str(cases[i].value), cases[i].is_encoded, &out);
        if (!bytes_equal_str(buf_bytes(&out), cases[i].expected))
            fail_msg("%s: %.*s", cases[i].value, BYTES_FMT(buf_bytes(&out)));
    }
    buf_deinit(&out);
}

/* groups: with bars between. */
static bool fits(const char *fields, const char *groups) {
    struct bytes items[4], rest = bytes_str(groups);
    size_t count = 0;
    struct http_head head;
    const char *reason;
    char text[512];
    int status;
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
    assert_int_equal(http_head_parse(bytes_str(text), sizeof(text), &head, &status, &reason),
                     PARSE_OK);
    while (rest.len > 0)
        items[count++] = bytes_split(&rest, '|');
    return reference_group_fits(&head, (struct bytes_list){items, count});
}

#define GROUP "X-PODE-SIGNAL-GROUP: "

static void any_of_the_groups_fits(void **state) {
    (void)state;
    assert_true(fits("", "Users"));
    assert_true(fits("", ""));
    assert_true(fits(GROUP "\r\n", "Users"));
    assert_true(fits(GROUP " , ,\r\n", "Users")); /* names none */
    assert_true(fits(GROUP "users\r\n", "Users"));
    assert_true(fits(GROUP "admins, users\r\n", "Users"));
    assert_true(fits(GROUP "admins\r\n" GROUP "users\r\n", "Users"));
    assert_true(fits(GROUP "a, b\r\n", "a, b")); /* one group with a comma */
    assert_true(fits(GROUP "J%C3%BCrgen\r\n", "J\xc3\xbcrgen"));
    assert_true(fits(GROUP "J\xfcrgen\r\n", "j\xc3\x9crgen"));
    assert_false(fits(GROUP "admins\r\n", "Users"));
    assert_false(fits(GROUP "admins\r\n", ""));
    assert_false(fits(GROUP "user\r\n", "Users"));
    assert_true(fits(GROUP "users\r\n", "Admins|Users"));
    assert_true(fits(GROUP "nobody,admins\r\n", "Admins|Users"));
    assert_false(fits(GROUP "nobody\r\n", "Admins|Users"));
}

/* What a 101 says of its groups, a request can say, and means each of them. */
static void groups_are_written_as_they_are_read(void **state) {
    static const struct {
        const char *groups[3];
        const char *expected;
    } cases[] = {
        {{NULL}, ""},
        {{"a, 50%"}, "a, 50%"}, /* one as it is */
        {{"a", "b"}, "a,b"},
        {{"a,b", "50%", " c d "}, "a%2Cb,50%25,%20c d%20"},
        {{"J\xc3\xbcrgen", "x"}, "J\xc3\xbcrgen,x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes items[3];
        struct buf out = {0}, line = {0};
        size_t count = 0;
        for (; count < 3 && cases[i].groups[count] != NULL; count++)
            items[count] = bytes_str(cases[i].groups[count]);
        reference_write_groups(&out, (struct bytes_list){items, count});
        if (!bytes_equal_str(buf_bytes(&out), cases[i].expected))
            fail_msg("case %zu: %.*s", i, BYTES_FMT(buf_bytes(&out)));
        buf_printf(&line, GROUP "%.*s\r\n", BYTES_FMT(buf_bytes(&out)));
        buf_append_char(&line, '\0');
        for (size_t k = 0; k < count; k++)
            assert_true(fits(line.ptr, cases[i].groups[k]));
        buf_deinit(&out);
        buf_deinit(&line);
    }
}

/* ---- over a registry */

static struct routes_room room;

static const char app[] =
    "signalbox.route('GET', '/join', function(w)\n"
    "  w:convert { name = w.query.name, group = w.query.group, client_id = w.query.id } end)\n"
    "signalbox.route('GET', '/ask', function(w)\n"
    "  local s = w.signal\n"
    "  if s and s == w.signal then w:text(table.concat({s.name, s.group, s.client_id,\n"
    "    tostring(s.is_local), tostring(s.is_global)}, ' ')) else w:text('none') end end)\n"
    "signalbox.route('GET', '/caught', function(w)\n"
    "  pcall(function() return w.signal end) pcall(w.text, w, 'own') end)\n"
    "signalbox.route('GET', '/deaf', function(w) w:text('deaf') end)\n"
    "signalbox.route('GET', '/local', function(w)\n"
    "  w:convert { name = 'L', scope = 'local' } end)\n";

enum { JOINED = 5 };
static int joined[JOINED];

static int open_room(void **state) {
    static const char *const who[JOINED] = {
        "name=N&group=Users&id=ann", "name=M&id=ann", "name=N&id=bob",
        "name=J%C3%BCrgen&group=J%C3%BCrgens&id=a%20b", "name=%2541&id=100%25"};
    char target[100];
    (void)state;
    routes_room_init(&room, app, WITH_REDIS);
    for (int i = 0; i < JOINED; i++) {
        snprintf(target, sizeof(target), "/join?%s", who[i]);
        joined[i] = routes_room_upgrade(&room, target, "", NULL);
    }
    return 0;
}

static int close_room(void **state) {
    (void)state;
    for (int i = 0; i < JOINED; i++)
        routes_room_hang_up(&room, joined[i]);
    routes_room_deinit(&room);
    return 0;
}

#define ID   "X-PODE-SIGNAL-CLIENT-ID: "
#define NAME "X-PODE-SIGNAL-NAME: "
#define END  "\r\n"

#define NO_SUCH 404, "no such signal connection\n"
#define NOT_ONE                                                                                    \
    400, "X-PODE-SIGNAL-CLIENT-ID alone must be the id of exactly one connection; give "           \
         "X-PODE-SIGNAL-NAME too\n"

static void the_headers_name_one_connection(void **state) {
    static const struct {
        const char *fields;
        int status;
        const char *body;
    } cases[] = {
        {"", 200, "none"},
        {NAME "N" END, 200, "none"}, /* without an id the others mean nothing */
        {ID END NAME "N" END, 200, "none"},
        {ID "ann" END NAME "N" END, 200, "N Users ann false true"},
        {ID "ann" END NAME "M" END, 200, "M  ann false true"},
        {ID "bob" END, 200, "N  bob false true"},
        {ID "bob" END NAME END, 200, "N  bob false true"},
        {ID "ann" END, NOT_ONE}, /* two */
        {ID "eve" END, NOT_ONE}, /* none */
        {ID "eve" END NAME "N" END, NO_SUCH},
        {ID "ann" END NAME "n" END, NO_SUCH},
        {ID "ANN" END NAME "N" END, NO_SUCH},
        {ID "ann" END NAME "N" END GROUP "uSERS" END, 200, "N Users ann false true"},
        {ID "ann" END NAME "N" END GROUP "admins" END, NO_SUCH},
        {ID "bob" END NAME "N" END GROUP "admins" END, NO_SUCH},
        {ID "bob" END GROUP "admins" END, NO_SUCH},
        /* as they stand first, then decoded */
        {ID "a%20b" END NAME "J%C3%BCrgen" END, 200, "J\xc3\xbcrgen J\xc3\xbcrgens a b false true"},
        {ID "a b" END NAME "J\xfcrgen" END, 200, "J\xc3\xbcrgen J\xc3\xbcrgens a b false true"},
        {ID "a%20b" END, 200, "J\xc3\xbcrgen J\xc3\xbcrgens a b false true"},
        {ID "a b" END NAME "J%C3%BCrgen" END GROUP "J%C3%BCrgens" END, 200,
         "J\xc3\xbcrgen J\xc3\xbcrgens a b false true"},
        {ID "100%" END NAME "%41" END, 200, "%41  100% false true"},
        {ID "100%25" END NAME "%2541" END, 200, "%41  100% false true"},
        {ID "a%20c" END NAME "J%C3%BCrgen" END, NO_SUCH},
        /* one of each */
        {ID "ann" END ID "ann" END NAME "N" END, 400,
         "X-PODE-SIGNAL-CLIENT-ID or X-PODE-SIGNAL-NAME came twice\n"},
        {ID "ann" END NAME "N" END NAME "N" END, 400,
         "X-PODE-SIGNAL-CLIENT-ID or X-PODE-SIGNAL-NAME came twice\n"},
        {ID END ID "ann" END NAME "N" END, 400,
         "X-PODE-SIGNAL-CLIENT-ID or X-PODE-SIGNAL-NAME came twice\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes answer = routes_room_get(&room, "GET", "/ask", cases[i].fields);
        if (routes_room_status(answer) != cases[i].status ||
            !bytes_equal_str(routes_room_body(answer), cases[i].body))
            fail_msg("%s: %.*s", cases[i].fields, BYTES_FMT(answer));
    }
}

/* As long as what it stands for: 1024 bytes, encoded or not. */
static void texts_have_a_bound(void **state) {
    static const struct {
        const char *name, *fault;
    } fields[] = {{"X-PODE-SIGNAL-CLIENT-ID", ID},
                  {"X-PODE-SIGNAL-NAME", NAME},
                  {"X-PODE-SIGNAL-GROUP", GROUP}};
    char text[8000], fault[100];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        for (int is_encoded = 0; is_encoded <= 1; is_encoded++)
            for (int count = 1024; count <= 1025; count++) {
                char *at = text;
                if (i != 0)
                    at += sprintf(at, ID "ann" END);
                if (i != 1)
                    at += sprintf(at, NAME "N" END);
                at += sprintf(at, "%s: %s", fields[i].name, i == 2 ? "a, " : "");
                for (int k = 0; k < count; k++)
                    at += sprintf(at, is_encoded ? "%%78" : "x");
                sprintf(at, "%s" END, i == 2 ? ", b" : "");
                struct bytes answer = routes_room_get(&room, "GET", "/ask", text);
                snprintf(fault, sizeof(fault), "%s: has more than 1024 bytes\n", fields[i].name);
                if (count == 1024)
                    routes_room_expect(answer, NO_SUCH);
                else
                    routes_room_expect(answer, 400, fault);
            }
}

/* At the bound a text is still read as it stands first. */
static void the_longest_text_is_read_as_it_stands(void **state) {
    char text[1100], target[1200], fields[1200], expected[1200];
    (void)state;
    memset(text, 'x', 1024);
    snprintf(text + 1021, sizeof(text) - 1021, "%%41");
    snprintf(target, sizeof(target), "/join?id=long&name=%.1021s%%2541", text);
    int fd = routes_room_upgrade(&room, target, "", NULL);
    snprintf(fields, sizeof(fields), ID "long" END NAME "%s" END, text);
    snprintf(expected, sizeof(expected), "%s  long false true", text);
    routes_room_expect(routes_room_get(&room, "GET", "/ask", fields), 200, expected);
    routes_room_hang_up(&room, fd);
}

/* A refused reference ends the handler, whatever it catches; whoever does not ask is served. */
static void only_who_asks_pays(void **state) {
    (void)state;
    routes_room_expect(routes_room_get(&room, "GET", "/deaf", ID "eve" END NAME "N" END), 200,
                       "deaf");
    routes_room_expect(routes_room_get(&room, "GET", "/caught", ID "eve" END NAME "N" END),
                       NO_SUCH);
    routes_room_expect(routes_room_get(&room, "GET", "/caught", ID "e" END ID "e" END), 400, NULL);
    routes_room_expect(routes_room_get(&room, "GET", "/caught", ID "ann" END NAME "N" END), 200,
                       "own");
}

static void a_conversion_asks_first(void **state) {
    char fields[300];
    (void)state;
    snprintf(fields, sizeof(fields), ROUTES_ROOM_UPGRADE ID "eve" END NAME "N" END);
    routes_room_expect(routes_room_get(&room, "GET", "/local", fields), NO_SUCH);
    routes_room_expect(routes_room_get(&room, "GET", "/join?name=X", fields), NO_SUCH);
    routes_room_hang_up(&room,
                        routes_room_upgrade(&room, "/local", ID "ann" END NAME "N" END, NULL));
    room.endpoint.at.auto_upgrade = true;
    routes_room_expect(routes_room_get(&room, "GET", "/any", fields), NO_SUCH);
    struct bytes head;
    int fd = routes_room_upgrade(&room, "/any", ID "ann" END NAME "N" END, &head);
    assert_true(bytes_equal_str(routes_room_field(head, "X-PODE-SIGNAL-NAME"), "/any"));
    routes_room_hang_up(&room, fd);
    room.endpoint.at.auto_upgrade = false;
}

static void what_nobody_registered_so_is_no_connection(void **state) {
    static const char *const values[] = {"", "x", "gw:1", "gw:x:1|"};
    const char *tag = partition_tag(partition_of(BYTES_LIT("N"), ROUTES_ROOM_PARTITIONS));
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct bus_room *b = &room.bus_room;
        if (values[i][0] != '\0')
            bus_room_ask(b, "HSET sb:{%s}:c:N odd %s", tag, values[i]);
        routes_room_expect(routes_room_get(&room, "GET", "/ask", ID "odd" END NAME "N" END),
                           NO_SUCH);
        bus_room_ask(b, "HDEL sb:{%s}:c:N odd", tag);
    }
}

/* ---- signed ids */

static void with_signing_an_id_has_to_be_signed(void **state) {
    static const char *const options[] = {"", ", strict = true"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        char text[1500], fields[300], id[100];
        snprintf(text, sizeof(text), "signalbox.signing { secret = 'a good secret'%s }\n%s",
                 options[i], app);
        routes_room_load(&room, text);
        struct bytes head;
        int fd = routes_room_upgrade(&room, "/join?name=S&id=sam", "User-Agent: one" END, &head);
        snprintf(id, sizeof(id), "%.*s",
                 BYTES_FMT(routes_room_field(head, "X-PODE-SIGNAL-CLIENT-ID")));
        snprintf(fields, sizeof(fields), "User-Agent: one" END ID "%s" END NAME "S" END, id);
        assert_int_equal(routes_room_status(routes_room_get(&room, "GET", "/ask", fields)), 200);
        snprintf(fields, sizeof(fields), "User-Agent: two" END ID "%s" END NAME "S" END, id);
        assert_int_equal(routes_room_status(routes_room_get(&room, "GET", "/ask", fields)),
                         i == 0 ? 200 : 400);
        /* of an unsigned one nothing is told but that it is not valid */
        routes_room_expect(routes_room_get(&room, "GET", "/ask", ID "ann" END NAME "N" END), 400,
                           "the X-PODE-SIGNAL-CLIENT-ID value is not valid\n");
        routes_room_hang_up(&room, fd);
    }
    routes_room_load(&room, app);
}

/* ---- what may happen meanwhile */

static void a_thousand_are_looked_up_at_a_time(void **state) {
    (void)state;
    room.routes.references = 1000;
    routes_room_expect(routes_room_get(&room, "GET", "/ask", ID "ann" END NAME "N" END), 503,
                       "too many signal connections are being looked up\n");
    room.routes.references = 999;
    routes_room_expect(routes_room_get(&room, "GET", "/ask", ID "ann" END NAME "N" END), 200, NULL);
    assert_int_equal(room.routes.references, 999);
    room.routes.references = 0;
}

static void the_client_may_leave_meanwhile(void **state) {
    (void)state;
    for (int is_encoded = 0; is_encoded <= 1; is_encoded++) {
        int fd = routes_room_connect(&room);
        kill(room.bus_room.redis.pid, SIGSTOP);
        routes_room_say(&room, fd,
                        is_encoded ? BYTES_LIT("GET /ask HTTP/1.1\r\nHost: h\r\n" ID "%41" END END)
                                   : BYTES_LIT("GET /ask HTTP/1.1\r\nHost: h\r\n" ID "a" END END));
        for (int i = 0; i < 100 && room.routes.references == 0; i++)
            bus_room_turn(&room.bus_room, 1);
        assert_int_equal(room.routes.references, 1);
        routes_room_hang_up(&room, fd);
        kill(room.bus_room.redis.pid, SIGCONT);
        for (int i = 0; i < 100 && room.routes.references > 0; i++)
            bus_room_turn(&room.bus_room, 1);
        assert_int_equal(room.routes.references, 0);
    }
}

static void redis_may_not_be_reached(void **state) {
    struct routes_room alone;
    (void)state;
    routes_room_init(&alone, app, WITHOUT_REDIS);
    struct bytes answer = routes_room_get(&alone, "GET", "/ask", ID "ann" END NAME "N" END);
    routes_room_expect(answer, 503, NULL);
    routes_room_expect(routes_room_get(&alone, "GET", "/ask", ID "ann" END), 503, NULL);
    routes_room_expect(routes_room_get(&alone, "GET", "/ask", ID "a%20b" END), 503, NULL);
    routes_room_deinit(&alone);
}

int main(void) {
    const struct CMUnitTest texts[] = {
        cmocka_unit_test(values_are_utf8_latin1_or_percent_encoded),
        cmocka_unit_test(any_of_the_groups_fits),
        cmocka_unit_test(groups_are_written_as_they_are_read),
    };
    const struct CMUnitTest connections[] = {
        cmocka_unit_test(the_headers_name_one_connection),
        cmocka_unit_test(texts_have_a_bound),
        cmocka_unit_test(the_longest_text_is_read_as_it_stands),
        cmocka_unit_test(only_who_asks_pays),
        cmocka_unit_test(a_conversion_asks_first),
        cmocka_unit_test(what_nobody_registered_so_is_no_connection),
        cmocka_unit_test(with_signing_an_id_has_to_be_signed),
        cmocka_unit_test(a_thousand_are_looked_up_at_a_time),
        cmocka_unit_test(the_client_may_leave_meanwhile),
        cmocka_unit_test(redis_may_not_be_reached),
    };
    int failed = cmocka_run_group_tests(texts, NULL, NULL);
    if (!redis_server_is_installed())
        return failed > 0 ? failed : 77;
    return failed + cmocka_run_group_tests(connections, open_room, close_room);
}
