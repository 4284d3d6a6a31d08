/*
 * suggest.h - which known word a mistyped one was meant to be.
 *
 *     struct suggestion s;
 *     suggestion_init(&s, "snd");
 *     suggestion_offer(&s, "send");  …each word that is known
 *     suggestion_best(&s)            "send", or NULL when none is near
 */
#ifndef SIGNALBOX_BASE_SUGGEST_H
#define SIGNALBOX_BASE_SUGGEST_H

#include <stddef.h>

enum { SUGGEST_WORD_MAX = 63 };

struct suggestion {
    const char *word; /* borrowed */
    size_t distance;  /* of the best */
    char best[SUGGEST_WORD_MAX + 1];
};

void suggestion_init(struct suggestion *s, const char *word);
/* The nearest counts, of several the first. Words longer than SUGGEST_WORD_MAX never do. */
void suggestion_offer(struct suggestion *s, const char *known);
const char *suggestion_best(const struct suggestion *s);

#endif
