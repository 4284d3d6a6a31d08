/* send_receipts.c - publishes once the reports can be heard; with --wait prints them. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/receipts.h"
#include "tools/send.h"
#include "tools/verb.h"

static struct receipt sum_of(const struct gateway_receipt *rows, size_t count) {
    struct receipt sum = {0};
    for (size_t i = 0; i < count; i++) {
        sum.matched += rows[i].receipt.matched;
        sum.written += rows[i].receipt.written;
        sum.queued += rows[i].receipt.queued;
        sum.dropped += rows[i].receipt.dropped;
    }
    return sum;
}

static void print_counts(const struct receipt *r) {
    printf("\"matched\":%zu,\"written\":%zu,\"queued\":%zu,\"dropped\":%zu", r->matched, r->written,
           r->queued, r->dropped);
}

static void print_json(const struct send *s, const struct gateway_receipt *rows, size_t count) {
    struct receipt sum = sum_of(rows, count);
    putchar('{');
    send_print_ids(s);
    putchar(',');
    print_counts(&sum);
    printf(",\"gateways\":[");
    for (size_t i = 0; i < count; i++) {
        printf("%s{\"id\":\"%s\",", i > 0 ? "," : "", rows[i].gateway);
        print_counts(&rows[i].receipt);
        putchar('}');
    }
    puts("]}");
}

static void print_text(const struct gateway_receipt *rows, size_t count) {
    struct receipt sum = sum_of(rows, count);
    if (sum.matched == 0) {
        puts("nobody was connected");
        return;
    }
    for (size_t i = 0; i < count; i++)
        printf("gateway %s  matched %zu  written %zu  queued %zu  dropped %zu\n", rows[i].gateway,
               rows[i].receipt.matched, rows[i].receipt.written, rows[i].receipt.queued,
               rows[i].receipt.dropped);
    if (count > 1)
        printf("together                  matched %zu  written %zu  queued %zu  dropped %zu\n",
               sum.matched, sum.written, sum.queued, sum.dropped);
}

static void on_listening(void *ctx) {
    struct send *s = ctx;
    if (s->entry[0] == '\0')
        send_text_start(s);
}

static void on_end(void *ctx, const struct gateway_receipt *rows, size_t count) {
    struct send *s = ctx;
    s->receipts = NULL;
    if (s->tool->is_json)
        print_json(s, rows, count);
    else
        print_text(rows, count);
    tool_end(s->tool, sum_of(rows, count).matched > 0 ? TOOL_OK : TOOL_NOBODY);
}

void send_receipts_start(struct send *s) {
    static const struct receipts_events events = {on_listening, send_on_id, on_end};
    const char *reporting = s->wait_ms > 0 ? s->name : NULL;
    s->receipts = receipts_listen(s->tool, reporting, &events, s);
}
