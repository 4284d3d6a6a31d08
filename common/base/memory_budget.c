/* memory_budget.c - see memory_budget.h. */
#include "common/base/memory_budget.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/must.h"

enum { TRIM_BYTES = 16 << 20, PATH_BYTES = 4200 };

#define NO_BUDGET ((uint64_t)INT64_MAX)

static const unsigned sixteenths[MEMORY_KINDS] = {
#define X(kind, sixteenths) sixteenths,
#include "common/base/memory_budget.def"
#undef X
};

#define X(kind, sixteenths)                                                                        \
    _Static_assert((int)METRIC_memory_##kind##_bytes ==                                            \
                       (int)METRIC_memory_incoming_bytes + (int)MEMORY_##kind,                     \
                   "metrics.def lists the kinds in the order of memory_budget.def");
#include "common/base/memory_budget.def"
#undef X

static uint64_t budget = NO_BUDGET;

void memory_init(uint64_t budget_bytes) {
    budget = budget_bytes == 0 ? NO_BUDGET : budget_bytes;
    metrics_set(METRIC_memory_budget_bytes, (int64_t)budget_bytes);
}

static uint64_t counted(void) {
    uint64_t sum = 0;
    for (unsigned kind = 0; kind < MEMORY_KINDS; kind++)
        sum += memory_of((enum memory_kind)kind);
    return sum;
}

/* Large buffers that came and went leave holes in the heap, which malloc would keep. */
void memory_measure(void) {
    struct mallinfo2 info = mallinfo2();
    uint64_t used = info.uordblks + info.hblkhd, known = counted();
    metrics_set(METRIC_memory_other_bytes, used > known ? (int64_t)(used - known) : 0);
    if (info.fordblks > TRIM_BYTES && info.fordblks > info.uordblks / 4)
        malloc_trim(0);
}

uint64_t memory_share(enum memory_kind kind) {
    return budget / 16 * sixteenths[kind];
}

bool memory_is_full(enum memory_kind kind) {
    return memory_of(kind) > memory_share(kind);
}

bool memory_is_flooded(enum memory_kind kind) {
    return memory_of(kind) > memory_share(kind) / 4 * 5;
}

bool memory_is_drowned(enum memory_kind kind) {
    return memory_of(kind) > memory_share(kind) * 2;
}

uint64_t memory_used(void) {
    return counted() + (uint64_t)metrics_get(METRIC_memory_other_bytes);
}

bool memory_is_over(void) {
    return memory_used() > budget;
}

/* ---- the default */

/* UINT64_MAX: the file is not there, or says that there is no limit. */
static uint64_t read_limit(const char *path) {
    unsigned long long limit;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return UINT64_MAX;
    bool is_number = fscanf(file, "%llu", &limit) == 1;
    fclose(file);
    return is_number ? limit : UINT64_MAX;
}

/* The lowest limit of a group and of all that it lies in. */
static uint64_t group_limit(const char *root, const char *mount, const char *group,
                            const char *file) {
    uint64_t least = UINT64_MAX;
    char at[PATH_BYTES / 2], path[PATH_BYTES];
    snprintf(at, sizeof(at), "%s", group);
    for (char *end = at + strlen(at);; end = strrchr(at, '/')) {
        if (end == NULL)
            return least;
        *end = '\0';
        snprintf(path, sizeof(path), "%s%s%s/%s", root, mount, at, file);
        uint64_t limit = read_limit(path);
        least = limit < least ? limit : least;
    }
}

/* Each line of /proc/self/cgroup is "0::<group>" (version 2) or "<n>:<controllers>:<group>". */
static uint64_t cgroup_limit(const char *root) {
    uint64_t least = UINT64_MAX;
    char path[PATH_BYTES], line[PATH_BYTES / 2];
    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = strchr(line, '/');
        if (controllers == NULL || group == NULL)
            continue;
        uint64_t limit = UINT64_MAX;
        if (strncmp(line, "0::", 3) == 0)
            limit = group_limit(root, "/sys/fs/cgroup", group, "memory.max");
        else if (strncmp(controllers, ":memory:", 8) == 0)
            limit = group_limit(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
        least = limit < least ? limit : least;
    }
    if (file != NULL)
        fclose(file);
    return least;
}

uint64_t memory_default(const char *root) {
    uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t group = cgroup_limit(root);
    return group / 4 * 3 < host / 4 ? group / 4 * 3 : host / 4;
}
