/* story.c - see story.h. */
#include "tests/world/story/story.h"

#include <string.h>

#include "tests/world/network.h"
#include "tests/world/process.h"
#include "tests/world/sim.h"
#include "tests/world/story/books.h"
#include "tests/world/story/cast.h"
#include "tests/world/story/check.h"
#include "tests/world/story/client.h"
#include "tests/world/story/plan.h"
#include "tests/world/story/probe.h"
#include "tests/world/story/publisher.h"

#define BEGIN_US  (6 * SIM_SECOND)
#define SETTLE_US (90 * SIM_SECOND) /* from the end of the last fault to the rest */
#define MINUTE_US (60 * SIM_SECOND)
#define LAST_US   (10 * SIM_SECOND) /* from the last message to the last delivery */
enum { LOOK_MS = 500 };

static struct {
    struct dice dice;
    unsigned gateways, brokers;
    uint64_t end_us, rest_by_us, begin_wall_us;
    bool is_quiet; /* little is said: nothing soon shows that something is missing */
    bool is_hushed, is_last_said;
    struct event look;
} story;

/* ---- who takes part */

static void add_client(int name) {
    static const char *const routes[] = {"n", "n", "n", "hop", "wait", "g"};
    struct dice *d = &story.dice;
    struct client_options o = {.name = name, .group = ""};
    o.manner = dice_chance(d, 550000) ? CLIENT_V1 : CLIENT_PLAIN;
    o.route = routes[dice_below(d, 6)];
    if (o.route[0] == 'g')
        o.group = dice_chance(d, 500000) ? "red" : "blue";
    if (dice_chance(d, 50000))
        o.manner = CLIENT_LOCAL;
    o.is_passenger = dice_chance(d, 300000);
    o.talk_us = !story.is_quiet && dice_chance(d, 500000) ? dice_between(d, 200, 4000) * SIM_MS : 0;
    if (o.route[0] == 'w' && !story.is_quiet)
        o.talk_us = dice_between(d, 300, 1000) * SIM_MS;
    client_add(&o);
}

/* Of the largest crowds each gateway has more than reap.c reads at a time. */
static unsigned crowd(struct dice *d) {
    return dice_chance(d, 600000) ? (unsigned)dice_between(d, 1, 850) : 1700;
}

static void add_clients(void) {
    struct dice *d = &story.dice;
    unsigned count = (unsigned)dice_between(d, 2 * NAME_COUNT, 50);
    clients_begin(story.gateways);
    for (int name = 0; name < NAME_COUNT; name++) {
        client_add(&(struct client_options){
            .manner = CLIENT_PLAIN, .route = "n", .name = name, .group = ""});
        client_add(
            &(struct client_options){.manner = CLIENT_V1, .route = "n", .name = name, .group = ""});
    }
    client_add(&(struct client_options){
        .manner = CLIENT_LISTENER, .route = "n", .name = NAME_AUDIT, .group = ""});
    client_add(&(struct client_options){
        .manner = CLIENT_LISTENER, .route = "n", .name = NAME_TICKS, .group = ""});
    while (client_count < count)
        add_client((int)dice_below(d, NAME_COUNT));
    if (dice_chance(d, 40000)) /* a crowd, so that lists have a second page */
        for (unsigned i = crowd(d); i > 0; i--)
            client_add(&(struct client_options){
                .manner = CLIENT_PLAIN, .route = "n", .name = 0, .group = ""});
}

static void add_publishers(void) {
    publishers_begin(story.gateways, story.brokers);
    for (int i = 0; i < ENTRANCE_COUNT; i++)
        publisher_new((enum entrance)i, (story.is_quiet ? dice_between(&story.dice, 2000, 12000)
                                                        : dice_skewed(&story.dice, 20, 4000)) *
                                            SIM_MS);
    publisher_new(ENTRANCE_KEYED, 0); /* has the last word */
}

static void choose_manner(void) {
    struct dice *d = &story.dice;
    net_manner = (struct net_manner){.least_us = 20,
                                     .most_us = dice_skewed(d, 200, 50 * SIM_MS),
                                     .split_ppm = (unsigned)dice_skewed(d, 1000, 300000),
                                     .late_ppm = (unsigned)dice_skewed(d, 1, 2000),
                                     .late_us = dice_skewed(d, SIM_MS, 300 * SIM_MS),
                                     .partial_ppm = (unsigned)dice_skewed(d, 1000, 300000),
                                     .buffer_bytes = dice_skewed(d, 8192, 1 << 20)};
}

/* A minute ends while something goes wrong, mostly. */
static void set_clocks(struct dice *d) {
    uint64_t end_us = dice_chance(d, 750000)
                          ? dice_between(d, BEGIN_US, story.end_us)
                          : dice_between(d, story.end_us, story.end_us + 30 * SIM_SECOND);
    process_begin_clocks(2 * MINUTE_US - end_us);
}

