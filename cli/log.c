/* SPDX-License-Identifier: MIT */
/* Keeps the kernel's last words and puts names to its addresses. */
#include "cli/log.h"

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void open_one(struct mapped *file, struct symbols *symbols, const char *path) {
    *symbols = (struct symbols){ 0 };
    *file = (struct mapped){ NULL, 0 };
    if (path && !file_map(file, path)) {
        symbols_read(symbols, file->bytes, file->size);
    }
}

void log_names_open(struct log_names *names, const char *kernel, const char *program) {
    open_one(&names->kernel_file, &names->kernel, kernel);
    open_one(&names->program_file, &names->program, program);
}

void log_names_close(struct log_names *names) {
    symbols_free(&names->kernel);
    symbols_free(&names->program);
    file_unmap(&names->kernel_file);
    file_unmap(&names->program_file);
}

/* Reads <k:HEX> or <u:HEX> at `text`; its length, or 0 when it is something else. */
static size_t read_token(const char *text, size_t length, uint64_t *address) {
    size_t i = 3;

    if (length < 5 || text[0] != '<' || (text[1] != 'k' && text[1] != 'u') || text[2] != ':') {
        return 0;
    }
    for (*address = 0; i < length && i < 19; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = text[i] ? strchr(digits, text[i] | 0x20) : NULL;
        if (!digit) {
            break;
        }
        *address = *address << 4 | (uint64_t)(digit - digits);
    }
    return i > 3 && i < length && text[i] == '>' ? i + 1 : 0;
}

char *log_symbolize(const struct log_names *names, const char *text, size_t length) {
    char *result;
    size_t size;
    FILE *out = open_memstream(&result, &size);

    if (!out) {
        return strndup(text, length);
    }
    for (size_t i = 0; i < length;) {
        uint64_t address, offset = 0;
        size_t token = read_token(text + i, length - i, &address);
        if (!token) {
            fputc(text[i++], out);
            continue;
        }
        const struct symbols *symbols = text[i + 1] == 'k' ? &names->kernel : &names->program;
        const char *name = symbols_find(symbols, address, &offset);
        if (name) {
            /* Without what the compiler adds to its copies of a function: .isra.0, .lto_priv.1. */
            fprintf(out, "%.*s+0x%" PRIx64, (int)strcspn(name, "."), name, offset);
        } else {
            fprintf(out, "0x%" PRIx64, address);
        }
        i += token;
    }
    fclose(out);
    return result;
}

static void show_line(struct log *log, const char *line) {
    char *text = log_symbolize(log->names, line, strlen(line));
    char *ended = xasprintf("%s\n", text);

    log->show(log->context, ended, strlen(ended));
    free(ended);
    free(text);
}

void log_show_last(struct log *log, size_t lines) {
    size_t kept = log->count < LOG_KEPT ? log->count : LOG_KEPT;

    for (size_t i = lines < kept ? lines : kept; i; i--) {
        char **slot = &log->kept[(log->count - i) % LOG_KEPT];
        if (*slot) {
            show_line(log, *slot);
            free(*slot);
            *slot = NULL;
        }
    }
}

static void end_line(struct log *log) {
    static const char refusal[] = "mimosa: cannot start: ";
    char **slot = &log->kept[log->count++ % LOG_KEPT];

    while (log->used && log->line[log->used - 1] == '\r') {
        log->used--;
    }
    log->line[log->used] = '\0';
    log->used = 0;
    free(*slot);
    *slot = NULL;
    if (!strncmp(log->line, refusal, sizeof(refusal) - 1) && !log->refusal) {
        log->refusal = xstrdup(log->line + sizeof(refusal) - 1);
        return; /* the command says it, as its last line */
    }
    bool linux_panic = strstr(log->line, "Kernel panic - not syncing");
    if (linux_panic || !strncmp(log->line, "mimosa: panic", 13) ||
        strstr(log->line, "] mimosa: panic")) {
        log_show_last(log, LOG_KEPT); /* a kernel says its log again just before */
        log->panicked = true;
        log->linux_panic |= linux_panic;
    }
    if (log->live || log->panicked) {
        show_line(log, log->line);
    } else {
        *slot = xstrdup(log->line);
    }
}

void log_feed(struct log *log, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n') {
            end_line(log);
            continue;
        }
        if (log->used == LOG_LINE_MAX - 1) {
            end_line(log);
        }
        /* Serial text goes to a terminal: no control characters but the tab. */
        log->line[log->used++] =
            (unsigned char)text[i] < 32 && text[i] != '\t' && text[i] != '\r' ? '?' : text[i];
    }
}

void log_flush(struct log *log) {
    if (log->used) {
        end_line(log);
    }
}

void log_free(struct log *log) {
    for (size_t i = 0; i < LOG_KEPT; i++) {
        free(log->kept[i]);
        log->kept[i] = NULL;
    }
    free(log->refusal);
    log->refusal = NULL;
}
