/* SPDX-License-Identifier: MIT */
/* `mimosa syscalls`: the kernel's own table, printed. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

enum status { none, partial, done, STATUS_COUNT };

struct syscall_row {
    unsigned number;
    const char *name;
    enum status status;
    const char *note;
};

static const struct syscall_row rows[] = {
#define SYSCALL(number, name, argc, args, status, note) { number, #name, status, note },
#include "linux/syscalls.tbl.h"
#undef SYSCALL
};

static const char *const status_names[] = { "none", "partial", "done" };

static const char help_text[] =
    "mimosa syscalls [--json] [done|partial|none] [NAME]...: the Linux x86-64 system calls\n"
    "and how Mimosa serves them:\n"
    "  done      Linux's results and errors; the note names the tests of that\n"
    "  partial   the note says what is missing\n"
    "  none      the program gets ENOSYS\n"
    "\n"
    "Examples:\n"
    "  mimosa syscalls futex mmap      only these\n"
    "  mimosa syscalls partial         what is missing where\n"
    "  mimosa syscalls --json          for other programs\n";

/* Whether the words on the command line ask for this row; no words ask for all. */
static bool is_wanted(const struct syscall_row *row, char **words) {
    bool any = false;

    for (; *words; words++) {
        if (strcmp(*words, "--json")) {
            any = true;
            if (!strcmp(*words, row->name) || !strcmp(*words, status_names[row->status])) {
                return true;
            }
        }
    }
    return !any;
}

static void print_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        putchar(*text);
    }
    putchar('"');
}

static void print_row(const struct syscall_row *row, bool json, bool first) {
    if (!json) {
        printf("%3u  %-24s %-8s", row->number, row->name, status_names[row->status]);
        printf("%s%s\n", *row->note ? row->status == done ? " test: " : " " : "", row->note);
        return;
    }
    printf(
        "%s  {\"number\": %u, \"name\": \"%s\", \"status\": \"%s\", \"%s\": ", first ? "" : ",\n",
        row->number, row->name, status_names[row->status], row->status == done ? "test" : "note");
    print_text(row->note);
    putchar('}');
}

int cmd_syscalls(int argc, char **argv) {
    unsigned counts[STATUS_COUNT] = { 0 };
    unsigned printed = 0;
    bool json = false;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(help_text, stdout);
            return 0;
        }
        if (argv[i][0] == '-' && strcmp(argv[i], "--json")) {
            return cli_usage("syscalls", "there is no option %s", argv[i]);
        }
        json |= !strcmp(argv[i], "--json");
    }
    fputs(json ? "[\n" : "", stdout);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        counts[rows[i].status]++;
        if (is_wanted(&rows[i], argv + 1)) {
            print_row(&rows[i], json, !printed++);
        }
    }
    if (json) {
        puts("\n]");
    } else if (argc == 1) {
        printf("%u done, %u partial, %u none\n", counts[done], counts[partial], counts[none]);
    } else if (!printed) {
        return cli_usage("syscalls", "Linux has no such system call on x86-64");
    }
    return 0;
}
