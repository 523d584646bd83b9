/* Words sorted in several ways: qsort with callbacks, globals, statics, string operations and a
   linked list. Prints its results and returns 0. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {
    "Parquet", "arrow", "block", "Edge", "call", "frame", "address", "Table", "row", "column",
};
enum { WORD_COUNT = sizeof words / sizeof words[0] };

struct entry {
    const char *word;
    size_t length;
    struct entry *next;
};

int comparisons;
static struct entry entries[WORD_COUNT];
static char line[256];

static int by_text(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    comparisons++;
    return strcmp(a->word, b->word);
}

static int by_length(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    comparisons++;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return by_text(left, right);
}

static int ignoring_case(const void *left, const void *right) {
    const char *a = ((const struct entry *)left)->word, *b = ((const struct entry *)right)->word;
    comparisons++;
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b)) {
        a++;
        b++;
    }
    return tolower((unsigned char)*a) - tolower((unsigned char)*b);
}

__attribute__((noinline)) static unsigned next_number(void) {
    static unsigned state = 12345;
    state = state * 1103515245u + 12345u;
    return state >> 16;
}

__attribute__((noinline)) static void shuffle(void) {
    for (size_t i = WORD_COUNT - 1; i > 0; i--) {
        size_t j = next_number() % (i + 1);
        struct entry other = entries[i];
        entries[i] = entries[j];
        entries[j] = other;
    }
}

__attribute__((noinline)) static struct entry *link_entries(void) {
    struct entry *head = NULL;
    for (size_t i = WORD_COUNT; i > 0; i--) {
        entries[i - 1].next = head;
        head = &entries[i - 1];
    }
    return head;
}

static void show(const char *title, int (*compare)(const void *, const void *)) {
    shuffle();
    qsort(entries, WORD_COUNT, sizeof entries[0], compare);
    line[0] = '\0';
    for (const struct entry *entry = link_entries(); entry; entry = entry->next) {
        strncat(line, entry->word, sizeof line - strlen(line) - 1);
        if (entry->next)
            strncat(line, " ", sizeof line - strlen(line) - 1);
    }
    printf("%s: %s\n", title, line);
}

int main(void) {
    static int (*const orders[])(const void *, const void *) = {by_text, by_length, ignoring_case};
    static const char *const titles[] = {"text", "length", "case"};
    for (size_t i = 0; i < WORD_COUNT; i++) {
        entries[i].word = words[i];
        entries[i].length = strlen(words[i]);
    }
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        show(titles[i], orders[i]);
    printf("compared %s\n", comparisons > 0 ? "some" : "none");
    return 0;
}
