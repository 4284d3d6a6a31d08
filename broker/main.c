/*
 * main.c - signalbox-broker: a table of contents. start() makes the parts from the bottom up, end()
 * takes them down in the opposite order. Without Redis it waits, and says so.
 *
 *     signalbox-broker APP [--redis URL] [SETTING…]
 */
#include "broker/broker.h"
#include "broker/handlers/handler_send.h"
#include "common/base/log.h"

/* 0, or what main returns. */
static int start(struct broker *b) {
    int exit_code = daemon_open(&b->daemon);
    if (exit_code != 0)
        return exit_code;
    if ((exit_code = daemon_load_app(&b->daemon, &handler_send_functions, NULL)) != 0)
        return exit_code;
    broker_open(b);
    if ((exit_code = daemon_start(&b->daemon, BYTES_NONE)) != 0)
        return exit_code;
    log_info("broker", "started id=%s app=%s partitions=%u", bus_id(b->bus), b->daemon.app_path,
             bus_partitions(b->bus));
    return 0;
}

static void end(struct broker *b) {
    daemon_hang_up(&b->daemon);
    broker_close(b);
    daemon_close(&b->daemon);
    daemon_deinit(&b->daemon);
    broker_deinit(b);
}

int main(int argc, char **argv) {
    static struct broker broker;
    struct broker *b = &broker;
    int exit_code;
    if (!daemon_read_arguments(&b->daemon, &broker_kind, b, argc, argv, &exit_code))
        return exit_code;
    if ((exit_code = start(b)) != 0)
        return exit_code;
    if (daemon_run(&b->daemon))
        end(b);
    return b->daemon.exit_code;
}
