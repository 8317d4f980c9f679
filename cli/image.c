/* SPDX-License-Identifier: MIT */
/* `mimosa image`: kernel, program and files as one file that boots by itself. */
#include "cli/commands.h"
#include "cli/elf.h"
#include "cli/initrd.h"
#include "cli/net.h"
#include "cli/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help_text[] =
    "mimosa image PROGRAM [FILE]... -o IMAGE [-- ARG...]: pack the kernel, a static program,\n"
    "its arguments and files into one ELF file that any PVH loader boots: QEMU,\n"
    "Firecracker, Cloud Hypervisor.  Its output goes to the first serial port.\n"
    "\n"
    "Examples:\n"
    "  mimosa image hello -o hello.elf\n"
    "  mimosa image ./server site/ etc.conf:/etc/server.conf -o server.elf -- --port 80\n"
    "\n"
    "  -o IMAGE            the file to write (required)\n"
    "  FILE[:GUEST]        a file or directory to put into the root\n"
    "  --root DIR          take a whole directory as the root\n"
    "  --heap NAME         the heap that the program takes (as for `mimosa run`)\n"
    "  --env NAME=VALUE    an environment variable\n"
    "  --net               the program uses the network card that its machine will have\n"
    "  --ip ADDR/PREFIX[,GATEWAY[,DNS]]  that card's IPv4 address; DHCP without it\n"
    "  --kernel FILE       another Mimosa kernel\n"
    "  -- ARG...           the program's arguments\n";

static const struct option long_options[] = {
    { "root", required_argument, NULL, 'r' }, { "heap", required_argument, NULL, 'm' },
    { "env", required_argument, NULL, 'e' },  { "kernel", required_argument, NULL, 'k' },
    { "net", no_argument, NULL, 'n' },        { "ip", required_argument, NULL, 'i' },
    { "help", no_argument, NULL, 'h' },       { NULL, 0, NULL, 0 },
};

/* Takes one option; -1 to go on, or the status to exit with. */
static int take_option(struct run_options *options, const char **output, int id, char **argv) {
    const char *list;

    switch (id) {
    case 'o':
        *output = optarg;
        return -1;
    case 'r':
        options->root = optarg;
        return -1;
    case 'm':
        options->heap = optarg;
        return heap_is_known(optarg, &list)
                   ? -1
                   : cli_usage("image", "there is no heap '%s'; the heaps are: %s", optarg, list);
    case 'e':
        words_add(&options->environment, optarg);
        return -1;
    case 'n':
        options->image_net = true;
        return -1;
    case 'i':
        options->image_net = true;
        return net_parse_ip(options, "image", optarg);
    case 'k':
        options->kernel = optarg;
        return -1;
    case 'h':
        fputs(help_text, stdout);
        return 0;
    default:
        return cli_bad_option("image", id, argv);
    }
}

/*
 * PROGRAM, FILE... and, behind "--", the arguments.  getopt would hide the
 * "--", so that its place is looked for first.
 */
static int parse(struct run_options *options, const char **output, int argc, char **argv) {
    struct words words = { 0 };
    int own = 1, id;

    *options = (struct run_options){ .memory_bytes = 0 };
    while (own < argc && strcmp(argv[own], "--")) {
        own++;
    }
    optind = 1;
    opterr = 0;
    while ((id = getopt_long(own, argv, ":o:h", long_options, NULL)) != -1) {
        int status = take_option(options, output, id, argv);
        if (status >= 0) {
            return status;
        }
    }
    if (optind >= own) {
        return cli_usage("image", "which program?");
    }
    if (!*output) {
        return cli_usage("image", "-o IMAGE says which file to write");
    }
    words_add(&words, argv[optind]);
    for (int i = optind + 1; i < own; i++) {
        words_add(&options->files, argv[i]);
    }
    for (int i = own + 1; i < argc; i++) {
        words_add(&words, argv[i]);
    }
    options->program = words.items;
    return -1;
}

static int write_file(const char *path, const uint8_t *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    size_t done = 0;

    while (fd >= 0 && done < size) {
        ssize_t written = write(fd, bytes + done, size - done);
        if (written < 0) {
            break;
        }
        done += (size_t)written;
    }
    if (fd < 0 || done < size || close(fd)) {
        return cli_fail("cannot write %s: %s", path, strerror(errno));
    }
    return 0;
}

static void tell(const struct run_options *options, const struct packed *packed,
                 const struct mapped *kernel, const char *path) {
    uint8_t id[64];
    size_t length = elf_build_id(kernel->bytes, kernel->size, id);
    /* What the kernel and a small program need beyond the image itself. */
    uint64_t memory = (packed->least_memory >> 20) + 64;

    printf("wrote %s, %.1f MiB, kernel build id ", path, (double)packed->size / (1 << 20));
    for (size_t i = 0; i < length; i++) {
        printf("%02x", id[i]);
    }
    printf("%s\nboot it with:\n"
           "  qemu-system-x86_64 -M microvm -cpu max -m %lluM -nodefaults -no-reboot "
           "-display none \\\n"
           "      -sandbox on -serial stdio -device isa-debug-exit,iobase=0x501,iosize=1 \\\n"
           "      -kernel %s%s\n",
           length ? "" : "(none)", (unsigned long long)memory, path,
           options->image_net ? " \\" : "");
    if (options->image_net) {
        puts(
            "      -global virtio-mmio.force-legacy=false -device virtio-net-device,netdev=net \\\n"
            "      -netdev user,id=net,hostfwd=tcp:127.0.0.1:8080-:80");
    }
}

static int pack(const struct run_options *options, const char *program, const char *kernel_path,
                const char *output) {
    struct mapped kernel, initrd = { NULL, 0 };
    struct packed packed;
    uint64_t size;
    int status = CLI_FAILED;
    int error = file_map(&kernel, kernel_path);

    if (error) {
        return cli_fail("cannot read the kernel %s: %s", kernel_path, strerror(-error));
    }
    int fd = initrd_build(options, program, NULL, NULL, &size);
    if (fd < 0) {
        goto unmap_kernel;
    }
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        cli_fail("cannot read the initrd: %s", strerror(errno));
        goto close_initrd;
    }
    initrd = (struct mapped){ bytes, size };
    const char *why = pack_image(&packed, &kernel, &initrd);
    if (why) {
        cli_fail("cannot pack with the kernel %s: %s", kernel_path, why);
        goto unmap_initrd;
    }
    status = write_file(output, packed.bytes, packed.size);
    if (!status) {
        tell(options, &packed, &kernel, output);
    }
    free(packed.bytes);
unmap_initrd:
    file_unmap(&initrd);
close_initrd:
    close(fd);
unmap_kernel:
    file_unmap(&kernel);
    return status;
}

int cmd_image(int argc, char **argv) {
    struct run_options options;
    const char *output = NULL;
    int status = parse(&options, &output, argc, argv);

    if (status >= 0) {
        return status;
    }
    char *program = program_find(&options);
    char *kernel = program ? kernel_find(&options) : NULL;
    status = program && kernel ? pack(&options, program, kernel, output) : CLI_FAILED;
    free(kernel);
    free(program);
    free(options.program);
    free(options.environment.items);
    free(options.files.items);
    return status;
}
