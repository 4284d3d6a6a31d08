/* loop_real.c - runs the programs over the real libuv: what the simulated one has to say, too. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/must.h"
#include "tests/world/loop_programs.h"

static void run_all(const struct loop_program *p) {
    for (; p->name != NULL; p++) {
        uv_loop_t loop;
        MUST(uv_loop_init(&loop) == 0);
        p->run(&loop);
        tell_all(p->name);
    }
}

int main(void) {
    char folder[] = "/tmp/loop_real.XXXXXX", path[64];
    signal(SIGPIPE, SIG_IGN);
    MUST(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/s", folder);
    loop_path = path;
    run_all(loop_programs);
    run_all(stream_programs);
    unlink(path);
    _exit(rmdir(folder) == 0 ? 0 : 1); /* the programs leave their loops open */
}
