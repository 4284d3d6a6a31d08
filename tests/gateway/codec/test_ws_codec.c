/*
 * test_ws_codec.c - every rule of the decoder, under every way the bytes may arrive.
 *
 * A case is a list of frames (masked here) or raw bytes, and the trace expected of them: "text(a)
 * ping() !1002". Each runs in one piece, cut in two at every place, and byte by byte. Every piece
 * lies in memory of exactly its size, so that the address sanitizer sees each step beyond it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/close_reason.h"
#include "gateway/codec/ws_codec.h"

#define A5   "aaaaa"
#define A25  A5 A5 A5 A5 A5
#define A125 A25 A25 A25 A25 A25
#define RAW(text)                                                                                  \
    { "" text, sizeof(text) - 1 }

static const unsigned char key[4] = {0x37, 0xFA, 0x21, 0x3D};

/* Making client bytes and traces. */

static void add_frame(struct buf *wire, int first, struct bytes payload) {
    unsigned char header[WS_HEADER_OUT_MAX];
    size_t n = ws_frame_header(header, WS_TEXT, payload.len);
    header[0] = (unsigned char)first;
    header[1] |= 0x80;
    buf_append(wire, bytes_of(header, n));
    buf_append(wire, bytes_of(key, 4));
    for (size_t i = 0; i < payload.len; i++)
        buf_append_char(wire, (char)(payload.ptr[i] ^ key[i & 3]));
}

static void trace_bytes(struct buf *trace, struct bytes b) {
    if (b.len > 40) {
        buf_printf(trace, "%zu bytes", b.len);
        return;
    }
    for (size_t i = 0; i < b.len; i++)
        if (b.ptr[i] < ' ' || b.ptr[i] > '~')
            buf_printf(trace, "<%02x>", (unsigned char)b.ptr[i]);
        else
            buf_append_char(trace, b.ptr[i]);
}

static void trace_event(struct buf *trace, const struct ws_event *event) {
    static const char *const kinds[] = {"", "ping", "pong", "close"};
    buf_append_str(trace, trace->len > 0 ? " " : "");
    if (event->kind == WS_EVENT_MESSAGE)
        buf_printf(trace, "%s%s", event->is_compressed ? "compressed-" : "",
                   event->opcode == WS_TEXT ? "text" : "binary");
    else
        buf_append_str(trace, kinds[event->kind]);
    buf_append_char(trace, '(');
    if (event->has_code)
        buf_printf(trace, "%d,", event->code);
    trace_bytes(trace, event->payload);
    buf_append_char(trace, ')');
}

/* False when the decoder refused. */
static bool feed(struct ws_decoder *d, struct bytes piece, struct buf *trace) {
    char *block = mem_alloc(piece.len);
    if (piece.len > 0)
        memcpy(block, piece.ptr, piece.len);
    struct bytes in = bytes_of(block, piece.len);
    struct ws_event event;
    struct ws_error error = {0};
    enum parse result;
    while ((result = ws_decoder_next(d, &in, &event, &error)) == PARSE_OK)
        trace_event(trace, &event);
    if (result == PARSE_BAD) {
        assert_non_null(error.text);
        buf_printf(trace, "%s!%d", trace->len > 0 ? " " : "", error.close_code);
        enum parse again = ws_decoder_next(d, &in, &event, &error);
        assert_int_equal(again, PARSE_BAD);
    } else {
        assert_int_equal(in.len, 0);
        assert_true((d->is_in_payload && d->opcode >= WS_CLOSE) || d->control.ptr == NULL);
        assert_true(d->is_in_message || d->message.ptr == NULL);
    }
    free(block);
    return result == PARSE_MORE;
}

struct options {
    size_t max_bytes;
    bool allow_rsv1;
};

static void expect(const char *name, const char *got, const char *want, size_t cut) {
    if (strcmp(got, want) != 0)
        fail_msg("%s, cut %zu: got '%s', want '%s'", name, cut, got, want);
}

/* The wire in the pieces [0,cut) and [cut,end), or byte by byte where cut is beyond the end.
 * Returns bytes fed. */
