#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "tests/world/network.h"
#include "tests/world/process.h"
#include "tests/world/system.h"
#include "tests/world/redis/host.h"

int gateway_main(int argc, char **argv);
int broker_main(int argc, char **argv);

int main(int argc, char **argv) {
    const char *const g[] = {"signalbox-gateway",
                             argv[1],
                             "--redis=redis://10.0.9.1:6379",
                             "--listen=ws://10.0.0.1:8080",
                             "--max-memory-bytes=1000000000",
                             NULL};
    const char *const b[] = {"signalbox-broker", argv[1], "--redis=redis://10.0.9.1:6379",
                             "--max-memory-bytes=1000000000", NULL};
    (void)argc;
    sim_begin(1, stdout);
    net_begin();
    struct process *gw = process_new("gateway1", "10.0.0.1", gateway_main, g);
    struct process *br = process_new("broker1", "10.0.0.2", broker_main, b);
    struct redis_host *r = redis_host_new("10.0.9.1");
    process_start(gw);
    process_start(br);
    uint64_t t = system_real_us();
    sim_run(30 * SIM_SECOND);
    process_signal(gw, 15);
    sim_run(60 * SIM_SECOND);
    fprintf(stderr, "%llu events %llu us\n", (unsigned long long)sim_events(),
            (unsigned long long)(system_real_us() - t));
    fprintf(stderr, "%llu commands\n", (unsigned long long)redis_host_commands(r));
    fflush(stdout);
    _Exit(0);
}
