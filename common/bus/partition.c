/* partition.c - see partition.h. */
#include "common/bus/partition.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS = 16384, TAG_TEXT = 8 };

static char tags[PARTITIONS_MAX][TAG_TEXT];
static unsigned tag_count;

/* Four bits at a time: every message asks for the partition of each of its Names. */
unsigned partition_crc16(struct bytes data) {
    static const unsigned short of[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                          0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                          0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    unsigned crc = 0;
    for (size_t i = 0; i < data.len; i++) {
        unsigned char byte = (unsigned char)data.ptr[i];
        crc = (crc << 4 & 0xffff) ^ of[crc >> 12 ^ byte >> 4];
        crc = (crc << 4 & 0xffff) ^ of[crc >> 12 ^ (byte & 0xf)];
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

/* --- the fleet --- */

static char key_prefix[FLEET_PREFIX_MAX + 1], channel_prefix[FLEET_PREFIX_MAX + 16];
static char keys[KEY_COUNT][FLEET_NAME_MAX] = {
#define KEY(name, text, ...) [KEY_##name] = {text},
#include "common/bus/keys.def"
};
static char channels[CHANNEL_COUNT][FLEET_NAME_MAX] = {
#define CHANNEL(name, text, ...) [CHANNEL_##name] = {text},
#include "common/bus/keys.def"
};

int fleet_check(const char *prefix, char error_out[200]) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789:._-/";
    /* "db7:…" is what channels of database 7 are called. */
    size_t digits = strncmp(prefix, "db", 2) == 0 ? strspn(prefix + 2, "0123456789") : 0;
    error_out[0] = '\0';
    if (strlen(prefix) > FLEET_PREFIX_MAX)
        snprintf(error_out, 200, "--redis-prefix: has %zu bytes, at most %d are allowed",
                 strlen(prefix), FLEET_PREFIX_MAX);
    else if (strspn(prefix, allowed) != strlen(prefix))
        snprintf(error_out, 200, "--redis-prefix=%s: must be letters, digits and :._-/ only",
                 prefix);
    else if (digits > 0 && prefix[2 + digits] == ':')
        snprintf(error_out, 200,
                 "--redis-prefix=%s: must not begin as the channels of another database do",
                 prefix);
    return error_out[0] == '\0' ? 0 : -EINVAL;
}

void fleet_init(const char *prefix, int db) {
    MUST(strlen(prefix) <= FLEET_PREFIX_MAX);
    snprintf(key_prefix, sizeof(key_prefix), "%s", prefix);
    if (db != 0)
        snprintf(channel_prefix, sizeof(channel_prefix), "db%d:%s", db, prefix);
    else
        snprintf(channel_prefix, sizeof(channel_prefix), "%s", prefix);
#define KEY(name, text, ...) snprintf(keys[KEY_##name], FLEET_NAME_MAX, "%s" text, key_prefix);
#define CHANNEL(name, text, ...)                                                                   \
    snprintf(channels[CHANNEL_##name], FLEET_NAME_MAX, "%s" text, channel_prefix);
#include "common/bus/keys.def"
}

const char *fleet_key(enum fleet_key key) {
    return keys[key];
}

const char *fleet_channel(enum fleet_channel channel) {
    return channels[channel];
}

const char *fleet_key_prefix(void) {
    return key_prefix;
}

const char *fleet_channel_prefix(void) {
    return channel_prefix;
}

/* --- of one partition --- */

static const char *const partition_key_texts[] = {
#define KEY_OF_PARTITION(name, text, ...) text,
#include "common/bus/keys.def"
};
static const char *const partition_channel_texts[] = {
#define CHANNEL_OF_PARTITION(name, text, ...) text,
#include "common/bus/keys.def"
};

static struct bytes name_of(struct buf *out, const char *prefix, const char *tag, const char *text,
                            struct bytes tail) {
    buf_clear(out);
    buf_append_str(out, prefix);
    buf_append_str(out, "sb:{");
    buf_append_str(out, tag);
    buf_append_str(out, "}:");
    buf_append_str(out, text);
    buf_append(out, tail);
    return buf_bytes(out);
}

/* The public stream is read like a partition. */
static enum fleet_key public_twin(enum partition_key key) {
    static const struct {
        enum partition_key key;
        enum fleet_key twin;
    } twins[] = {
        {KEY_IN, KEY_PUBLIC_SEND}, {KEY_OWN, KEY_PUBLIC_OWN}, {KEY_LEASE, KEY_PUBLIC_LEASE}};
    for (size_t i = 0; i < ARRAY_LEN(twins); i++)
        if (twins[i].key == key)
            return twins[i].twin;
    MUST(key == KEY_DEAD_LETTERS);
    return KEY_PUBLIC_DEAD_LETTERS;
}

struct bytes key_of(struct buf *out, unsigned partition, enum partition_key key,
                    struct bytes tail) {
    if (partition < tag_count)
        return name_of(out, key_prefix, tags[partition], partition_key_texts[key], tail);
    MUST(partition == tag_count);
    buf_clear(out);
    buf_append_str(out, keys[public_twin(key)]);
    return buf_bytes(out);
}

struct bytes channel_of(struct buf *out, unsigned partition, enum partition_channel channel,
                        struct bytes tail) {
    return name_of(out, channel_prefix, partition_tag(partition), partition_channel_texts[channel],
                   tail);
}

struct bytes key_pattern(struct buf *out, enum partition_key key) {
    return name_of(out, key_prefix, "*", partition_key_texts[key], BYTES_LIT("*"));
}
