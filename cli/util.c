/* SPDX-License-Identifier: MIT */
/* Error lines, memory that never fails, and where the command's files lie. */
#include "cli/commands.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void vsay(const char *format, va_list arguments) {
    char line[4096];

    /* One write, so that lines of several processes do not mix. */
    int used = snprintf(line, sizeof(line), "mimosa: ");
    vsnprintf(line + used, sizeof(line) - (size_t)used, format, arguments);
    fprintf(stderr, "%s\n", line);
}

int cli_fail(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsay(format, arguments);
    va_end(arguments);
    return CLI_FAILED;
}

int cli_usage(const char *command, const char *format, ...) {
    va_list arguments;
    char text[3000];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    cli_fail("%s (see `mimosa %s%s--help`)", text, command ? command : "", command ? " " : "");
    return CLI_USAGE;
}

int cli_bad_option(const char *command, int result, char **argv) {
    const char *word = argv[optind - 1];
    int name = (int)strcspn(word, "=");

    if (result == ':') {
        return cli_usage(command, "%s needs a value", word);
    }
    if (optopt > 255) {
        return cli_usage(command, "%.*s takes no value", name, word);
    }
    /* Of several letters in one word, getopt knows which; the word may not be passed yet. */
    return optopt ? cli_usage(command, "there is no option -%c", optopt)
                  : cli_usage(command, "there is no option %.*s", name, word);
}

static _Noreturn void no_memory(void) {
    exit(cli_fail("out of memory on the host"));
}

void *xmalloc(size_t bytes) {
    void *memory = malloc(bytes ? bytes : 1);

    if (!memory) {
        no_memory();
    }
    return memory;
}

void *xrealloc(void *old, size_t bytes) {
    void *memory = realloc(old, bytes ? bytes : 1);

    if (!memory) {
        no_memory();
    }
    return memory;
}

char *xstrdup(const char *text) {
    char *copy = strdup(text);

    if (!copy) {
        no_memory();
    }
    return copy;
}

char *xasprintf(const char *format, ...) {
    va_list arguments;
    char *text;

    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        no_memory();
    }
    return text;
}

const char *cli_home(void) {
    static char home[PATH_MAX];

    if (!home[0]) {
        ssize_t length = readlink("/proc/self/exe", home, sizeof(home) - 1);
        char *slash = length > 0 ? strrchr(home, '/') : NULL;
        if (!slash) {
            strcpy(home, ".");
        } else {
            *slash = '\0';
        }
    }
    return home;
}

char *cli_find(const char *const *names) {
    for (; *names; names++) {
        char *path = **names == '/' ? xstrdup(*names) : xasprintf("%s/%s", cli_home(), *names);
        if (!access(path, R_OK)) {
            return path;
        }
        free(path);
    }
    return NULL;
}
