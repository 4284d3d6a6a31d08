/* The checks of a story are able to fail: small books, each with one mistake. One process, and so
 * one verdict, for each. */
#include <sys/wait.h>
#include <unistd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/world/sim.h"
#include "tests/world/story/books.h"
#include "tests/world/story/check.h"
#include "tests/world/story/client.h"
#include "tests/world/story/plan.h"
#include "tests/world/story/registry_view.h"

/* What the registry of these books says; the real one is in Redis. */
static struct { const char *client, *token; } registered[4];
static size_t registered_count;

void registry_each(int name, void (*fn)(void *ctx, const char *client, const char *group),
                   void *ctx) {
    for (size_t i = 0; name == 0 && i < registered_count; i++)
        fn(ctx, registered[i].client, registered[i].token);
}

const char *registry_stray(void) {
    return NULL;
}

static uint64_t last_term;

static struct message_id publish(unsigned sent, int name) {
    struct message_id id = {1, ++last_term};
    struct buf blob = {0};
    struct message m = {.id = id, .kind = MESSAGE_DATA};
    char channel[64], text[128];
    static struct message_id before;
    m.prev = before;
    before = id;
    if (sent == UINT32_MAX)
        snprintf(text, sizeof(text), "connect n0 c0 c0.1 -");
    else
        snprintf(text, sizeof(text), "m%u", sent);
    m.data = bytes_of(text, strlen(text));
    message_encode(&blob, &m);
    snprintf(channel, sizeof(channel), "sb:{%s}:n:%s", books_tag(name_partition(name)),
             book_names[name]);
    books_on_publish(channel, strlen(channel), blob.ptr, blob.len);
    buf_deinit(&blob);
    return id;
}

static void happen(bool is_connect, const char *token) {
    char text[64];
    struct message_id id = {1, ++last_term};
    struct buf blob = {0};
    snprintf(text, sizeof(text), "%s n0 c0 %s -", is_connect ? "connect" : "disconnect", token);
    struct message m = {.id = id, .kind = MESSAGE_DATA, .data = bytes_of(text, strlen(text))};
    static struct message_id before;
    char channel[64];
    m.prev = before;
    before = id;
    message_encode(&blob, &m);
    snprintf(channel, sizeof(channel), "sb:{%s}:n:Audit", books_tag(name_partition(NAME_AUDIT)));
    books_on_publish(channel, strlen(channel), blob.ptr, blob.len);
    buf_deinit(&blob);
}

/* A v1 client of n0 that is open and follows from the beginning. */
static struct meeting *meet(void) {
    struct meeting *m = books_meet();
    strcpy(m->client, "c0");
    strcpy(m->token, "c0.1");
    m->is_v1 = m->has_hello = true;
    m->hello = (struct message_id){1, 0};
    m->began_us = m->opened_us = 1;
    registered[registered_count].client = "c0";
    registered[registered_count++].token = "c0.1";
    happen(true, "c0.1");
    return m;
}

static struct meeting *m;
static struct message_id ids[4];

static unsigned say(bool is_accepted) {
    unsigned sent = books_send(TO_NAME, 0, "", "p0");
    if (is_accepted)
        books.sent[sent].accepted_us = 2;
    return sent;
}

/* Two messages, published and received. */
static void well(void) {
    m = meet();
    for (int i = 0; i < 2; i++) {
        unsigned sent = say(true);
        ids[i] = publish(sent, 0);
        books_got(m, ids[i], sent);
    }
}

static void lost_before_log(void) {
    well();
    say(true);
}

static void unknown_is_allowed(void) {
    well();
    say(false);
}

static void lost_on_the_way(void) {
    well();
    publish(say(true), 0);
}

static void hole(void) {
    well();
    publish(say(true), 0);
    unsigned sent = say(true);
    books_got(m, publish(sent, 0), sent);
}

static void twice_in_log(void) {
    well();
    publish(1, 0);
}

static void twice_to_client(void) {
    well();
    books_got(m, ids[1], 1);
}

static void other_order_of_sender(void) {
    well();
    unsigned first = say(true), second = say(true);
    books_got(m, publish(second, 0), second);
    books_got(m, publish(first, 0), first);
}

static void for_others(void) {
    well();
    unsigned sent = books_send(TO_GROUP, 0, "red", "p0");
    books_got(m, publish(sent, 0), sent);
}

static void two_connects(void) {
    well();
    happen(true, "c0.1");
}

static void no_disconnect(void) {
    well();
    m->ended_us = 5;
    m->is_own_end = true;
    registered_count = 0;
}

static void stranger_in_registry(void) {
    well();
    registered[registered_count].client = "c9";
    registered[registered_count++].token = "c9.1";
}

static void not_registered(void) {
    well();
    registered_count = 0;
}

static void closed_without_a_fault(void) {
    well();
    m->ended_us = 5;
    m->code = 4002;
    registered_count = 0;
    happen(false, "c0.1");
}

static void not_recovered(void) {
    well();
    m->resumed = (struct message_id){1, 0};
    m->recovered = RECOVERED_FALSE;
}

static void recovered_with_a_hole(void) {
    m = meet();
    m->resumed = (struct message_id){1, 0};
    m->recovered = RECOVERED_TRUE;
    publish(say(true), 0);
    unsigned sent = say(true);
    books_got(m, publish(sent, 0), sent);
}

static const struct {
    const char *name, *which;
    void (*fn)(void);
} cases[] = {{"well", NULL, well},
             {"an unaccepted message may be lost", NULL, unknown_is_allowed},
             {"lost before the log", "I1", lost_before_log},
             {"lost on the way", "I1", lost_on_the_way},
             {"a hole", "I1", hole},
             {"twice in the log", "I1", twice_in_log},
             {"twice to a client", "I2", twice_to_client},
             {"another order of the sender", "I2", other_order_of_sender},
             {"for others", "I1", for_others},
             {"two Connects", "I4", two_connects},
             {"no Disconnect", "I4", no_disconnect},
             {"a stranger in the registry", "I5", stranger_in_registry},
             {"not registered", "I5", not_registered},
             {"closed without a fault", "I6", closed_without_a_fault},
             {"not recovered", "I1", not_recovered},
             {"recovered, with a hole", "I1", recovered_with_a_hole}};

/* The exit status: whether the verdict is the expected one. */
static int judge(size_t i) {
    sim_begin(1, NULL);
    books_begin(0);
    cases[i].fn();
    check_all(0, 0);
    const char *verdict = violation();
    bool is_right = cases[i].which == NULL
                        ? verdict == NULL
                        : verdict != NULL && strncmp(verdict, cases[i].which, 2) == 0;
    if (!is_right)
        printf("%s: %s\n", cases[i].name, verdict != NULL ? verdict : "nothing was found");
    fflush(stdout);
    return is_right ? 0 : 1;
}

int main(void) {
    int failed = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(judge(i));
        int status;
        waitpid(pid, &status, 0);
        failed += status != 0;
    }
    printf("%d of %zu judged wrongly\n", failed, sizeof(cases) / sizeof(cases[0]));
    return failed > 0;
}
