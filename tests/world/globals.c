/*
 * globals.c - see globals.h. The linker script world.ld puts the variables of the product's objects
 * between world_globals and world_globals_end; the program's own symbol table says where exactly
 * each of them lies. What lies between them belongs to a sanitizer.
 */
#include "tests/world/globals.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/must.h"

#ifdef __SANITIZE_ADDRESS__
enum { GAP_MAX = 0 };
#else
enum { GAP_MAX = 64 }; /* is copied along: one large copy is cheaper than two */
#endif

struct range {
    char *at;
    size_t len;
};

extern char world_globals[], world_globals_end[];

static struct {
    struct range *items;
    size_t count, bytes;
} ranges;

static int by_address(const void *a, const void *b) {
    const struct range *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* Apart from those that a sanitizer makes. */
static bool is_variable(const Elf64_Sym *s, const char *name) {
    return ELF64_ST_TYPE(s->st_info) == STT_OBJECT && s->st_size > 0 &&
           strncmp(name, "__odr_asan", 10) != 0;
}

static uint64_t value_of(const Elf64_Sym *symbols, size_t count, const char *names,
                         const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(names + symbols[i].st_name, name) == 0)
            return symbols[i].st_value;
    MUST(!"the symbol is there");
    return 0;
}

static void collect(const Elf64_Sym *symbols, size_t count, const char *names) {
    uint64_t base = value_of(symbols, count, names, "world_globals");
    uint64_t end = base + (uint64_t)(world_globals_end - world_globals);
    ranges.items = mem_alloc(count * sizeof(struct range));
    for (size_t i = 0; i < count; i++) {
        const Elf64_Sym *s = &symbols[i];
        if (s->st_value >= base && s->st_value < end && is_variable(s, names + s->st_name))
            ranges.items[ranges.count++] =
                (struct range){world_globals + (s->st_value - base), s->st_size};
    }
}

static void join(void) {
    size_t kept = 0;
    qsort(ranges.items, ranges.count, sizeof(struct range), by_address);
    for (size_t i = 1; i < ranges.count; i++) {
        struct range *last = &ranges.items[kept], *r = &ranges.items[i];
        size_t end = (size_t)(r->at - last->at) + r->len;
        if (GAP_MAX > 0 && r->at <= last->at + last->len + GAP_MAX)
            last->len = end > last->len ? end : last->len;
        else
            ranges.items[++kept] = *r;
    }
    ranges.count = kept + 1;
    for (size_t i = 0; i < ranges.count; i++)
        ranges.bytes += ranges.items[i].len;
}

static void find_ranges(void) {
    struct stat st;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0 && fstat(fd, &st) == 0);
    char *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    MUST(file != MAP_FAILED);
    close(fd);
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)file;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(file + head->e_shoff);
    for (unsigned i = 0; i < head->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB)
            collect((const Elf64_Sym *)(file + sections[i].sh_offset),
                    sections[i].sh_size / sizeof(Elf64_Sym),
                    file + sections[sections[i].sh_link].sh_offset);
    munmap(file, (size_t)st.st_size);
    if (ranges.count > 0)
        join();
}

void *globals_copy(const void *image) {
    if (ranges.items == NULL)
        find_ranges();
    void *fresh = mem_alloc(ranges.bytes);
    if (image != NULL)
        memcpy(fresh, image, ranges.bytes);
    else
        globals_save(fresh);
    return fresh;
}

void globals_save(void *image) {
    char *to = image;
    for (size_t i = 0; i < ranges.count; to += ranges.items[i++].len)
        memcpy(to, ranges.items[i].at, ranges.items[i].len);
}

void globals_load(const void *image) {
    const char *from = image;
    for (size_t i = 0; i < ranges.count; from += ranges.items[i++].len)
        memcpy(ranges.items[i].at, from, ranges.items[i].len);
}
