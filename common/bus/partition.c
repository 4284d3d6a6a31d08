/* partition.c - see partition.h. */
#include "common/bus/partition.h"

#include <stdio.h>
#include <string.h>

enum { SLOTS = 16384, TAG_TEXT = 8 };

static char tags[PARTITIONS_MAX][TAG_TEXT];
static unsigned tag_count;

unsigned partition_crc16(struct bytes data) {
    unsigned crc = 0;
    for (size_t i = 0; i < data.len; i++) {
        crc ^= (unsigned)(unsigned char)data.ptr[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
        crc &= 0xffff;
    }
    return crc;
}

unsigned partition_of(struct bytes name, unsigned partitions) {
    return partition_crc16(name) % partitions;
}

static void base36(unsigned n, char out[TAG_TEXT]) {
    char reversed[TAG_TEXT];
    size_t len = 0;
    do {
        reversed[len++] = "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36];
        n /= 36;
    } while (n > 0 && len < TAG_TEXT - 1);
    for (size_t i = 0; i < len; i++)
        out[i] = reversed[len - 1 - i];
    out[len] = '\0';
}

void partition_init(unsigned partitions) {
    MUST(partitions >= 1 && partitions <= PARTITIONS_MAX);
    memset(tags, 0, sizeof(tags));
    tag_count = partitions;
    unsigned missing = partitions;
    for (unsigned n = 0; missing > 0; n++) {
        char text[TAG_TEXT];
        base36(n, text);
        unsigned bucket = partition_crc16(bytes_str(text)) % SLOTS * partitions / SLOTS;
        if (tags[bucket][0] == '\0') {
            memcpy(tags[bucket], text, TAG_TEXT);
            missing--;
        }
    }
}

const char *partition_tag(unsigned partition) {
    MUST(partition < tag_count);
    return tags[partition];
}

struct bytes key_of(struct buf *out, unsigned partition, const char *what, struct bytes tail) {
    buf_clear(out);
    buf_append_str(out, "sb:{");
    buf_append_str(out, partition_tag(partition));
    buf_append_str(out, "}:");
    buf_append_str(out, what);
    buf_append(out, tail);
    return buf_bytes(out);
}
