/* SPDX-License-Identifier: MIT */
/* The least that uses a heap: does it fit in 4 MiB? */
#include <mimosa/heap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *text = malloc(100), *page = calloc(1, 5000);

    if (!text || !page) {
        return 1;
    }
    strcpy(text, "hello from ");
    strcat(text, mimosa_heap_name());
    puts(text);
    free(page);
    free(text);
    return 0;
}
