/* Where an id stands among the terms of a data set. */
#include "common/bus/log/lineage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/must.h"

static struct redisReply text_reply(const char *text) {
    return (struct redisReply){.type = text != NULL ? REDIS_REPLY_STRING : REDIS_REPLY_NIL,
                               .str = (char *)text,
                               .len = text != NULL ? strlen(text) : 0};
}

static struct lineage read_lineage(const char *term, const char *last, const char *terms) {
    struct redisReply parts[] = {text_reply(term), text_reply(last), text_reply(terms),
                                 text_reply(NULL)};
    struct redisReply *elements[] = {&parts[0], &parts[1], &parts[2], &parts[3]};
    struct redisReply whole = {.type = REDIS_REPLY_ARRAY, .elements = 4, .element = elements};
    struct lineage l;
    assert_true(lineage_read(&l, &whole));
    return l;
}

static struct message_id id_of(const char *text) {
    struct message_id id;
    assert_true(message_id_parse(bytes_str(text), &id));
    return id;
}

static const char all[] = "0 10 20<10-9 30<20-5", latest[] = "20<10-9 30<20-5";

static void finds_a_place(void **state) {
    (void)state;
    static const struct {
        const char *terms, *id;
        enum lineage_place place;
        const char *up_to;
    } rows[] = {
        {all, "30-1", LINEAGE_WITHIN, ""},
        {all, "30-99", LINEAGE_WITHIN, ""},
        {all, "20-7", LINEAGE_WITHIN, ""},
        {all, "5-1", LINEAGE_WITHIN, ""}, /* before everything */
        {all, "31-1", LINEAGE_ELSEWHERE, "30-4"},
        {all, "25-1", LINEAGE_ELSEWHERE, "20-5"},
        {all, "15-1", LINEAGE_ELSEWHERE, "10-9"},
        {latest, "15-1", LINEAGE_UNKNOWN, ""},
        {latest, "20-1", LINEAGE_WITHIN, ""},
        {latest, "25-1", LINEAGE_ELSEWHERE, "20-5"},
        {NULL, "25-1", LINEAGE_UNKNOWN, ""},
        {NULL, "30-1", LINEAGE_WITHIN, ""},
        {NULL, "31-1", LINEAGE_ELSEWHERE, "30-4"},
        {"0 10 20", "25-1", LINEAGE_UNKNOWN, ""},    /* an older broker took 30 */
        {"0 20 10 30", "25-1", LINEAGE_UNKNOWN, ""}, /* nonsense */
        {"0 x 30", "25-1", LINEAGE_UNKNOWN, ""},
        {"0 20<x 30", "25-1", LINEAGE_UNKNOWN, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lineage l = read_lineage("30", "30-4", rows[i].terms);
        enum lineage_place place = lineage_find(&l, id_of(rows[i].id));
        if (place != rows[i].place)
            fail_msg("%s in %s: %d", rows[i].id, rows[i].terms, place);
        if (place == LINEAGE_ELSEWHERE)
            assert_int_equal(
                message_id_compare(lineage_up_to(&l, id_of(rows[i].id)), id_of(rows[i].up_to)), 0);
    }
}

static void knows_what_was_appended(void **state) {
    (void)state;
    static const struct {
        const char *id;
        bool is_there;
    } rows[] = {
        {"30-4", true},  {"30-5", false}, {"30-0", true}, {"20-5", true},
        {"20-6", false}, {"10-9", true},  {"10-1", true}, {"10-10", false},
        {"15-1", false}, {"40-1", false}, {"5-1", false}, {"0-0", true},
    };
    struct lineage l = read_lineage("30", "30-4", all), none = read_lineage(NULL, NULL, NULL),
                   silent = read_lineage("30", "20-5", all);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (lineage_contains(&l, id_of(rows[i].id)) != rows[i].is_there)
            fail_msg("%s", rows[i].id);
    assert_false(none.has_owner || lineage_contains(&none, id_of("1-1")));
    assert_true(lineage_contains(&silent, id_of("20-5")));
    assert_false(lineage_contains(&silent, id_of("20-6")));
    assert_false(lineage_contains(&silent, id_of("30-1")));
}

static void no_more_terms_than_fit(void **state) {
    (void)state;
    char terms[2000] = "0";
    for (unsigned i = 1; i <= LINEAGE_TERMS + 5; i++)
        snprintf(terms + strlen(terms), 16, " %u", i);
    struct lineage l = read_lineage("37", "37-1", terms);
    assert_int_equal(l.count, 0);
    char most[2000] = "1";
    enum { FIT = ARRAY_LEN(((struct lineage *)0)->terms) };
    for (unsigned i = 2; i <= FIT; i++)
        snprintf(most + strlen(most), 16, " %u", i);
    char term[8];
    snprintf(term, sizeof(term), "%d", FIT);
    assert_int_equal(read_lineage(term, NULL, most).count, FIT);
    snprintf(most + strlen(most), 16, " %u", FIT + 1);
    snprintf(term, sizeof(term), "%d", FIT + 1);
    assert_int_equal(read_lineage(term, NULL, most).count, 0);
}

/* Who took a term twice, fell back, or took none that is written, left no lineage. */
static void terms_must_rise_and_end_with_the_one_that_is_held(void **state) {
    static const struct {
        const char *terms;
        size_t count;
    } rows[] = {{"30", 1},      {"29 30", 2},  {"0 30<29-7", 2},    {"30 30", 0},
                {"31 30", 0},   {"30 31", 0},  {"29", 0},           {"", 0},
                {"29  30", 0},  {"29 30 ", 2}, {"x<1-1 30", 0},     {"<1-1 30", 0},
                {"29<1 30", 0}, {"29< 30", 2}, {"29<1-1<2-2 30", 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lineage l = read_lineage("30", "30-4", rows[i].terms);
        if (l.count != rows[i].count)
            fail_msg("'%s': %zu terms", rows[i].terms, (size_t)l.count);
        assert_true(l.has_owner && l.term == 30 && l.last.seq == 4);
    }
}

static void without_an_output_a_term_begins_at_its_beginning(void **state) {
    (void)state;
    struct lineage l = read_lineage("30", NULL, all), bad = read_lineage("30", "x", all),
                   none = read_lineage("x", "30-4", all);
    assert_true(l.last.term == 30 && l.last.seq == 0);
    assert_true(bad.last.term == 30 && bad.last.seq == 0);
    assert_false(none.has_owner);
    assert_true(lineage_is_strange(&l, id_of("31-0")));
    assert_false(lineage_is_strange(&l, id_of("30-99")));
    assert_false(lineage_is_strange(&l, id_of("29-1")));
    assert_false(lineage_is_strange(&none, id_of("31-1"))); /* nobody knows */
    assert_true(lineage_contains(&none, id_of("31-0")));
    assert_false(lineage_contains(&none, id_of("1-1")));
}

/* An answer that has not as many parts as were asked for is none. */
static void what_is_no_answer(void **state) {
    struct redisReply part = text_reply("30");
    struct redisReply *elements[] = {&part, &part, &part, &part, &part};
    struct lineage l;
    (void)state;
    assert_false(lineage_read(&l, NULL));
    for (size_t count = 0; count <= 5; count++) {
        struct redisReply whole = {
            .type = REDIS_REPLY_ARRAY, .elements = count, .element = elements};
        assert_int_equal(lineage_read(&l, &whole), count == 4);
        if (count != 4)
            assert_false(l.has_owner);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_place),
        cmocka_unit_test(knows_what_was_appended),
        cmocka_unit_test(terms_must_rise_and_end_with_the_one_that_is_held),
        cmocka_unit_test(without_an_output_a_term_begins_at_its_beginning),
        cmocka_unit_test(what_is_no_answer),
        cmocka_unit_test(no_more_terms_than_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
