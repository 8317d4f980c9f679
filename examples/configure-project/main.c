/* SPDX-License-Identifier: MIT */
/* Counts the words of standard input or of files, the most frequent first. */
#include "table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static int count_file(struct table *table, FILE *in) {
    char text[256];
    size_t length = 0;
    int byte;

    do {
        byte = getc(in);
        if (byte != EOF && isalnum(byte) && length < sizeof(text)) {
            text[length++] = (char)tolower(byte);
        } else if (length) {
            if (table_count(table, text, length)) {
                return -1;
            }
            length = 0;
        }
    } while (byte != EOF);
    return ferror(in) ? -1 : 0;
}

int main(int argc, char **argv) {
    struct table table = { 0 };
    int error = 0;

    if (argc < 2) {
        error = count_file(&table, stdin);
    }
    for (int i = 1; i < argc && !error; i++) {
        FILE *in = fopen(argv[i], "r");
        error = in ? count_file(&table, in) : -1;
        if (in) {
            fclose(in);
        }
    }
    if (error) {
        perror("wordcount");
        return 1;
    }
    table_sort(&table);
    for (size_t i = 0; i < table.used && i < 10; i++) {
        printf("%7zu %s\n", table.words[i].count, table.words[i].text);
    }
    table_free(&table);
    return 0;
}
