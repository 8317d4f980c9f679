/* SPDX-License-Identifier: MIT */
/* An open-addressed hash table that grows by half. */
#define _GNU_SOURCE
#include "table.h"

#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef HAVE_REALLOCARRAY
#define reallocarray(old, count, size) realloc(old, (count) * (size))
#endif

static size_t hash(const char *text, size_t length) {
    uint64_t value = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < length; i++) {
        value = (value ^ (unsigned char)text[i]) * 1099511628211u;
    }
    return (size_t)value;
}

static struct word *find(struct table *table, const char *text, size_t length) {
    size_t at = hash(text, length) % table->size;

    while (table->words[at].text && (strlen(table->words[at].text) != length ||
                                     memcmp(table->words[at].text, text, length))) {
        at = (at + 1) % table->size;
    }
    return &table->words[at];
}

static int grow(struct table *table) {
    struct table larger = { .used = table->used, .size = table->size * 3 / 2 + 64 };

    larger.words = reallocarray(NULL, larger.size, sizeof(struct word));
    if (!larger.words) {
        return -1;
    }
    memset(larger.words, 0, larger.size * sizeof(struct word));
    for (size_t i = 0; i < table->size; i++) {
        struct word *word = &table->words[i];
        if (word->text) {
            *find(&larger, word->text, strlen(word->text)) = *word;
        }
    }
    free(table->words);
    *table = larger;
    return 0;
}

int table_count(struct table *table, const char *text, size_t length) {
    if (table->used * 4 >= table->size * 3 && grow(table)) {
        return -1;
    }
    struct word *word = find(table, text, length);
    if (!word->text) {
        word->text = strndup(text, length);
        if (!word->text) {
            return -1;
        }
        table->used++;
    }
    word->count++;
    return 0;
}

static int by_count(const void *left, const void *right) {
    const struct word *a = left, *b = right;

    if (a->count != b->count) {
        return a->count > b->count ? -1 : 1;
    }
    return !a->text || !b->text ? 0 : strcmp(a->text, b->text);
}

void table_sort(struct table *table) {
    if (table->used) {
        qsort(table->words, table->size, sizeof(struct word), by_count);
    }
}

void table_free(struct table *table) {
    for (size_t i = 0; i < table->size; i++) {
        free(table->words[i].text);
    }
    free(table->words);
}
