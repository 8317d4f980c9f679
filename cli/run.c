/* SPDX-License-Identifier: MIT */
/* `mimosa run`: from the command line to the exit status. */
#include "cli/commands.h"
#include "cli/elf.h"
#include "cli/initrd.h"
#include "cli/log.h"
#include "cli/machine.h"
#include "cli/net.h"
#include "cli/options.h"
#include "cli/process.h"
#include "cli/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KERNEL_START   0x100000u
#define KERNEL_LEAST   0x10000u /* first page tables, a page of rounding; less runs no program */
#define Q35_ACPI_BYTES 0x28000u /* QEMU keeps them free at the end of a q35's memory */

/* What one run boots. */
struct boot {
    char *kernel;  /* file for QEMU */
    char *symbols; /* file with the kernel's names, or NULL */
    char *init;    /* a Linux machine: the relay that is Linux's first process */
    char *modules; /* a Linux machine: folder of drivers to load, or NULL */
};

static void boot_free(struct boot *boot) {
    free(boot->kernel);
    free(boot->symbols);
    free(boot->init);
    free(boot->modules);
}

static int find_mimosa(const struct run_options *options, struct boot *boot) {
    boot->kernel = kernel_find(options);
    if (!boot->kernel) {
        return CLI_FAILED;
    }
    boot->symbols = xasprintf("%s.debug", boot->kernel);
    if (access(boot->symbols, R_OK)) {
        free(boot->symbols);
        boot->symbols = xstrdup(boot->kernel);
    }
    return 0;
}

static int find_linux(const struct run_options *options, struct boot *boot) {
    static const char *const inits[] = { "linux-init", NULL };
    bool lean = options->on == ON_LINUX_LEAN;
    char *folder = options->linux_kernel ? NULL : linux_find(lean ? "linux-lean" : "linux-vm");

    if (folder) {
        boot->kernel = xasprintf("%s/vmlinuz", folder);
        boot->modules = xasprintf("%s/modules", folder);
        free(folder);
    }
    if (options->linux_kernel) {
        boot->kernel = xstrdup(options->linux_kernel);
    }
    if (!boot->kernel || access(boot->kernel, R_OK)) {
        return boot->kernel
                   ? cli_fail("cannot read the Linux kernel %s", boot->kernel)
                   : cli_fail("no %s kernel in the cache; type %s in Mimosa's sources%s, or give "
                              "--linux-kernel FILE",
                              lean ? "lean Linux" : "Linux",
                              lean ? "tools/build-linux-lean" : "tools/fetch-linux",
                              lean ? " (once, ten minutes)" : "");
    }
    /* Drivers as modules may lie next to a kernel of the user's own, too. */
    if (!boot->modules) {
        char *beside = xstrdup(boot->kernel);
        char *slash = strrchr(beside, '/');
        *(slash ? slash : beside) = '\0';
        boot->modules = xasprintf("%s/modules", slash ? beside : ".");
        free(beside);
    }
    if (access(boot->modules, R_OK)) {
        free(boot->modules);
        boot->modules = NULL;
    }
    boot->init = cli_find(inits);
    return boot->init ? 0 : cli_fail("there is no linux-init next to this command; type `make`");
}

/* Where the kernel ends in the machine's memory; of a Linux kernel we know where it begins. */
static uint64_t kernel_end(const char *kernel) {
    struct mapped file;
    uint64_t end = 0;

    if (!file_map(&file, kernel)) {
        end = elf_load_end(file.bytes, file.size);
        file_unmap(&file);
    }
    return end ? end : KERNEL_START;
}

/*
 * QEMU lays the initrd at the end of memory, over the kernel if need be, and its own line for what
 * does not fit at all would name neither size.
 */
static int check_memory(const struct run_options *options, const char *kernel,
                        uint64_t initrd_bytes) {
    uint64_t acpi = options_machine(options) == MACHINE_Q35 ? Q35_ACPI_BYTES : 0;
    uint64_t needed = kernel_end(kernel) + KERNEL_LEAST + initrd_bytes + acpi;

    if (needed <= options->memory_bytes) {
        return 0;
    }
    return cli_fail("the kernel, the program and its files take %llu MiB, too much for a machine "
                    "of %llu MiB; give more with --mem",
                    (unsigned long long)((needed + (1u << 20) - 1) >> 20),
                    (unsigned long long)(options->memory_bytes >> 20));
}

static void say_gdb_line(const struct machine *machine, const struct boot *boot,
                         const char *program) {
    static const char *const scripts[] = { "mimosa.gdb", "../tools/gdb/mimosa.gdb", NULL };
    char *script = cli_find(scripts);
    struct mapped file;
    bool moves = false; /* where to, only the running kernel knows */

    if (!file_map(&file, program)) {
        moves = elf_is_pie(file.bytes, file.size);
        file_unmap(&file);
    }
    char *before = moves ? xstrdup("") : xasprintf(" -ex 'add-symbol-file %s'", program);
    char *after = moves ? xasprintf(" -ex 'tbreak thread_enter_user' -ex continue"
                                    " -ex 'mimosa-pie %s'",
                                    program)
                        : xstrdup("");
    fprintf(stderr,
            "mimosa: the machine waits for gdb; in another terminal, type:\n"
            "  gdb %s%s%s%s -ex 'target remote %s/" MACHINE_GDB_SOCKET "'%s\n",
            boot->symbols ? boot->symbols : boot->kernel, script ? " -x " : "",
            script ? script : "", before, machine->gdb_folder, after);
    free(before);
    free(after);
    free(script);
}

static int run_machine(const struct run_options *options, const struct boot *boot,
                       const char *program) {
    struct log_names names;
    struct machine machine;
    uint64_t initrd_bytes;
    int status = CLI_FAILED;

    relay_prepare();
    int initrd = initrd_build(options, program, boot->init, boot->modules, &initrd_bytes);
    if (initrd < 0 || check_memory(options, boot->kernel, initrd_bytes)) {
        return status;
    }
    if (machine_start(&machine, options, boot->kernel, initrd) == 0) {
        if (options->gdb) {
            say_gdb_line(&machine, boot, program);
        }
        log_names_open(&names, boot->symbols, program);
        status = relay_run(&machine, options, &names);
        log_names_close(&names);
        machine_end(&machine);
    }
    close(initrd);
    return status;
}

/* A heap can only be chosen where there is more than one. */
static void check_heap(const struct run_options *options, const char *program) {
    static const char variable[] = "MIMOSA_HEAP="; /* what the dispatcher looks for */
    struct mapped file;

    if (options->heap && !file_map(&file, program)) {
        if (!memmem(file.bytes, file.size, variable, sizeof(variable) - 1)) {
            fprintf(stderr,
                    "mimosa: note: --heap %s changes nothing: %s was not linked with `mimosa cc`\n",
                    options->heap, program);
        }
        file_unmap(&file);
    }
}

int cmd_run(int argc, char **argv) {
    struct run_options options;
    struct boot boot = { NULL, NULL, NULL, NULL };
    int status = options_parse(&options, argc, argv);

    if (status >= 0) {
        return status;
    }
    char *program = program_find(&options);
    if (!program) {
        return CLI_FAILED;
    }
    check_heap(&options, program);
    net_note(&options);
    if (options.on == ON_LINUX) {
        status = process_run(&options, program);
    } else {
        status = system_is_linux_machine(options.on) ? find_linux(&options, &boot)
                                                     : find_mimosa(&options, &boot);
        status = status ? status : run_machine(&options, &boot, program);
    }
    boot_free(&boot);
    free(program);
    free(options.environment.items);
    free(options.files.items);
    free(options.ports.items);
    return status;
}
