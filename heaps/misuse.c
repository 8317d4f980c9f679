/* SPDX-License-Identifier: MIT */
/* How a heap ends a program that misused it, and how it says "no memory". */
#include "heaps/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *put_text(char *to, const char *text) {
    size_t length = strlen(text);

    memcpy(to, text, length);
    return to + length;
}

void heap_misuse(const char *heap, const char *what, const void *block) {
    char line[160];
    char *end = line;
    uintptr_t address = (uintptr_t)block;

    /* No printf: it may allocate, and the heap is in an unknown state. */
    end = put_text(end, heap);
    end = put_text(end, ": ");
    end = put_text(end, what);
    if (block) {
        end = put_text(end, " 0x");
        for (int shift = 60; shift >= 0; shift -= 4) {
            if (address >> shift) {
                *end++ = "0123456789abcdef"[(address >> shift) & 15];
            }
        }
    }
    *end++ = '\n';
    ssize_t written = write(STDERR_FILENO, line, (size_t)(end - line));
    (void)written; /* nobody left to tell */
    abort();
}

void *heap_no_memory(void) {
    errno = ENOMEM;
    return NULL;
}
