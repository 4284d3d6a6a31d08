/*
 * parse.h - what every parser of bytes from outside returns.
 *
 * PARSE_MORE never means "bad so far": a parser that can tell says PARSE_BAD at the first wrong
 * byte.
 */
#ifndef SIGNALBOX_BASE_PARSE_H
#define SIGNALBOX_BASE_PARSE_H

enum parse {
    PARSE_OK,   /* complete; outputs are set */
    PARSE_MORE, /* a correct beginning; call again with more bytes */
    PARSE_BAD   /* can never become correct */
};

#endif
