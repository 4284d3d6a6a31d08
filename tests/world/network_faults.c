/* network_faults.c - see network_faults.h. */
#include "tests/world/network_faults.h"

#include <arpa/inet.h>
#include <string.h>
#include <uv.h>

#include "common/base/must.h"

enum { FAULTS_MAX = 64, HOST_MAX = 64 };

struct cut {
    char from[HOST_MAX], to[HOST_MAX];
    enum net_cut cut;
};

struct name {
    char host[HOST_MAX], ip[HOST_MAX];
};

static struct {
    struct cut cuts[FAULTS_MAX];
    unsigned cuts_count;
    char down[FAULTS_MAX][HOST_MAX];
    unsigned down_count;
    struct name names[FAULTS_MAX];
    unsigned names_count;
    int names_fail;
    char failing[ADDRESS_MAX];
    int accept_status;
    unsigned accepts_left;
} faults;

void net_faults_begin(void) {
    memset(&faults, 0, sizeof(faults));
}

bool net_is_host(const char *host, const char *address) {
    size_t len = strlen(host);
    return strcmp(host, "*") == 0 ||
           (strncmp(host, address, len) == 0 && (address[len] == ':' || address[len] == '\0'));
}

bool net_are_hosts(const char *a, const char *b, const char (*addresses)[ADDRESS_MAX]) {
    return (net_is_host(a, addresses[0]) && net_is_host(b, addresses[1])) ||
           (net_is_host(b, addresses[0]) && net_is_host(a, addresses[1]));
}

/* --- cuts --- */

static struct cut *find_cut(const char *from, const char *to) {
    for (unsigned i = 0; i < faults.cuts_count; i++)
        if (strcmp(faults.cuts[i].from, from) == 0 && strcmp(faults.cuts[i].to, to) == 0)
            return &faults.cuts[i];
    return NULL;
}

void net_cut(const char *from, const char *to, enum net_cut cut) {
    static const char *const words[] = {"opened", "stalled", "refusing"};
    struct cut *c = find_cut(from, to);
    if (c == NULL) {
        MUST(faults.cuts_count < FAULTS_MAX);
        c = &faults.cuts[faults.cuts_count++];
        snprintf(c->from, sizeof(c->from), "%s", from);
        snprintf(c->to, sizeof(c->to), "%s", to);
    }
    c->cut = cut;
    sim_log("net", "%s from %s to %s", words[cut], from, to);
    net_go_on();
}

enum net_cut net_cut_between(const char *from_address, const char *to_address) {
    enum net_cut worst = NET_OPEN;
    for (unsigned i = 0; i < faults.cuts_count; i++) {
        const struct cut *c = &faults.cuts[i];
        if (c->cut != NET_OPEN && worst != NET_STALL && net_is_host(c->from, from_address) &&
            net_is_host(c->to, to_address))
            worst = c->cut;
    }
    return worst;
}

/* --- hosts --- */

static char *find_down(const char *address) {
    for (unsigned i = 0; i < faults.down_count; i++)
        if (net_is_host(faults.down[i], address))
            return faults.down[i];
    return NULL;
}

bool net_is_host_down(const char *address) {
    return find_down(address) != NULL;
}

void net_host_goes_down(const char *host) {
    if (find_down(host) != NULL)
        return;
    MUST(faults.down_count < FAULTS_MAX);
    snprintf(faults.down[faults.down_count++], HOST_MAX, "%s", host);
}

bool net_host_comes_up(const char *host) {
    char *down = find_down(host);
    if (down == NULL)
        return false;
    memmove(down, faults.down[--faults.down_count], HOST_MAX);
    return true;
}

/* --- accepts --- */

void net_fail_accepts(const char *address, int status, unsigned count) {
    snprintf(faults.failing, sizeof(faults.failing), "%s", address);
    faults.accept_status = status;
    faults.accepts_left = count;
    sim_log("net", "the next %u accepts at %s fail: %s", count, address, uv_err_name(status));
}

int net_take_accept_failure(const char *address) {
    if (faults.accepts_left == 0 || strcmp(faults.failing, address) != 0)
        return 0;
    faults.accepts_left--;
    return faults.accept_status;
}

/* --- names --- */

void net_name(const char *host, const char *ip) {
    unsigned i = 0;
    while (i < faults.names_count && strcmp(faults.names[i].host, host) != 0)
        i++;
    MUST(i < FAULTS_MAX);
    faults.names_count = i == faults.names_count ? i + 1 : faults.names_count;
    snprintf(faults.names[i].host, HOST_MAX, "%s", host);
    snprintf(faults.names[i].ip, HOST_MAX, "%s", ip != NULL ? ip : "");
}

void net_fail_names(int status) {
    faults.names_fail = status;
    sim_log("net", "look-ups %s", status == 0 ? "succeed again" : uv_err_name(status));
}

int net_look_up(const char *host, char ip_out[64]) {
    struct in_addr numeric;
    snprintf(ip_out, 64, "%s", host);
    if (inet_pton(AF_INET, host, &numeric) == 1)
        return 0;
    if (strcmp(host, "localhost") == 0) {
        snprintf(ip_out, 64, "127.0.0.1");
        return 0;
    }
    if (faults.names_fail != 0)
        return faults.names_fail;
    for (unsigned i = 0; i < faults.names_count; i++)
        if (strcmp(faults.names[i].host, host) == 0 && faults.names[i].ip[0] != '\0') {
            snprintf(ip_out, 64, "%s", faults.names[i].ip);
            return 0;
        }
    return UV_EAI_NONAME;
}
