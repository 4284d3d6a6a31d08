/* cmd_sign.c - sign, verify: signs client ids and checks them as the app's signalbox.signing
 * does. */
#include <stdio.h>
#include <stdlib.h>

#include "common/send/address.h"
#include "common/json/json_text.h"
#include "common/app/registrations/signing.h"
#include "common/base/secret_file.h"
#include "tools/tool.h"
#include "tools/verb.h"

struct sign {
    const char *secret, *secret_file, *user_agent, *address;
    bool is_strict;
    struct signing signing;
    char secret_text[SECRET_FILE_MAX + 1];
};

static bool read_signing(struct tool *t, struct sign *s) {
    char why[SECRET_FILE_WHY];
    if (s->secret_file != NULL && secret_file_read(s->secret_file, s->secret_text, why) != 0)
        return tool_complain(t, "--secret-file=%s: %s", s->secret_file, why);
    const char *secret = s->secret_file != NULL ? s->secret_text : s->secret;
    if (secret == NULL)
        return tool_complain(t, "needs the app's secret: give --secret or --secret-file");
    if (signing_secret_error(bytes_str(secret)) != NULL)
        return tool_complain(t, "--secret: %s", signing_secret_error(bytes_str(secret)));
    if (!s->is_strict && (s->user_agent != NULL || s->address != NULL))
        return tool_complain(t, "--user-agent and --address are for --strict");
    signing_set(&s->signing, true, secret, s->is_strict);
    return true;
}

/* As in signalbox.sign: gateways accept no other ids. */
static const char *id_fault(struct bytes id, struct bytes signed_id) {
    if (id.len == 0)
        return "is empty";
    const char *fault = address_fault(id);
    if (fault == NULL && address_fault(signed_id) != NULL)
        fault = ADDRESS_TOO_LONG " with its signature";
    return fault;
}

static int run_sign(struct tool *t, void *own) {
    struct sign *s = own;
    struct buf id = {0}, json = {0};
    if (!read_signing(t, s))
        return TOOL_USAGE;
    struct signing_context who = {bytes_str(s->user_agent), bytes_str(s->address)};
    signing_sign(&s->signing, &who, bytes_str(t->arguments[0]), &id);
    const char *fault = id_fault(bytes_str(t->arguments[0]), buf_bytes(&id));
    if (fault != NULL) {
        tool_complain(t, "the id %s", fault);
    } else if (t->is_json) {
        json_append_string(&json, buf_bytes(&id));
        printf("{\"clientId\":%.*s}\n", BYTES_FMT(buf_bytes(&json)));
    } else {
        printf("%.*s\n", BYTES_FMT(buf_bytes(&id)));
    }
    buf_deinit(&id);
    buf_deinit(&json);
    signing_deinit(&s->signing);
    return fault == NULL ? TOOL_OK : TOOL_USAGE;
}

static int run_verify(struct tool *t, void *own) {
    struct sign *s = own;
    if (!read_signing(t, s))
        return TOOL_USAGE;
    struct signing_context who = {bytes_str(s->user_agent), bytes_str(s->address)};
    bool is_valid = signing_verify(&s->signing, &who, bytes_str(t->arguments[0]));
    if (t->is_json)
        printf("{\"valid\":%s}\n", is_valid ? "true" : "false");
    else
        puts(is_valid ? "valid" : "not valid");
    signing_deinit(&s->signing);
    return is_valid ? TOOL_OK : TOOL_FAILED;
}

static const struct option options[] = {
    {"secret", OPTION_TEXT, offsetof(struct sign, secret), "TEXT",
     "the app's secret; other users of this machine can see it, but not a file"},
    {"secret-file", OPTION_TEXT, offsetof(struct sign, secret_file), "FILE",
     "read the secret from the first line of this file"},
    {"strict", OPTION_FLAG, offsetof(struct sign, is_strict), NULL,
     "the signature is valid for one User-Agent and address only"},
    {"user-agent", OPTION_TEXT, offsetof(struct sign, user_agent), "TEXT",
     "the client's, with --strict"},
    {"address", OPTION_TEXT, offsetof(struct sign, address), "IP", "the client's, with --strict"},
};

const struct verb verb_sign = {.name = "sign",
                               .arguments = "ID",
                               .summary = "sign a client id",
                               .flags = VERB_JSON,
                               VERB_COUNT(1, 1),
                               VERB_OPTIONS(options),
                               VERB_RUN(struct sign, run_sign)};

const struct verb verb_verify = {.name = "verify",
                                 .arguments = "ID",
                                 .summary = "check the signature of a client id",
                                 .flags = VERB_JSON,
                                 VERB_COUNT(1, 1),
                                 VERB_OPTIONS(options),
                                 VERB_RUN(struct sign, run_verify)};