static size_t run(struct bytes wire, size_t cut, struct options options, struct buf *trace) {
    struct ws_decoder d;
    size_t fed = 0;
    bool is_open = true;
    ws_decoder_init(&d, options.max_bytes);
    d.allow_rsv1 = options.allow_rsv1;
    if (cut <= wire.len) {
        is_open = feed(&d, bytes_head(wire, cut), trace);
        if (is_open)
            feed(&d, bytes_from(wire, cut), trace);
        fed = wire.len;
    }
    while (fed < wire.len && is_open)
        is_open = feed(&d, bytes_head(bytes_from(wire, fed++), 1), trace);
    ws_decoder_deinit(&d);
    buf_append_char(trace, '\0');
    return fed;
}

static size_t run_all_ways(const char *name, struct bytes wire, struct options options,
                           const char *want) {
    size_t fed = 0;
    for (size_t cut = 0; cut <= wire.len + 1; cut++) {
        struct buf trace = {0};
        fed = run(wire, cut, options, &trace);
        expect(name, trace.ptr, want, cut);
        buf_deinit(&trace);
    }
    return fed;
}

/* Sequences of frames. */

struct piece {
    int first; /* 0 ends the list: a continuation that is not last is 0x100 */
    struct bytes payload;
};
#define P(first, text)                                                                             \
    {                                                                                              \
        first, {                                                                                   \
            "" text, sizeof(text) - 1                                                              \
        }                                                                                          \
    }
#define CONT 0x100

