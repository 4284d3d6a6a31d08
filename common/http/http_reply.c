/* http_reply.c - see http_reply.h. */
#include "common/http/http_reply.h"

#include <string.h>

#include "common/http/http_head.h"

static const struct {
    int status;
    const char *text;
} statuses[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a Teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_status_text(int status) {
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "Unknown";
}

void http_reply_begin(struct buf *out, int minor_version, int status) {
    MUST(status >= 100 && status <= 999);
    buf_printf(out, "HTTP/1.%d %d %s\r\n", minor_version == 0 ? 0 : 1, status,
               http_status_text(status));
}

bool http_reply_header(struct buf *out, struct bytes name, struct bytes value) {
    if (!http_is_token(name) || !http_is_field_value(value))
        return false;
    buf_append(out, name);
    buf_append_str(out, ": ");
    buf_append(out, value);
    buf_append_str(out, "\r\n");
    return true;
}

void http_reply_drop(struct buf *lines, struct bytes name) {
    struct buf kept = {0};
    struct bytes rest = buf_bytes(lines);
    while (rest.len > 0) {
        struct bytes line = bytes_split(&rest, '\n'), value = line;
        if (bytes_equal_nocase(bytes_split(&value, ':'), name))
            continue;
        buf_append(&kept, line);
        buf_append_char(&kept, '\n');
    }
    buf_deinit(lines);
    *lines = kept;
}

void http_reply_end(struct buf *out, int64_t content_length, bool keep_alive, struct bytes body) {
    MUST(content_length == HTTP_NO_LENGTH || content_length >= (int64_t)body.len);
    if (content_length != HTTP_NO_LENGTH)
        buf_printf(out, "Content-Length: %lld\r\n", (long long)content_length);
    buf_append_str(out,
                   keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
    buf_append(out, body);
}

static void put_digits(char *at, int count, int value) {
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void http_date(time_t when, char out[HTTP_DATE_SIZE]) {
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    MUST(gmtime_r(&when, &tm) != NULL && tm.tm_year >= -1900 && tm.tm_year <= 9999 - 1900);
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", HTTP_DATE_SIZE);
    memcpy(out, days + 3 * tm.tm_wday, 3);
    put_digits(out + 5, 2, tm.tm_mday);
    memcpy(out + 8, months + 3 * tm.tm_mon, 3);
    put_digits(out + 12, 4, tm.tm_year + 1900);
    put_digits(out + 17, 2, tm.tm_hour);
    put_digits(out + 20, 2, tm.tm_min);
    put_digits(out + 23, 2, tm.tm_sec);
}
