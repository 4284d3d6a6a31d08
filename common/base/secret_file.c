/* secret_file.c - see secret_file.h. */
#include "common/base/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---- making one */

static bool write_line(int file, const char *secret) {
    return dprintf(file, "%s\n", secret) == (int)strlen(secret) + 1 && fsync(file) == 0;
}

static int check_made(const char *path, char *why_out) {
    char text[SECRET_FILE_MAX + 1];
    int result = secret_file_read(path, text, why_out);
    explicit_bzero(text, sizeof(text));
    return result;
}

int secret_file_make(const char *path, const char *secret, char why_out[SECRET_FILE_WHY]) {
    char fresh[PATH_MAX];
    if (access(path, F_OK) == 0)
        return check_made(path, why_out);
    if (snprintf(fresh, sizeof(fresh), "%s.XXXXXX", path) >= (int)sizeof(fresh))
        return refuse(-ENAMETOOLONG, why_out, strerror(ENAMETOOLONG));
    int file = mkostemp(fresh, O_CLOEXEC); /* for its owner alone */
    if (file < 0)
        return refuse(-errno, why_out, strerror(errno));
    /* A link never replaces what is there. */
    bool is_made = write_line(file, secret) && link(fresh, path) == 0;
    int error = is_made ? 0 : errno;
    close(file);
    unlink(fresh);
    if (error == EEXIST)
        return check_made(path, why_out);
    return is_made ? 1 : refuse(-error, why_out, strerror(error));
}