static const struct {
    const char *name;
    struct piece pieces[7];
    const char *want;
} sequences[] = {
    {"text", {P(0x81, "hello")}, "text(hello)"},
    {"empty text", {P(0x81, "")}, "text()"},
    {"binary", {P(0x82, "\0\xFF\x80")}, "binary(<00><ff><80>)"},
    {"back to back", {P(0x81, "a"), P(0x82, "b"), P(0x81, "")}, "text(a) binary(b) text()"},
    {"125 bytes", {P(0x81, A125)}, "text(125 bytes)"},
    {"126 bytes", {P(0x81, A125 "b")}, "text(126 bytes)"},
    {"fragments", {P(0x01, "ab"), P(CONT, "cd"), P(0x80, "ef")}, "text(abcdef)"},
    {"empty fragments", {P(0x01, ""), P(CONT, ""), P(0x80, "")}, "text()"},
    {"empty first fragment", {P(0x02, ""), P(0x80, "x")}, "binary(x)"},
    {"empty last fragment", {P(0x02, "x"), P(0x80, "")}, "binary(x)"},
    {"fragments, then another", {P(0x01, "a"), P(0x80, "b"), P(0x82, "c")}, "text(ab) binary(c)"},
    {"ping", {P(0x89, "hi")}, "ping(hi)"},
    {"empty ping", {P(0x89, "")}, "ping()"},
    {"ping of 125", {P(0x89, A125)}, "ping(125 bytes)"},
    {"pings back to back",
     {P(0x89, "one"), P(0x89, "two"), P(0x8A, "three")},
     "ping(one) ping(two) pong(three)"},
    {"pong", {P(0x8A, "\xFF")}, "pong(<ff>)"},
    {"ping between fragments",
     {P(0x01, "ab"), P(0x89, "p"), P(CONT, "cd"), P(0x8A, "q"), P(0x80, "ef")},
     "ping(p) pong(q) text(abcdef)"},
    {"ping within a character",
     {P(0x01, "\xE2\x82"), P(0x89, "\xFF"), P(0x80, "\xAC")},
     "ping(<ff>) text(<e2><82><ac>)"},
    {"close between fragments", {P(0x01, "ab"), P(0x88, ""), P(0x80, "c")}, "close()"},
    {"close", {P(0x88, "\x03\xE8")}, "close(1000,)"},
    {"close without code", {P(0x88, "")}, "close()"},
    {"close with reason", {P(0x88, "\x03\xE9gone")}, "close(1001,gone)"},
    {"reason of 123",
     {P(0x88, "\x0F\xA0" A25 A25 A25 A25 A5 A5 A5 A5 "aaa")},
     "close(4000,123 bytes)"},
    {"nothing counts after close",
     {P(0x88, "\x03\xE8"), P(0x81, "x"), P(0xFF, "")},
     "close(1000,)"},
    {"close with half a code", {P(0x88, "\x03")}, "!1002"},
    {"close with bad reason", {P(0x88, "\x03\xE8\xC0\xAF")}, "!1007"},
    {"close with cut reason", {P(0x88, "\x03\xE8\xE2\x82")}, "!1007"},
    {"continuation first", {P(0x80, "a")}, "!1002"},
    {"continuation first, not last", {P(CONT, "a")}, "!1002"},
    {"continuation after whole message", {P(0x81, "a"), P(0x80, "b")}, "text(a) !1002"},
    {"text within fragments", {P(0x01, "a"), P(0x81, "b")}, "!1002"},
    {"binary within fragments", {P(0x01, "a"), P(0x02, "b")}, "!1002"},
    {"fragmented ping", {P(0x09, "a")}, "!1002"},
    {"fragmented pong", {P(0x0A, "a")}, "!1002"},
    {"fragmented close", {P(0x08, "\x03\xE8")}, "!1002"},
    {"ping of 126", {P(0x89, A125 "b")}, "!1002"},
    {"close of 126", {P(0x88, "\x03\xE8" A125)}, "!1002"},
    {"rsv1", {P(0xC1, "a")}, "!1002"},
    {"rsv2", {P(0xA1, "a")}, "!1002"},
    {"rsv3", {P(0x91, "a")}, "!1002"},
    {"rsv on ping", {P(0xC9, "a")}, "!1002"},
    {"rsv on second message", {P(0x81, "a"), P(0xD1, "a")}, "text(a) !1002"},
    {"opcode 3", {P(0x83, "a")}, "!1002"},
    {"opcode 7", {P(0x87, "")}, "!1002"},
    {"opcode 11", {P(0x8B, "")}, "!1002"},
    {"opcode 15", {P(0x8F, "a")}, "!1002"},
    {"text, umlauts", {P(0x81, "\xC3\xA4\xF0\x9F\x98\x80")}, "text(<c3><a4><f0><9f><98><80>)"},
    {"character over fragments",
     {P(0x01, "\xF0"), P(CONT, "\x9F\x98"), P(0x80, "\x80")},
     "text(<f0><9f><98><80>)"},
    {"bad text", {P(0x81, "a\xFFz")}, "!1007"},
    {"bad text, first fragment", {P(0x01, "a\xFF"), P(0x80, "b")}, "!1007"},
    {"bad text, last fragment", {P(0x01, "\xE2\x82"), P(0x80, "x")}, "!1007"},
    {"surrogate", {P(0x81, "\xED\xA0\x80")}, "!1007"},
    {"text cut in a character", {P(0x81, "a\xE2\x82")}, "!1007"},
    {"text cut, empty last fragment", {P(0x01, "\xE2\x82"), P(0x80, "")}, "!1007"},
    {"cut text does not reach the next",
     {P(0x82, "\xE2\x82"), P(0x81, "a")},
     "binary(<e2><82>) text(a)"},
    {"binary over fragments is not text", {P(0x02, "\xFF"), P(0x80, "\xFE")}, "binary(<ff><fe>)"},
};

static void build(const struct piece *pieces, struct buf *wire) {
    for (; pieces->first != 0; pieces++)
        add_frame(wire, pieces->first & 0xFF, pieces->payload);
}

static void test_sequences(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sequences); i++) {
        struct buf wire = {0};
        build(sequences[i].pieces, &wire);
        run_all_ways(sequences[i].name, buf_bytes(&wire), (struct options){1000, false},
                     sequences[i].want);
        buf_deinit(&wire);
    }
}

/* Errors show at the first byte that tells. */

