/*
 * file_send.h - answers a request with a file, without ever blocking the loop: libuv's pool looks
 * it up, opens it and reads it piece by piece, each when the client has taken the one before.
 *
 * A file that lies outside `root` once symbolic links are followed counts as missing.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_FILE_SEND_H
#define SIGNALBOX_GATEWAY_ROUTES_FILE_SEND_H

struct request;

/* root is an absolute folder; path lies below it and starts with '/', or is empty for the folder
 * itself. A folder is answered with its index.html, or with a redirect if neither this path nor the
 * request's ends in a slash. A missing file is a 404. status is that of a success; only with 200
 * may a GET ask for a range. */
void file_send(struct request *r, const char *root, const char *path, int status);
/* The part of the path below the prefix: it starts with '/', or is empty when the path is the
 * prefix; NULL when the prefix does not fit. */
const char *file_send_below(const char *path, const char *prefix);

#endif