/* ---- its course */

static bool all_settled(const char **who_out) {
    for (unsigned i = 0; i < client_count; i++) {
        *who_out = clients[i].id;
        if (!client_is_settled(&clients[i]))
            return false;
    }
    return true;
}

static void on_begin(void *ctx) {
    const char *who;
    (void)ctx;
    if (!all_settled(&who))
        return violate("I8", "%s is not connected after %u s without a fault", who,
                       (unsigned)(BEGIN_US / SIM_SECOND));
    story.begin_wall_us = cast_redis_wall_us();
    clients_talk();
    add_publishers();
    plan_start();
}

static void hush(void) {
    story.is_hushed = true;
    story.rest_by_us = sim_now_us() + SETTLE_US;
    sim_log("STORY", "nobody sends any more");
    publishers_hush();
    for (unsigned i = 0; i < client_count; i++)
        client_hush(&clients[i]);
}

/* Whether all is well again; why_out: what is not. */
static bool is_at_rest(const char **why_out) {
    *why_out = "I8 a publisher still waits";
    if (!publishers_are_idle())
        return false;
    *why_out = "I8 a process is not up";
    if (!cast_is_up())
        return false;
    *why_out = "I8 a process is not ready";
    if (!probes_are_ready())
        return false;
    if (!all_settled(why_out))
        return false;
    return check_is_at_rest(why_out);
}

static void on_look(struct event *e) {
    const char *why = "";
    event_set(e, sim_now_us() + LOOK_MS * SIM_MS, on_look);
    if (sim_now_us() < story.end_us || !plan_is_over())
        return;
    if (!story.is_hushed)
        return hush();
    if (!is_at_rest(&why)) {
        if (sim_now_us() > story.rest_by_us)
            violate(story.is_last_said ? "not reached at last:" : "not at rest:", "%s", why);
        return;
    }
    if (story.is_last_said) {
        check_all(story.begin_wall_us, cast_redis_wall_us() - 5 * SIM_SECOND);
        sim_log("STORY", "all is well");
        return sim_stop();
    }
    sim_log("STORY", "at rest; the last messages");
    story.is_last_said = true;
    story.rest_by_us = sim_now_us() + LAST_US;
    publishers_say_all();
}

void story_tell(const struct story_options *o, struct story_result *result_out) {
    sim_begin(o->seed, o->log);
    net_begin();
    story.dice = dice_new(o->seed, 1);
    story.gateways = (unsigned)dice_between(&story.dice, 2, 3);
    story.brokers = (unsigned)dice_between(&story.dice, 1, 3);
    unsigned seconds = (unsigned)dice_between(&story.dice, 5, 40);
    story.end_us = BEGIN_US + (o->seconds > 0 ? o->seconds : seconds) * SIM_SECOND;
    bool may_lose = dice_chance(&story.dice, 300000);
    unsigned most = (unsigned)dice_between(&story.dice, 1, 16);
    struct dice mood = dice_new(o->seed, 3);
    story.is_quiet = dice_chance(&mood, 300000);
    set_clocks(&mood);
    books_begin(o->messages);
    choose_manner();
    cast_begin(o->app, story.gateways, story.brokers);
    add_clients();
    plan_make(&(struct plan_options){.gateways = story.gateways,
                                     .brokers = story.brokers,
                                     .clients = client_count,
                                     .from_us = BEGIN_US,
                                     .to_us = story.end_us,
                                     .may_lose = may_lose,
                                     .most = most});
    books.is_each_by_name = plan_has(FAULT_REDIS_MUTE) || plan_has(FAULT_REDIS_OOM);
    if (o->clients > 0 && o->clients < client_count)
        clients_forget(o->clients);
    if (o->faults != NULL && !plan_keep(o->faults))
        violate("I8", "there is no list of faults in '%s'", o->faults);
    sim_log("STORY", "seed %llu: %u gateways, %u brokers, %u clients, %u faults",
            (unsigned long long)o->seed, story.gateways, story.brokers, client_count, plan.count);
    probes_start();
    sim_at(BEGIN_US, on_begin, NULL);
    event_set(&story.look, BEGIN_US, on_look);
    if (violation() == NULL)
        sim_run(story.end_us + 300 * SIM_SECOND);
    *result_out = (struct story_result){.violation = violation(),
                                        .seconds = (double)sim_now_us() / 1e6,
                                        .faults = plan.count,
                                        .clients = client_count,
                                        .messages = books.sent_count,
                                        .connections = books.meeting_count,
                                        .events = books.happening_count,
                                        .steps = sim_events()};
    for (size_t i = 0; i < books.meeting_count; i++)
        result_out->delivered += books.meetings[i]->got_count;
}