static const struct {
    const char *name;
    struct bytes wire;
    const char *want;
    size_t at; /* bytes after which it shows; 0: it does not */
} raws[] = {
    {"no mask", RAW("\x81\x05hello"), "!1002", 2},
    {"no mask on ping", RAW("\x89\x00"), "!1002", 2},
    {"reserved opcode", RAW("\x83"), "!1002", 1},
    {"reserved bit", RAW("\xC1"), "!1002", 1},
    {"stray continuation", RAW("\x80"), "!1002", 1},
    {"fragmented ping", RAW("\x09"), "!1002", 1},
    {"long ping", RAW("\x89\xFE"), "!1002", 2},
    {"long ping, 64 bit", RAW("\x8A\xFF"), "!1002", 2},
    {"close of one", RAW("\x88\x81"), "!1002", 2},
    {"125 in 16 bit", RAW("\x81\xFE\x00\x7D"), "!1002", 4},
    {"0 in 16 bit", RAW("\x81\xFE\x00\x00"), "!1002", 4},
    {"126 in 16 bit", RAW("\x81\xFE\x00\x7E"), "", 0},
    {"65535 in 64 bit", RAW("\x82\xFF\0\0\0\0\0\0\xFF\xFF"), "!1002", 10},
    {"65536 in 64 bit is only long", RAW("\x82\xFF\0\0\0\0\0\1\0\0"), "!1009", 10},
    {"5 in 64 bit", RAW("\x82\xFF\0\0\0\0\0\0\0\x05"), "!1002", 10},
    {"top bit of 64", RAW("\x82\xFF\x80\0\0\0\0\0\0\0"), "!1002", 10},
    {"huge", RAW("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), "!1009", 10},
    {"1000 of 1000", RAW("\x82\xFE\x03\xE8"), "", 0},
    {"1001 of 1000", RAW("\x82\xFE\x03\xE9"), "!1009", 4},
    /* Key 0: the payload stands as it is. */
    {"sum of fragments", RAW("\x02\x82\0\0\0\0ab\x80\xFE\x03\xE7"), "!1009", 12},
    {"sum of fragments fits", RAW("\x02\x82\0\0\0\0ab\x80\xFE\x03\xE6"), "", 0},
    {"text fails before its frame ends", RAW("\x81\xFE\x03\xE8\0\0\0\0ab\xC0zzz"), "!1007", 11},
    {"overlong, at its second byte", RAW("\x81\x8A\0\0\0\0\xE0\x9F"), "!1007", 8},
    {"above U+10FFFF", RAW("\x81\x8A\0\0\0\0\xF4\x90"), "!1007", 8},
    {"control frames are not of the sum", RAW("\x89\x81\0\0\0\0p"), "ping(p)", 0},
};

static void test_raw(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(raws); i++) {
        size_t fed =
            run_all_ways(raws[i].name, raws[i].wire, (struct options){1000, false}, raws[i].want);
        assert_int_equal(fed, raws[i].at == 0 ? raws[i].wire.len : raws[i].at);
    }
}

static void test_limit_zero_allows_control_and_empty(void **state) {
    (void)state;
    struct buf wire = {0};
    add_frame(&wire, 0x89, BYTES_LIT("p"));
    add_frame(&wire, 0x81, BYTES_LIT(""));
    add_frame(&wire, 0x81, BYTES_LIT("x"));
    run_all_ways("limit 0", buf_bytes(&wire), (struct options){0, false}, "ping(p) text() !1009");
    buf_deinit(&wire);
}

static void test_close_codes(void **state) {
    (void)state;
    for (int code = 0; code <= 0xFFFF; code++) {
        bool is_valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                        (code >= 3000 && code <= 4999);
        char payload[2] = {(char)(code >> 8), (char)code};
        char want[32];
        struct buf wire = {0}, trace = {0};
        assert_int_equal(ws_close_code_is_valid(code), is_valid);
        add_frame(&wire, 0x88, bytes_of(payload, 2));
        run(buf_bytes(&wire), 0, (struct options){0, false}, &trace);
        snprintf(want, sizeof(want), is_valid ? "close(%d,)" : "!1002", code);
        expect("close code", trace.ptr, want, (size_t)code);
        buf_deinit(&wire);
        buf_deinit(&trace);
    }
}

static void test_close_reasons_are_sendable(void **state) {
    (void)state;
    assert_int_equal(CLOSE_TEXT_MAX, WS_REASON_MAX);
    for (int i = 0; i < CLOSE_REASON_COUNT; i++)
        if (i != CLOSE_LOST)
            assert_true(ws_close_code_is_valid(close_reason_code((enum close_reason)i)));
}

static const struct {
    const char *name;
    struct piece pieces[7];
    const char *want;
} rsv1_sequences[] = {
    {"plain", {P(0x81, "a")}, "text(a)"},
    {"compressed", {P(0xC1, "\xFF")}, "compressed-text(<ff>)"},
    {"compressed binary", {P(0xC2, "\xFF")}, "compressed-binary(<ff>)"},
    {"fragments", {P(0x41, "\xFF"), P(CONT, "\xE2"), P(0x80, "z")}, "compressed-text(<ff><e2>z)"},
    {"plain after compressed", {P(0xC1, "\xFF"), P(0x81, "\xFF")}, "compressed-text(<ff>) !1007"},
    {"on a continuation", {P(0x41, "a"), P(0xC0, "a")}, "!1002"},
    {"on a ping", {P(0xC9, "a")}, "!1002"},
    {"on a close", {P(0xC8, "")}, "!1002"},
    {"with rsv2", {P(0xE1, "a")}, "!1002"},
};

static void test_rsv1_seam(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rsv1_sequences); i++) {
        struct buf wire = {0};
        build(rsv1_sequences[i].pieces, &wire);
        run_all_ways(rsv1_sequences[i].name, buf_bytes(&wire), (struct options){1000, true},
                     rsv1_sequences[i].want);
        buf_deinit(&wire);
    }
}

