/* SPDX-License-Identifier: MIT */
/* The lists on the command line of `mimosa bench`. */
#include "cli/bench.h"

#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>

/* Splits at commas into copies.  Returns the count, or -1 (none, or too many). */
static int split(const char *list, char **names) {
    int count = 0;

    while (*list) {
        size_t length = strcspn(list, ",");

        if (!length || count == (int)RESULTS_MAX) {
            return -1;
        }
        names[count++] = xasprintf("%.*s", (int)length, list);
        list += length;
        list += *list == ',';
    }
    return count ? count : -1;
}

int bench_names(const char *option, const char *list, const char *known, char **names,
                unsigned *count) {
    int parts = split(list, names);

    if (parts < 0) {
        return cli_usage("bench", "%s '%s': not a list of names", option, list);
    }
    *count = (unsigned)parts;
    for (int i = 0; i < parts; i++) {
        char *padded = xasprintf(",%s,", names[i]);
        bool found = strstr(known, padded) != NULL;

        free(padded);
        if (!found) {
            return cli_usage("bench", "%s: there is no '%s' (there are: %.*s)", option, names[i],
                             (int)strlen(known) - 2, known + 1);
        }
        for (int j = 0; j < i; j++) {
            if (!strcmp(names[i], names[j])) {
                return cli_usage("bench", "%s: '%s' is named twice", option, names[i]);
            }
        }
    }
    return 0;
}

int bench_numbers(const char *option, const char *list, unsigned *numbers, unsigned *count) {
    char *names[RESULTS_MAX];
    int parts = split(list, names), status = 0;

    if (parts < 0) {
        return cli_usage("bench", "%s '%s': not a list of numbers", option, list);
    }
    for (int i = 0; i < parts; i++) {
        char *end;
        unsigned long value = strtoul(names[i], &end, 10);

        if (!status && (*end || value < 1 || value > 64)) {
            status = cli_usage("bench", "%s: '%s' is not a number from 1 to 64", option, names[i]);
        }
        numbers[i] = (unsigned)value;
        free(names[i]);
    }
    *count = (unsigned)parts;
    return status;
}
