/* cron.c - see cron.h. A text becomes five sets of bits; a tick is a minute whose fields are all in
 * their sets. */
#include "common/app/registrations/cron.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/base/must.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, YEARS_AHEAD = 8 };

struct field {
    const char *what;
    unsigned lowest, highest;
    const char *const *names; /* names[0] is `lowest` */
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
static const struct field fields[] = {{"minute", 0, 59, NULL},
                                      {"hour", 0, 23, NULL},
                                      {"day of month", 1, 31, NULL},
                                      {"month", 1, 12, month_names},
                                      {"day of week", 0, 7, day_names}};
static const struct {
    const char *name, *text;
} shorthands[] = {{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
                  {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
                  {"@hourly", "0 * * * *"}, {"@minutely", "* * * * *"}};

static bool read_value(const struct field *f, struct bytes text, unsigned *value_out) {
    uint64_t number;
    for (unsigned i = 0; f->names != NULL && f->names[i] != NULL; i++)
        if (bytes_equal_nocase(text, bytes_str(f->names[i]))) {
            *value_out = f->lowest + i;
            return true;
        }
    if (!bytes_to_u64(text, &number) || number < f->lowest || number > f->highest)
        return false;
    *value_out = (unsigned)number;
    return true;
}

/* "5", "1-5", "*", each with an optional step, into bits. */
static bool read_part(const struct field *f, struct bytes part, uint64_t *bits) {
    struct bytes step_text = part;
    struct bytes range = bytes_split(&step_text, '/');
    bool has_step = step_text.ptr != NULL;
    uint64_t step = 1;
    unsigned from = f->lowest, to = f->highest;
    if (has_step && (!bytes_to_u64(step_text, &step) || step == 0 || step > f->highest))
        return false;
    if (!bytes_equal(range, BYTES_LIT("*"))) {
        struct bytes last = range;
        struct bytes first = bytes_split(&last, '-');
        if (!read_value(f, first, &from))
            return false;
        if (last.ptr != NULL) {
            if (!read_value(f, last, &to) || to < from)
                return false;
        } else if (!has_step) {
            to = from;
        }
    }
    for (unsigned v = from; v <= to; v += (unsigned)step)
        *bits |= (uint64_t)1 << v;
    return true;
}

/* In quotes, on one line. */
static const char *shown(struct bytes text) {
    return LOG_TEXT(bytes_head(text, 20));
}

static bool read_field(const struct field *f, struct bytes text, uint64_t *bits_out,
                       char error_out[160]) {
    *bits_out = 0;
    struct bytes rest = text;
    do {
        struct bytes part = bytes_split(&rest, ',');
        if (part.len == 0 || !read_part(f, part, bits_out)) {
            snprintf(error_out, 160, "cron: %s is no %s (%u to %u)", shown(text), f->what,
                     f->lowest, f->highest);
            return false;
        }
    } while (rest.ptr != NULL);
    return true;
}

static struct bytes next_word(struct bytes *rest) {
    *rest = bytes_trim(*rest);
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != ' ' && rest->ptr[len] != '\t')
        len++;
    struct bytes word = bytes_head(*rest, len);
    *rest = bytes_from(*rest, len);
    return word;
}

bool cron_parse(struct cron *c_out, const char *text, char error_out[160]) {
    uint64_t bits[ARRAY_LEN(fields)] = {0};
    struct bytes words[ARRAY_LEN(fields)];
    if (*text == '@') {
        size_t i = 0;
        while (i < ARRAY_LEN(shorthands) && strcasecmp(shorthands[i].name, text) != 0)
            i++;
        if (i == ARRAY_LEN(shorthands)) {
            snprintf(error_out, 160,
                     "cron: %s is none of @yearly @monthly @weekly @daily @hourly @minutely",
                     shown(bytes_str(text)));
            return false;
        }
        text = shorthands[i].text;
    }
    struct bytes rest = bytes_str(text);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        words[i] = next_word(&rest);
        if (words[i].len > 0 && !read_field(&fields[i], words[i], &bits[i], error_out))
            return false;
    }
    if (words[ARRAY_LEN(fields) - 1].len == 0 || bytes_trim(rest).len > 0) {
        snprintf(error_out, 160, "cron: %s must have five fields", shown(bytes_str(text)));
        return false;
    }
    *c_out = (struct cron){.minutes = bits[0],
                           .hours = (uint32_t)bits[1],
                           .days = (uint32_t)bits[2],
                           .months = (uint32_t)bits[3]};
    c_out->weekdays = (uint8_t)((bits[4] & 0x7f) | (bits[4] >> 7 & 1));
    c_out->any_day = words[2].ptr[0] == '*';
    c_out->any_weekday = words[4].ptr[0] == '*';
    return true;
}

static bool is_day(const struct cron *c, const struct tm *t) {
    bool day = c->days >> t->tm_mday & 1, weekday = c->weekdays >> t->tm_wday & 1;
    if (!(c->months >> (t->tm_mon + 1) & 1))
        return false;
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

static bool is_tick(const struct cron *c, const struct tm *t) {
    return is_day(c, t) && (c->hours >> t->tm_hour & 1) && (c->minutes >> t->tm_min & 1);
}

time_t cron_next(const struct cron *c, time_t after) {
    time_t at = after - after % MINUTE + MINUTE, end = after + (time_t)YEARS_AHEAD * 366 * DAY;
    while (at < end) {
        struct tm t;
        gmtime_r(&at, &t);
        if (is_tick(c, &t))
            return at;
        if (!is_day(c, &t))
            at += DAY - at % DAY;
        else if (!(c->hours >> t.tm_hour & 1))
            at += HOUR - at % HOUR;
        else
            at += MINUTE;
    }
    return -1;
}

time_t cron_last(const struct cron *c, time_t until, int within_seconds) {
    for (time_t at = until - until % MINUTE; at > until - within_seconds; at -= MINUTE) {
        struct tm t;
        gmtime_r(&at, &t);
        if (is_tick(c, &t))
            return at;
    }
    return -1;
}
