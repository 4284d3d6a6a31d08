/*
 * file_send.h - answers a request with a file, without ever blocking the loop: libuv's pool looks
 * it up, opens it and reads it, a piece at a time, the next when the client has taken the last.
 *
 * What lies outside `root` once symbolic links are followed is not there.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_FILE_SEND_H
#define SIGNALBOX_GATEWAY_ROUTES_FILE_SEND_H

#include <stdbool.h>

struct request;

/* root: absolute folder. path: below it, starts with '/'; empty is the folder itself. A folder
 * gives its index.html, or a redirect when neither this path nor the request's ends in a slash. 404
 * when there is no such file. status: of a success; with 200, a GET may ask for a range. */
void file_send(struct request *r, const char *root, const char *path, int status);

#endif
