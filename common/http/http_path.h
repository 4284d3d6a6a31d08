/*
 * http_path.h - the one form of a request's path, which is what every reader of paths gets.
 *
 *     /a//b/./c/../%64%C3%A9   ->  /a/b/dé          empty, "." and ".." segments resolved, decoded
 *     /files/a%2Fb             ->  /files/a%2Fb     a '/' within a segment stays escaped
 *     /100%25                  ->  /100%25          so does '%', which makes the form unambiguous
 *
 * Two requests that mean the same path have the same form, and the form is its own form: making it
 * canonical again changes nothing. The same function is applied to the patterns of an app.
 */
#ifndef SIGNALBOX_HTTP_HTTP_PATH_H
#define SIGNALBOX_HTTP_HTTP_PATH_H

#include "common/base/bytes.h"

struct buf;

enum { HTTP_PATH_MAX = 1024 };

/*
 * Appends the canonical form: it starts with '/', is valid UTF-8 without control bytes or
 * backslashes, has no empty, "." or ".." segment, keeps a trailing slash ("/a/." and "/a/b/.." have
 * one too), and its only escapes are %2F and %25. NULL, or, with nothing appended, one line of
 * constant text that says why there is no such form: a path that does not start with '/', a bad
 * escape, bytes that are not allowed, a ".." above the root, a form over HTTP_PATH_MAX bytes.
 */
const char *http_path_canonical(struct bytes path, struct buf *out);

/* Appends what the canonical path is called in a file system. False, with nothing appended, when a
 * segment holds a '/': no file has such a name. */
bool http_path_to_file(struct bytes canonical, struct buf *out);

/* Appends the canonical path, or a part of it, as it may stand in a URL. */
void http_path_to_url(struct bytes canonical, struct buf *out);

#endif
