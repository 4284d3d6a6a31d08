/*
 * secret_file.h - a password, a token or a signing secret that an operator keeps in a file.
 *
 * The secret is the first line, without its line end (LF or CR LF) and without a byte order mark.
 * It is taken whole or refused with a reason: a secret that is cut off is a wrong secret.
 */
#ifndef SIGNALBOX_BASE_SECRET_FILE_H
#define SIGNALBOX_BASE_SECRET_FILE_H

#include "common/base/must.h"

enum { SECRET_FILE_MAX = 4096 /* bytes of a secret */, SECRET_FILE_WHY = 160 };

/* 0, or a negative errno with one line for the operator in why_out, without the path and without
 * any byte of the content. -E2BIG: longer than SECRET_FILE_MAX. -ENODATA: the first line is empty.
 * Then text_out is "". */
MUST_CHECK int secret_file_read(const char *path, char text_out[SECRET_FILE_MAX + 1],
                                char why_out[SECRET_FILE_WHY]);

/* Makes the file with this secret, readable by its owner alone, unless it is there. Of processes
 * that make it at the same time one wins, and all find its secret afterwards; nobody ever sees half
 * of it. 1 made, 0 was there, or a negative errno with a reason as above; -ENODATA: it is there and
 * empty, and so it stays. */
MUST_CHECK int secret_file_make(const char *path, const char *secret,
                                char why_out[SECRET_FILE_WHY]);

#endif
