/* scripts.c - see scripts.h. The table is made from scripts/NAME.lua by cmake/embed.cmake. */
#include "common/bus/redis/scripts.h"

#include "common/base/must.h"

static const struct {
    const char *name, *sha, *text;
    size_t len;
} table[SCRIPT_COUNT] = {
#define SCRIPT(name, sha, text) [SCRIPT_##name] = {#name, sha, text, sizeof(text) - 1},
#include "scripts_embedded.def"
#undef SCRIPT
};

struct bytes script_text(enum script s) {
    MUST(s < SCRIPT_COUNT && table[s].text != NULL);
    return bytes_of(table[s].text, table[s].len);
}

const char *script_sha(enum script s) {
    MUST(s < SCRIPT_COUNT && table[s].sha != NULL);
    return table[s].sha;
}

const char *script_name(enum script s) {
    MUST(s < SCRIPT_COUNT && table[s].name != NULL);
    return table[s].name;
}
