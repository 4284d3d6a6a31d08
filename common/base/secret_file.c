/* secret_file.c - see secret_file.h. */
#include "common/base/secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/bytes.h"

/* A line as long as the bound, its line end, and one byte that shows that there is more. */
enum { BOM = 3, READ_MAX = BOM + SECRET_FILE_MAX + 3 };

static int refuse(int error, char *why_out, const char *why) {
    snprintf(why_out, SECRET_FILE_WHY, "%s", why);
    return error;
}

static int take_line(struct bytes all, char *text_out, char *why_out) {
    if (bytes_starts_with(all, BYTES_LIT("\xef\xbb\xbf")))
        all = bytes_from(all, BOM);
    struct bytes line = bytes_split(&all, '\n');
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0)
        return refuse(-ENODATA, why_out, "its first line is empty");
    if (line.len > SECRET_FILE_MAX) {
        snprintf(why_out, SECRET_FILE_WHY, "its first line is longer than %d bytes",
                 SECRET_FILE_MAX);
        return -E2BIG;
    }
    if (memchr(line.ptr, '\0', line.len) != NULL)
        return refuse(-EINVAL, why_out, "its first line holds a NUL byte: is it UTF-16?");
    memcpy(text_out, line.ptr, line.len);
    text_out[line.len] = '\0';
    return 0;
}

int secret_file_read(const char *path, char text_out[SECRET_FILE_MAX + 1],
                     char why_out[SECRET_FILE_WHY]) {
    char content[READ_MAX];
    text_out[0] = '\0';
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return refuse(-errno, why_out, strerror(errno));
    size_t len = fread(content, 1, sizeof(content), file);
    int error = ferror(file) ? errno : 0; /* a directory opens, and fails here */
    fclose(file);
    int result = error != 0 ? refuse(-error, why_out, strerror(error))
                            : take_line(bytes_of(content, len), text_out, why_out);
    explicit_bzero(content, sizeof(content));
    return result;
}
