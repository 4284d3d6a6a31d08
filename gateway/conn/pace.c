/* pace.c - see pace.h. */
#include "gateway/conn/pace.h"

#include "common/base/settings.h"
#include "gateway/conn/peers.h"

void pace_init(struct pace *p, const struct settings *settings, bool is_local) {
    *p = (struct pace){
        .settings = settings,
        .spares_messages = peers_is_spared(settings, &settings->max_messages_per_second, is_local),
        .spares_bytes =
            peers_is_spared(settings, &settings->max_message_bytes_per_second, is_local)};
}

uint64_t pace_take(struct pace *p, uint64_t now_ms, size_t bytes) {
    const struct settings *s = p->settings;
    uint64_t wait_us = 0, wait_bytes_us = 0;
    if (s->max_messages_per_second > 0 && !p->spares_messages)
        wait_us = rate_take(&p->messages, now_ms * 1000, (uint64_t)s->max_messages_per_second);
    if (s->max_message_bytes_per_second > 0 && !p->spares_bytes)
        wait_bytes_us = rate_take_bytes(&p->bytes, now_ms * 1000, bytes,
                                        (uint64_t)s->max_message_bytes_per_second);
    if (wait_us < wait_bytes_us)
        wait_us = wait_bytes_us;
    if (wait_us == 0)
        p->over_ms = 0;
    else if (p->over_ms == 0)
        p->over_ms = now_ms;
    return (wait_us + 999) / 1000;
}

bool pace_is_exhausted(const struct pace *p, uint64_t now_ms) {
    uint64_t patience_ms = (uint64_t)p->settings->rate_patience_ms;
    return patience_ms > 0 && p->over_ms != 0 && now_ms - p->over_ms > patience_ms;
}

void pace_unread(struct pace *p, uint64_t ms) {
    rate_unread(&p->messages, ms * 1000);
    rate_unread(&p->bytes, ms * 1000);
}
