/* What tests/tools/test_mutation.py mutates. Each line of it says which mutants it has to have. */
#include <stdbool.h>
#include <stddef.h>

enum kind { KIND_NONE, KIND_ONE, KIND_TWO };
enum { LENGTH_MAX = 8 };

#define MUST(x) ((void)(x))

static int calls;

void first(void) {
    calls++;
}
void second(void) {
    calls *= 2;
}

bool is_within(int length) {
    return length <= LENGTH_MAX;
}

enum kind kind_of(int length, bool is_loud) {
    if (length == 0 || !is_loud)
        return KIND_NONE;
    return length > 1 ? KIND_TWO : KIND_ONE;
}

const char *rest(const char *text, size_t skip) {
    MUST(text != NULL);
    while (skip-- > 0)
        text++;
    return text;
}

int both(int times) {
    calls = 3;
    for (int i = 0; i < times; i++) {
        if (i == 5)
            break;
        first();
        second();
    }
    return calls;
}

int difference(int a, int b) {
    return a - b;
}

int backwards(int a, int b) {
    return difference(b, a);
}
