/* channel_frame.c - see channel_frame.h. */
#include "gateway/session/channel_frame.h"

/* The members that are looked at. */
enum field {
    FIELD_TYPE,
    FIELD_CHANNEL,
    FIELD_REF,
    FIELD_PATH,
    FIELD_RESUME,
    FIELD_TOKEN,
    FIELD_LAST,
    FIELDS
};

static const char *const names[FIELDS] = {"type",   "channel", "ref", "path",
                                          "resume", "token",   "last"};

struct reading {
    struct bytes text;
    struct json_value values[FIELDS];
    struct bytes channel_key; /* with its quotes */
    bool has_other;           /* a key that is none of these */
    int twice;                /* a field that is given twice, or -1 */
};

static enum field field_of(struct bytes key_text) {
    char room[JSON_KEY_ROOM];
    struct bytes key = json_key(bytes_of(key_text.ptr + 1, key_text.len - 2), room);
    for (int i = 0; i < FIELDS; i++)
        if (bytes_equal_str(key, names[i]))
            return (enum field)i;
    return FIELDS;
}

static bool on_member(void *ctx, struct bytes key_text, struct json_value value) {
    struct reading *r = ctx;
    enum field field = field_of(key_text);
    if (field == FIELDS) {
        r->has_other = true;
        return true;
    }
    if (r->values[field].kind != JSON_KIND_ABSENT && r->twice < 0)
        r->twice = (int)field;
    if (field == FIELD_CHANNEL)
        r->channel_key = key_text;
    r->values[field] = value;
    return true;
}

static bool is_given(const struct reading *r, enum field field) {
    return r->values[field].kind > JSON_KIND_NULL;
}

static enum channel_frame_kind kind_of(const struct reading *r) {
    static const struct {
        const char *text;
        enum channel_frame_kind kind;
    } kinds[] = {{"\"open\"", CHANNEL_OPEN},
                 {"\"close\"", CHANNEL_CLOSE},
                 {"\"token\"", CHANNEL_TOKEN},
                 {"\"ping\"", CHANNEL_PING}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (bytes_equal_str(r->values[FIELD_TYPE].text, kinds[i].text))
            return kinds[i].kind;
    return CHANNEL_MESSAGE;
}

/* The member from its key to its value, with the comma behind it or, if it is the last, before. */
static struct bytes member_of(const struct reading *r) {
    struct bytes value = r->values[FIELD_CHANNEL].text;
    const char *from = r->channel_key.ptr, *to = value.ptr + value.len;
    const char *begin = r->text.ptr, *end = begin + r->text.len;
    const char *next = to;
    while (next < end && *next != ',' && *next != '}')
        next++;
    if (next < end && *next == ',')
        return bytes_of(from, (size_t)(next + 1 - from));
    while (from > begin && from[-1] != ',' && from[-1] != '{')
        from--;
    if (from > begin && from[-1] == ',')
        from--;
    return bytes_of(from, (size_t)(to - from));
}

/* NULL, or what is wrong with the fields that are common to all frames. */
static const char *read_common(const struct reading *r, struct channel_frame *f) {
    struct json_value ref = r->values[FIELD_REF], channel = r->values[FIELD_CHANNEL];
    bool is_ref = ref.kind == JSON_KIND_STRING || ref.kind == JSON_KIND_NUMBER;
    if (is_given(r, FIELD_REF) && is_ref && ref.text.len <= CHANNEL_REF_MAX)
        f->ref = ref.text;
    if (r->twice == FIELD_CHANNEL || r->twice == FIELD_TYPE)
        return "channel or type is given twice";
    if (is_given(r, FIELD_CHANNEL) && (channel.kind != JSON_KIND_NUMBER ||
                                       !bytes_to_u64(channel.text, &f->channel) || f->channel == 0))
        return "channel: it must be the number of a channel";
    return NULL;
}

static bool is_string(const struct reading *r, enum field field) {
    return r->values[field].kind == JSON_KIND_STRING;
}

/* Likewise, of what the socket is told. */
static const char *read_own(const struct reading *r, struct channel_frame *f) {
    uint64_t last;
    bool is_open = f->kind == CHANNEL_OPEN, is_close = f->kind == CHANNEL_CLOSE;
    if (r->has_other || r->twice >= 0)
        return "there is a key that is unknown, or that is given twice";
    if (is_given(r, FIELD_REF) && f->ref.len == 0)
        return "ref: it must be a string or a number of at most 128 bytes";
    if (f->channel != 0 && !is_close)
        return "channel: it has no meaning here";
    if ((is_open || (is_close && f->channel == 0)) && f->ref.len == 0)
        return is_open ? "open: ref is missing" : "close: channel or ref is missing";
    if (is_open && !is_string(r, FIELD_PATH))
        return "open: path must be a string";
    if (is_given(r, FIELD_RESUME) && !is_string(r, FIELD_RESUME))
        return "resume: it must be a string";
    if ((is_given(r, FIELD_TOKEN) || f->kind == CHANNEL_TOKEN) && !is_string(r, FIELD_TOKEN))
        return "token: it must be a string";
    if (is_given(r, FIELD_LAST) && !bytes_to_u64(r->values[FIELD_LAST].text, &last))
        return "last: it must be a number, 0 or more";
    f->path = r->values[FIELD_PATH];
    f->resume = r->values[FIELD_RESUME];
    f->token = r->values[FIELD_TOKEN];
    f->last = r->values[FIELD_LAST];
    return NULL;
}

static const char *read(const struct reading *r, struct channel_frame *f) {
    const char *fault = read_common(r, f);
    if (fault != NULL)
        return fault;
    f->kind = kind_of(r);
    /* What has another type is the client's own, as without channels. */
    if (f->kind == CHANNEL_PING || f->kind == CHANNEL_MESSAGE) {
        if (f->channel != 0)
            f->kind = CHANNEL_MESSAGE;
        else if (f->kind == CHANNEL_MESSAGE)
            return "channel is missing, or type is not one of open, close, token, ping";
    }
    if (f->kind != CHANNEL_MESSAGE)
        return read_own(r, f);
    f->member = member_of(r);
    return NULL;
}

bool channel_frame_read(struct bytes text, struct channel_frame *f_out, struct buf *error_out) {
    struct json_document *d = json_open(text, error_out);
    *f_out = (struct channel_frame){0};
    if (d == NULL)
        return false;
    struct reading r = {.text = text, .twice = -1};
    const char *fault = "it is no JSON object";
    if (json_root(d).kind == JSON_KIND_OBJECT) {
        json_each_member(json_root(d), on_member, &r);
        fault = read(&r, f_out);
    }
    json_close(d);
    if (fault != NULL)
        buf_append_str(error_out, fault);
    return fault == NULL;
}

void channel_frame_message(struct bytes text, const struct channel_frame *f, struct buf *out) {
    size_t before = (size_t)(f->member.ptr - text.ptr);
    buf_append(out, bytes_of(text.ptr, before));
    buf_append(out, bytes_from(text, before + f->member.len));
}
