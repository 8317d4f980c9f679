/* SPDX-License-Identifier: MIT */
/* The least that uses a heap: does it fit in 4 MiB?  With a number: a block of so many MiB. */
#include <errno.h>
#include <mimosa/heap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    char *text = malloc(100), *page = calloc(1, 5000);

    if (!text || !page) {
        return 1;
    }
    strcpy(text, "hello from ");
    strcat(text, mimosa_heap_name());
    puts(text);
    if (argc > 1) {
        void *volatile block = malloc(strtoul(argv[1], NULL, 10) << 20);
        puts(block ? "granted" : errno == ENOMEM ? "ENOMEM" : "refused");
        free(block);
    }
    free(page);
    free(text);
    return 0;
}
