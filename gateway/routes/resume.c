/* resume.c - see resume.h. */
#include "gateway/routes/resume.h"

#include "common/base/clock.h"
#include "common/base/percent.h"
#include "common/base/random.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/conn/request.h"
#include "gateway/routes/routes.h"
#include "gateway/routes/upgrade.h"
#include "gateway/session/resume_token.h"

/* A token gives an id back only where the route gives none, and only one that a gateway made up:
 * it must not speak for one to which another route gave a name, as that of a user. */
static bool gives_id(const struct request *r, const struct upgrade_options *o, struct bytes id) {
    const struct signing *signing = &routes_registrations(r->routes)->signing;
    struct signing_context who = {.user_agent = http_head_find(&r->head, "User-Agent"),
                                  .remote_address = bytes_str(r->remote_address)};
    bool is_ours = o->is_automatic ? !signing_is_signed(id) : signing_accepts(signing, &who, id);
    return is_ours && random_is_uuid(signing_raw(id));
}

/* A token that is not valid here, be it that its id may not be had again, is as none: what was sent
 * to that id is missed. */
static bool read_token(struct resume *out, const struct request *r, const struct upgrade_options *o,
                       struct bytes text) {
    struct bytes rest = text, token = bytes_split(&rest, '~');
    struct resume_key key;
    struct resume_token t;
    if (!resume_key_of(r->routes->bus, &key) ||
        !resume_token_read(token, &key, clock_wall_ms() / 1000, &out->text, &t) ||
        !bytes_equal(t.name, o->name))
        return false;
    if (o->client_id.len == 0) {
        if (!gives_id(r, o, t.client_id))
            return false;
        out->client_id = t.client_id;
    }
    out->position = t.position;
    return rest.ptr == NULL || message_id_parse(rest, &out->position);
}

void resume_read(struct resume *out, const struct request *r, const struct upgrade_options *o,
                 bool is_stream) {
    struct bytes query = request_query(r, "signalbox-resume"), last;
    struct buf text = {0};
    *out = (struct resume){.is_asked = query.ptr != NULL};
    (void)percent_decode(query, false, &text);
    if (out->is_asked)
        out->has_position = message_id_parse(buf_bytes(&text), &out->position) ||
                            read_token(out, r, o, buf_bytes(&text));
    buf_deinit(&text);
    if (!is_stream || sse_resume(&r->head, &last) != SSE_RESUME_FROM)
        return;
    out->is_asked = true;
    out->has_position = message_id_parse(last, &out->position);
}

void resume_deinit(struct resume *resume) {
    buf_deinit(&resume->text);
}
