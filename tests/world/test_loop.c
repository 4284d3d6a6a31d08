/* test_loop.c - runs the programs over the simulated libuv; ctest compares with loop_real. */
#include <stdlib.h>

#include "common/base/must.h"
#include "tests/world/loop_programs.h"
#include "tests/world/network.h"
#include "tests/world/process.h"

static int run_one(const struct loop_program *p) {
    uv_loop_t loop;
    MUST(uv_loop_init(&loop) == 0);
    p->run(&loop);
    tell_all(p->name);
    return 0;
}

static int loop_main(int argc, char **argv) {
    (void)argc;
    return run_one(&loop_programs[atoi(argv[0])]);
}

static int stream_main(int argc, char **argv) {
    (void)argc;
    return run_one(&stream_programs[atoi(argv[0])]);
}

/* Each in a process of its own, one after the other. */
static void run_all(const struct loop_program *p, main_fn *main) {
    for (int i = 0; p[i].name != NULL; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%d", i);
        const char *const argv[] = {number, NULL};
        struct process *process = process_new(p[i].name, "10.0.0.1", main, argv);
        process_start(process);
        sim_run(SIM_NEVER);
        MUST(process_state(process) == PROCESS_ENDED);
    }
}

int main(int argc, char **argv) {
    sim_begin(argc > 1 ? strtoull(argv[1], NULL, 10) : 1, NULL);
    net_begin();
    net_manner.partial_ppm = 0;
    loop_path = "/run/socket";
    run_all(loop_programs, loop_main);
    run_all(stream_programs, stream_main);
    return 0;
}
