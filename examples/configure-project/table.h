/* SPDX-License-Identifier: MIT */
/* A table of words and how often each came. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

struct word {
    char *text;
    size_t count;
};

struct table {
    struct word *words;
    size_t used, size;
};

/* Counts one word; 0, or -1 when memory is out. */
int table_count(struct table *table, const char *text, size_t length);

/* Sorts by count, the most frequent first. */
void table_sort(struct table *table);
void table_free(struct table *table);

#endif