/* On its way a compressed message may be an eighth longer than what comes out of it, and 64 bytes. */
static void test_compressed_limit(void **state) {
    static const size_t limit = 800, most = 800 + 100 + 64;
    (void)state;
    for (size_t more = 0; more < 2; more++)
        for (size_t first = 0; first <= most; first += most / 4) {
            struct buf wire = {0}, payload = {0};
            char want[64];
            while (payload.len < most + more)
                buf_append_char(&payload, '\xff');
            if (first > 0)
                add_frame(&wire, 0x42, bytes_head(buf_bytes(&payload), first));
            add_frame(&wire, first > 0 ? 0x80 : 0xC2, bytes_from(buf_bytes(&payload), first));
            add_frame(&wire, 0x82, BYTES_LIT("plain"));
            snprintf(want, sizeof(want), "compressed-binary(%zu bytes) binary(plain)", most);
            run_all_ways("compressed limit", buf_bytes(&wire), (struct options){limit, true},
                         more == 0 ? want : "!1009");
            buf_deinit(&wire);
            buf_deinit(&payload);
        }
}

/* Memory. */

/* Whether it came within one read or not. */
static void test_a_payload_can_be_taken(void **state) {
    (void)state;
    for (size_t cut = 0; cut < 2; cut++) {
        struct buf wire = {0};
        struct ws_decoder d;
        struct ws_event event;
        struct ws_error error;
        add_frame(&wire, 0x01, BYTES_LIT("hel"));
        add_frame(&wire, 0x80, BYTES_LIT("lo"));
        if (cut == 0) {
            buf_clear(&wire);
            add_frame(&wire, 0x81, BYTES_LIT("hello"));
        }
        struct bytes in = buf_bytes(&wire);
        ws_decoder_init(&d, 1000);
        assert_int_equal(ws_decoder_next(&d, &in, &event, &error), PARSE_OK);
        struct buf taken = ws_decoder_take(&d, event.payload);
        assert_null(d.message.ptr);
        memset(wire.ptr, 'x', wire.len);
        assert_int_equal(ws_decoder_next(&d, &in, &event, &error), PARSE_MORE);
        assert_true(bytes_equal(buf_bytes(&taken), BYTES_LIT("hello")));
        buf_deinit(&taken);
        buf_deinit(&wire);
        ws_decoder_deinit(&d);
    }
}

