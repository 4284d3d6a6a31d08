/*
 * message_form.h - reads a JSON object from outside by the keys that it may have. This is the one
 * place where an address is read from JSON, for clients, POST /send and /close, PUBLISH, XADD and
 * the CLI.
 *
 * Keys are compared without case, and may be written with escapes. An unknown key, or a key that is
 * given twice (clientId and client_id are one key), is refused by name, since a key that was meant
 * to say to whom a message goes must never be ignored.
 *
 * To add a key, add a line to message_keys.def.
 */
#ifndef SIGNALBOX_SEND_MESSAGE_FORM_H
#define SIGNALBOX_SEND_MESSAGE_FORM_H

#include "common/send/address.h"
#include "common/json/json_text.h"

enum {
    FORM_CLIENT = 1,
    FORM_SEND = 2,
    FORM_CLOSE = 4,
    FORM_QUERY = 8,
    FORM_HIDDEN = 16,
    FORM_V1 = 32,
    FORM_HISTORY = 64,
    FORM_GROUPS = 128
};

enum message_key {
#define KEY(NAME, key, second, forms) KEY_##NAME,
#include "common/send/message_keys.def"
#undef KEY
    MESSAGE_KEYS
};

/* Keys of a text from outside, known or not, in all of its objects that are read. */
enum { FORM_KEYS_MAX = 10000 };
#define FORM_TOO_MANY_KEYS "there are more than 10000 keys"

struct message_form {
    const struct json_document *document; /* for positions in error texts */
    size_t keys; /* read so far: 0 at first, and kept from one object of a text to the next */
    struct json_value values[MESSAGE_KEYS];
};

enum form_fault {
    FORM_FINE,
    FORM_UNKNOWN, /* a key is unknown; the others were read */
    FORM_BROKEN   /* a key is given twice, or there are more than FORM_KEYS_MAX */
};
/* Writes one line to error_out unless the form is fine. A value that is not an object has no
 * keys. */
enum form_fault message_form_read(struct message_form *f, const struct json_document *document,
                                  struct json_value object, unsigned form, struct buf *error_out);
/* The key that is spelled like this, or MESSAGE_KEYS when the form has none. */
enum message_key message_form_find(struct bytes key, unsigned form);
/* How the key is spelled. */
const char *message_form_key(enum message_key key);

enum {
    TEXTS_ONE = 1,    /* a list is refused */
    TEXTS_NUMBERS = 2 /* a number is taken as its text */
};
/* Adds the texts of a key's value, which is a string or a list of strings, to *t. "" and null
 * count as absent. Within a list they are left out, and the list counts as given even when
 * nothing is left of it. False with one line in error_out when the value is anything else. */
bool message_form_texts(const struct message_form *f, enum message_key key, unsigned flags,
                        struct texts *t, struct buf *error_out);

/* False with one line in error_out when a string has an escape that is half of a surrogate pair,
 * which has no UTF-8. */
bool message_form_is_utf8(const struct message_form *f, enum message_key key,
                          struct json_value value, struct buf *error_out);
/* Appends "key: why"; returns false. */
bool message_form_refuse(enum message_key key, const char *why, struct buf *error_out);

#endif
