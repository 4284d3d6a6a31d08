/*
 * fuzz_public_message.c - the JSON of a send or a close at the public entrances.
 *
 * Properties: what is refused has one line that says why; what an HTTP entrance admits, a broker
 * reads without a fault; a delivery that is written reads as the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/send/public_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct public_limits limits = {.max_bytes = 1000};

static void check_line(const struct buf *error, bool is_fine) {
    MUST((error->len == 0) == is_fine);
    MUST(error->len == 0 || memchr(error->ptr, '\n', error->len) == NULL);
}

static void check_written(const struct public_message *m) {
    struct buf text = {0}, again = {0}, error = {0};
    struct public_message second;
    struct delivery d = public_message_delivery(m, 1);
    (void)public_message_write(&text, &d);
    MUST(public_message_read(&second, buf_bytes(&text), m->op, &limits, &error) == PUBLIC_FINE);
    d = public_message_delivery(&second, 1);
    (void)public_message_write(&again, &d);
    MUST(bytes_equal(buf_bytes(&text), buf_bytes(&again)));
    public_message_deinit(&second);
    buf_deinit(&error);
    buf_deinit(&again);
    buf_deinit(&text);
}

static void check_read(enum public_op op, struct bytes text) {
    struct buf error = {0};
    struct public_message m;
    enum public_fault fault = public_message_read(&m, text, op, &limits, &error);
    check_line(&error, fault == PUBLIC_FINE);
    if (fault == PUBLIC_FINE && !m.is_nothing && !m.is_binary)
        check_written(&m);
    public_message_deinit(&m);
    buf_deinit(&error);
}

static void check_admitted(enum public_op op, struct bytes text) {
    struct buf out = {0}, error = {0};
    int status = public_message_admit(op, text, BYTES_NONE, &limits, &out, &error);
    MUST(status == 0 || status == 400 || status == 413);
    check_line(&error, status == 0);
    if (status == 0 && out.len > 0) {
        struct public_message m;
        MUST(public_message_read(&m, buf_bytes(&out), PUBLIC_OP_SEND, &limits, &error) ==
             PUBLIC_FINE);
        MUST(m.op == op);
        public_message_deinit(&m);
    }
    buf_deinit(&error);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of((const char *)data, size);
    for (enum public_op op = PUBLIC_OP_SEND; op <= PUBLIC_OP_CLOSE; op++) {
        check_read(op, text);
        check_admitted(op, text);
    }
    return 0;
}