static enum parse next(struct ws_decoder *d, struct bytes *in, struct ws_event *event) {
    struct ws_error error;
    return ws_decoder_next(d, in, event, &error);
}

static void test_whole_frames_are_slices(void **state) {
    (void)state;
    struct buf wire = {0};
    struct ws_decoder d;
    struct ws_event event;
    add_frame(&wire, 0x81, BYTES_LIT("hello"));
    add_frame(&wire, 0x89, BYTES_LIT("ping"));
    struct bytes in = bytes_head(buf_bytes(&wire), 6);
    ws_decoder_init(&d, 1000);
    assert_int_equal(next(&d, &in, &event), PARSE_MORE);
    in = bytes_from(buf_bytes(&wire), 6);
    assert_int_equal(next(&d, &in, &event), PARSE_OK);
    assert_ptr_equal(event.payload.ptr, wire.ptr + 6);
    assert_int_equal(next(&d, &in, &event), PARSE_OK);
    assert_ptr_equal(event.payload.ptr, wire.ptr + 6 + 5 + 6);
    assert_int_equal(next(&d, &in, &event), PARSE_MORE);
    assert_null(d.message.ptr);
    assert_null(d.control.ptr);
    ws_decoder_deinit(&d);
    buf_deinit(&wire);
}

static void test_claimed_length_is_not_allocated(void **state) {
    (void)state;
    char wire[] = "\x82\xFF\0\0\0\0\x40\0\0\0\1\2\3\4abcdefgh";
    struct bytes in = bytes_of(wire, sizeof(wire) - 1);
    struct ws_decoder d;
    struct ws_event event;
    ws_decoder_init(&d, SIZE_MAX);
    assert_int_equal(next(&d, &in, &event), PARSE_MORE);
    assert_int_equal(d.message.len, 8);
    assert_true(d.message.cap <= 4096);
    ws_decoder_deinit(&d);
}

static void test_unfinished_is_freed(void **state) {
    (void)state;
    char wire[] = "\x01\x82\0\0\0\0ab\x89\x84\0\0\0\0cd";
    struct bytes in = bytes_of(wire, sizeof(wire) - 1);
    struct ws_decoder d;
    struct ws_event event;
    ws_decoder_init(&d, 100);
    assert_int_equal(next(&d, &in, &event), PARSE_MORE);
    assert_int_equal(d.message.len, 2);
    assert_int_equal(d.control.len, 2);
    ws_decoder_deinit(&d);
}

/* Every length and alignment of the unmasking, and big messages. */

static void fill(char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        p[i] = (char)(i * 31 + (i >> 8));
}

static void test_unmask_every_phase(void **state) {
    (void)state;
    char content[64];
    fill(content, sizeof(content));
    for (size_t len = 0; len <= sizeof(content); len++) {
        for (size_t cut = 0; cut <= len; cut++) {
            struct buf wire = {0};
            struct ws_decoder d;
            struct ws_event event;
            add_frame(&wire, 0x82, bytes_of(content, len));
            ws_decoder_init(&d, sizeof(content));
            struct bytes first = bytes_head(buf_bytes(&wire), 6 + cut);
            struct bytes second = bytes_from(buf_bytes(&wire), 6 + cut);
            enum parse result = next(&d, &first, &event);
            if (result == PARSE_MORE)
                result = next(&d, &second, &event);
            assert_int_equal(result, PARSE_OK);
            assert_true(bytes_equal(event.payload, bytes_of(content, len)));
            ws_decoder_deinit(&d);
            buf_deinit(&wire);
        }
    }
}

static void expect_big(struct buf *wire, struct bytes content) {
    struct ws_decoder d;
    struct ws_event event;
    size_t at = 0, events = 0;
    unsigned seed = 12345;
    ws_decoder_init(&d, content.len);
    while (at < wire->len) {
        seed = seed * 1103515245 + 12345;
        struct bytes piece = bytes_head(bytes_from(buf_bytes(wire), at), 1 + (seed >> 16) % 65521);
        at += piece.len;
        while (next(&d, &piece, &event) == PARSE_OK) {
            events++;
            assert_true(bytes_equal(event.payload, content));
        }
        assert_int_equal(piece.len, 0);
    }
    assert_int_equal(events, 1);
    assert_null(d.message.ptr);
    ws_decoder_deinit(&d);
}

