/* test_ocsp_staple.c - which responses are handed out, and until when. The files are made by
 * openssl(1). */
#include "common/net/ocsp_staple.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/net/certificate.h"
#include "common/net/tls.h"
#include "tests/common/net/made_files.h"

/* good.ocsp holds for an hour; other.ocsp is about another certificate; endless.ocsp does not say
 * until when it holds; refusal.ocsp is the responder's error. */
static int make_files(void **state) {
    (void)state;
    log_set_level(LOG_ERROR);
    made_folder_begin("test_ocsp");
    made_by(
        "new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' && "
        "$new -x509 -keyout ca.key -out ca.pem -subj /CN=ca -days 30 && "
        "for n in good other; do $new -keyout $n.key -out $n.csr -subj /CN=$n && "
        "  openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $n.crt "
        "    -days 20 && cat $n.crt ca.pem $n.key >$n.pem && "
        "  serial=$(openssl x509 -in $n.crt -noout -serial | cut -d= -f2) && "
        "  printf 'V\\t400101000000Z\\t\\t%s\\tunknown\\t/CN=%s\\n' $serial $n >>index; done && "
        "cat good.crt good.key >alone.pem && cp ca.pem ca.crt && "
        "ask() { openssl ocsp -sha$1 -issuer ca.pem -cert $2.crt -no_nonce -reqout req && "
        "  openssl ocsp -index index -rsigner ca.pem -rkey ca.key -CA ca.pem -reqin req "
        "    -respout $3 $4 $5; } && "
        "ask 1 good good.ocsp -nmin 60 && ask 256 good sha256.ocsp -nmin 60 && "
        "ask 1 other other.ocsp -nmin 60 && ask 1 good endless.ocsp && "
        "printf '\\060\\003\\012\\001\\002' >refusal.ocsp && echo nonsense >bad.ocsp && "
        "(cat good.ocsp; head -c 20000 /dev/zero) >big.ocsp && cp good.ocsp file && "
        "cp big.ocsp most.ocsp && truncate -s 16384 most.ocsp && truncate -s 16385 big.ocsp && "
        "cat ca.pem ca.key >self.pem && ask 1 ca self.ocsp -nmin 60 && "
        "date -d \"$(openssl ocsp -respin good.ocsp -noverify -resp_text | "
        "  sed -n 's/ *Next Update: //p')\" +%s >until");
    return 0;
}

static struct certificate load(const char *pem, const char *ocsp) {
    struct tls_files files = {.certificate = made_path(pem), .ocsp = made_path(ocsp)};
    struct certificate c;
    char *error = NULL;
    assert_true(certificate_read(&files, &c, &error));
    return c;
}

static void only_what_is_about_the_certificate(void **state) {
    static const struct {
        const char *pem, *ocsp;
        bool is_used;
    } cases[] = {
        {"good.pem", "good.ocsp", true},   {"good.pem", "sha256.ocsp", true},
        {"other.pem", "other.ocsp", true}, {"good.pem", "other.ocsp", false},
        {"good.pem", "bad.ocsp", false},   {"good.pem", "none.ocsp", false},
        {"good.pem", "big.ocsp", false},   {"good.pem", "refusal.ocsp", false},
        {"alone.pem", "good.ocsp", false}, {"good.pem", "endless.ocsp", false},
        {"good.pem", "most.ocsp", true},   {"self.pem", "self.ocsp", true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct certificate c = load(cases[i].pem, cases[i].ocsp);
        if ((ocsp_staple_at(c.staple, time(NULL)).len > 0) != cases[i].is_used)
            fail_msg("%s with %s", cases[i].pem, cases[i].ocsp);
        certificate_deinit(&c);
    }
}

static long read_number(const char *name) {
    long number = 0;
    FILE *file = fopen(made_path(name), "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &number), 1);
    fclose(file);
    return number;
}

static void it_ends_with_its_time(void **state) {
    struct certificate c = load("good.pem", "good.ocsp");
    (void)state;
    assert_true(ocsp_staple_at(c.staple, time(NULL) + 50 * 60).len > 0);
    assert_int_equal(ocsp_staple_at(c.staple, time(NULL) + 61 * 60).len, 0);
    time_t until = (time_t)read_number("until");
    assert_true(ocsp_staple_at(c.staple, until - 1).len > 0);
    assert_int_equal(ocsp_staple_at(c.staple, until).len, 0);
    certificate_deinit(&c);
}

static void a_new_file_is_taken_up(void **state) {
    (void)state;
    made_by("cp bad.ocsp file");
    struct certificate c = load("good.pem", "file");
    assert_int_equal(ocsp_staple_at(c.staple, time(NULL)).len, 0);
    made_by("cp good.ocsp new && mv new file");
    ocsp_staple_refresh(c.staple);
    assert_true(ocsp_staple_at(c.staple, time(NULL)).len > 0);
    made_by("cp other.ocsp new && mv new file"); /* a wrong one leaves the one before */
    ocsp_staple_refresh(c.staple);
    assert_true(ocsp_staple_at(c.staple, time(NULL)).len > 0);
    made_by("rm file");
    ocsp_staple_refresh(c.staple);
    assert_true(ocsp_staple_at(c.staple, time(NULL)).len > 0);
    certificate_deinit(&c);
}

/* So many times a file was refused since the log was turned into a file. */
static unsigned refused(void) {
    unsigned count = 0;
    char line[1000];
    FILE *file = fopen(made_path("warnings"), "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        count += strstr(line, "refused_staple") != NULL;
    fclose(file);
    return count;
}

/* A file is read, and complained about, once for each that is put there. */
static void each_file_is_read_once(void **state) {
    int usual = dup(STDERR_FILENO);
    (void)state;
    made_by("cp bad.ocsp file");
    assert_non_null(freopen(made_path("warnings"), "w", stderr));
    log_set_level(LOG_WARN);
    struct certificate c = load("good.pem", "file");
    unsigned at_first = refused();
    ocsp_staple_refresh(c.staple);
    ocsp_staple_refresh(c.staple);
    unsigned unchanged = refused();
    made_by("cp other.ocsp new && mv new file");
    ocsp_staple_refresh(c.staple);
    ocsp_staple_refresh(c.staple);
    unsigned changed = refused();
    made_by("rm file");
    ocsp_staple_refresh(c.staple); /* the one before stays */
    unsigned gone = refused();
    log_set_level(LOG_ERROR);
    fflush(stderr);
    dup2(usual, STDERR_FILENO);
    close(usual);
    certificate_deinit(&c);
    assert_int_equal(at_first, 1);
    assert_int_equal(unchanged, 1);
    assert_int_equal(changed, 2);
    assert_int_equal(gone, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_what_is_about_the_certificate),
                                       cmocka_unit_test(it_ends_with_its_time),
                                       cmocka_unit_test(a_new_file_is_taken_up),
                                       cmocka_unit_test(each_file_is_read_once)};
    return cmocka_run_group_tests(tests, make_files, made_folder_end);
}
