/* SPDX-License-Identifier: MIT */
/* The `mimosa` command: picks the subcommand and teaches who asks for help. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
};

static const char help_text[] =
    "mimosa: one Linux program as a virtual machine, on all its CPUs, with the heap of\n"
    "your choice.\n"
    "\n"
    "Try these:\n"
    "  mimosa run hello                        boot a program, print what it prints\n"
    "  echo hi | mimosa run cat                input, output and exit status pass through\n"
    "  mimosa run --cpus 2 --heap mimalloc ./a.out -v\n"
    "                                          two CPUs, another malloc, same binary\n"
    "  mimosa run --port 8080:80 ./server      this host's port 8080 is its port 80\n"
    "  mimosa cc -O2 prog.c -o prog            compile with every heap inside\n"
    "  mimosa bench                            which heap serves which load best\n"
    "  mimosa image ./prog -o prog.elf         one file that boots by itself\n"
    "\n"
    "Commands (each has its own --help):\n"
    "  run        start a static Linux program in a virtual machine\n"
    "  cc         C compiler: static musl programs with the heaps linked in\n"
    "  image      pack kernel, program and files into one bootable ELF file\n"
    "  bench      compare heaps, CPUs and systems with the same binary\n"
    "  syscalls   the Linux system calls Mimosa knows, and how well\n"
    "\n"
    "Options: --help, --version.  Manual: mimosa(1).\n";

int main(int argc, char **argv) {
    const struct command commands[] = {
        { "run", cmd_run },           { "cc", cmd_cc },
        { "image", cmd_image },       { "bench", cmd_bench },
        { "syscalls", cmd_syscalls },
    };

    if (argc < 2) {
        fputs(help_text, stderr);
        return CLI_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        fputs(help_text, stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        puts("mimosa " MIMOSA_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!strcmp(argv[1], commands[i].name)) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return cli_usage(NULL, "there is no command '%s'", argv[1]);
}