static void test_16_mib(void **state) {
    (void)state;
    struct buf content = {0}, wire = {0};
    size_t size = 16 * 1024 * 1024;
    while (content.len < size)
        buf_append(&content, BYTES_LIT("sixteen \xE2\x82\xAC mebi\xC3\xA4 "));
    content.len = utf8_head(buf_bytes(&content), size).len;
    add_frame(&wire, 0x81, buf_bytes(&content));
    expect_big(&wire, buf_bytes(&content));
    buf_clear(&wire);
    for (size_t at = 0; at < content.len; at += 999983)
        add_frame(&wire, (at == 0 ? 1 : 0) | (at + 999983 >= content.len ? 0x80 : 0),
                  bytes_head(bytes_from(buf_bytes(&content), at), 999983));
    expect_big(&wire, buf_bytes(&content));
    buf_deinit(&content);
    buf_deinit(&wire);
}

/* Encoding. */

static void test_frame_header(void **state) {
    (void)state;
    static const struct {
        size_t len;
        struct bytes want;
    } cases[] = {
        {0, RAW("\x81\x00")},
        {125, RAW("\x81\x7D")},
        {126, RAW("\x81\x7E\x00\x7E")},
        {65535, RAW("\x81\x7E\xFF\xFF")},
        {65536, RAW("\x81\x7F\0\0\0\0\0\1\0\0")},
        {0x12345678, RAW("\x81\x7F\0\0\0\0\x12\x34\x56\x78")},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned char out[WS_HEADER_OUT_MAX];
        size_t n = ws_frame_header(out, WS_TEXT, cases[i].len);
        assert_true(bytes_equal(bytes_of(out, n), cases[i].want));
    }
}

static void test_encode(void **state) {
    (void)state;
    struct buf out = {0};
    ws_encode_message(&out, WS_BINARY, BYTES_LIT("ab"));
    ws_encode_message(&out, WS_PONG, BYTES_NONE);
    assert_true(bytes_equal(buf_bytes(&out), BYTES_LIT("\x82\x02"
                                                       "ab\x8A\x00")));
    buf_deinit(&out);
}

static void test_encode_close(void **state) {
    (void)state;
    static const struct {
        int code;
        struct bytes reason;
        struct bytes want_head;
        size_t want_len;
    } cases[] = {
        {0, RAW("ignored"), RAW("\x88\x00"), 2},
        {1000, RAW(""), RAW("\x88\x02\x03\xE8"), 4},
        {4002, RAW("slow"), RAW("\x88\x06\x0F\xA2slow"), 8},
        {1000, RAW(A125), RAW("\x88\x7D\x03\xE8" A25), 127},
        /* 122 bytes of ASCII, then a character of two: it does not fit in 123. */
        {1000, RAW(A25 A25 A25 A25 A5 A5 A5 A5 "aa\xC3\xA4"), RAW("\x88\x7C\x03\xE8"), 126},
        {1000, RAW("ok\xFFno"), RAW("\x88\x04\x03\xE8ok"), 6},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        ws_encode_close(&out, cases[i].code, cases[i].reason);
        assert_int_equal(out.len, cases[i].want_len);
        assert_true(bytes_starts_with(buf_bytes(&out), cases[i].want_head));
        buf_deinit(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_limit_zero_allows_control_and_empty),
        cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_close_reasons_are_sendable),
        cmocka_unit_test(test_rsv1_seam),
        cmocka_unit_test(test_compressed_limit),
        cmocka_unit_test(test_a_payload_can_be_taken),
        cmocka_unit_test(test_whole_frames_are_slices),
        cmocka_unit_test(test_claimed_length_is_not_allocated),
        cmocka_unit_test(test_unfinished_is_freed),
        cmocka_unit_test(test_unmask_every_phase),
        cmocka_unit_test(test_16_mib),
        cmocka_unit_test(test_frame_header),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_encode_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
