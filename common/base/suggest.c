/* suggest.c - see suggest.h. */
#include "common/base/suggest.h"

#include <stdio.h>
#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Insertions, deletions, other letters and swapped neighbours; three rows of the usual table:
 *
 *              b[0 … j]
 *     a[i-2]   before_last
 *     a[i-1]   last
 *     a[i]     row
 */
static size_t distance(const char *a, const char *b) {
    size_t rows[3][SUGGEST_WORD_MAX + 1], *before_last = rows[0], *last = rows[1], *row = rows[2];
    size_t len_a = strlen(a), len_b = strlen(b);
    for (size_t j = 0; j <= len_b; j++)
        last[j] = before_last[j] = j;
    for (size_t i = 1; i <= len_a; i++) {
        row[0] = i;
        for (size_t j = 1; j <= len_b; j++) {
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before_last[j - 2] + 1);
        }
        size_t *spare = before_last;
        before_last = last;
        last = row;
        row = spare;
    }
    return last[len_b];
}

void suggestion_init(struct suggestion *s, const char *word) {
    *s = (struct suggestion){.word = word, .distance = SIZE_MAX};
}

/* A third of the word may be wrong, one letter of a short one. */
void suggestion_offer(struct suggestion *s, const char *known) {
    size_t len = strlen(s->word), allowed = len < 4 ? 1 : len / 3;
    if (len == 0 || len > SUGGEST_WORD_MAX || strlen(known) > SUGGEST_WORD_MAX)
        return;
    size_t d = distance(s->word, known);
    if (d > allowed || d >= s->distance)
        return;
    s->distance = d;
    snprintf(s->best, sizeof(s->best), "%s", known);
}

const char *suggestion_best(const struct suggestion *s) {
    return s->distance == SIZE_MAX ? NULL : s->best;
}
