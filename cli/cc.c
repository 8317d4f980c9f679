/* SPDX-License-Identifier: MIT */
/*
 * `mimosa cc`: a drop-in C compiler.  It is gcc with musl's headers and
 * library (heaps/musl.specs), always static, and with the heaps linked in
 * front of everything else.
 *
 * The heaps go first and whole, so that every malloc in the program and in
 * libc meets them, wherever a command line puts -lc.  Their symbols are weak:
 * a program that defines its own malloc keeps it.
 *
 * All arguments pass through to gcc as they are, but for --heap and the
 * choices of linkage, of which there is one: -pie becomes -static-pie.
 */
#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "usage: mimosa cc [--heap NAME] [GCC'S OPTIONS] FILE...\n"
    "\n"
    "A C compiler (gcc with musl) that makes static programs with the heaps inside,\n"
    "for Linux and Mimosa alike.  Use it as CC:  ./configure CC=\"mimosa cc\"\n"
    "\n"
    "  mimosa cc -O2 prog.c -o prog      all heaps: MIMOSA_HEAP=NAME ./prog chooses one,\n"
    "                                    mimalloc without it\n"
    "  mimosa cc --heap buddy prog.c     that heap alone, called without dispatch\n"
    "  mimosa cc --heap none prog.c      libc's own malloc, nothing added\n"
    "\n"
    "Heaps: buddy, buddy-page, mimalloc, musl, bump; by --heap alone: mimalloc-secure.\n"
    "Programs are ET_EXEC; with -static-pie or -pie, position independent.  Frame\n"
    "pointers are kept for backtraces; -fomit-frame-pointer drops them.  <mimosa/heap.h>\n"
    "has the heap's name and statistics.  MIMOSA_CC_GCC names another gcc.\n";

/* What the command line asks for. */
struct request {
    const char *heap; /* --heap, or NULL for all */
    bool links;       /* gcc will call the linker */
    bool inputs;      /* there is something to compile or link */
    bool pie;
    bool bare; /* -nostdlib and its like: the caller brings its own libc */
};

/* gcc's options whose argument is the next word. */
static bool takes_word(const char *option) {
    static const char *const options[] = {
        "-o",
        "-x",
        "-I",
        "-L",
        "-l",
        "-D",
        "-U",
        "-include",
        "-imacros",
        "-isystem",
        "-iquote",
        "-idirafter",
        "-iprefix",
        "-iwithprefix",
        "-isysroot",
        "-iwithprefixbefore",
        "-imultilib",
        "-MF",
        "-MT",
        "-MQ",
        "-Xlinker",
        "-Xassembler",
        "-Xpreprocessor",
        "-T",
        "-u",
        "-z",
        "-e",
        "-A",
        "-B",
        "--param",
        "-aux-info",
        "-dumpbase",
        "-dumpdir",
        "-dumpbase-ext",
        "-wrapper",
        "-G",
        "-specs",
        "--sysroot",
        "-h",
        "-R",
        NULL,
    };

    for (const char *const *known = options; *known; known++) {
        if (!strcmp(option, *known)) {
            return true;
        }
    }
    return false;
}

static bool is_any(const char *word, const char *const *list) {
    for (; *list; list++) {
        if (!strcmp(word, *list)) {
            return true;
        }
    }
    return false;
}

/*
 * Reads one word of the command line into `request`.  Returns true if gcc
 * shall see it, false if it was for us.
 */
static bool request_word(struct request *request, const char *word) {
    static const char *const no_link[] = { "-c", "-S",   "-E", "-M", "-MM", "-fsyntax-only",
                                           "-r", "-###", NULL };
    static const char *const bare[] = { "-nostdlib", "-nodefaultlibs", "-nolibc", "-nostartfiles",
                                        NULL };
    static const char *const pie[] = { "-pie", "-static-pie", NULL };
    static const char *const dropped[] = { "-static", "-no-pie", "-nopie", "-dynamic", NULL };

    if (is_any(word, no_link)) {
        request->links = false;
    } else if (is_any(word, bare)) {
        request->bare = true;
    } else if (is_any(word, pie)) {
        request->pie = true;
        return false;
    } else if (is_any(word, dropped)) {
        request->pie = false;
        return false;
    } else if (word[0] != '-' || !word[1] || !strncmp(word, "-l", 2)) {
        request->inputs = true;
    }
    return true;
}

/* A file of heaps/, beside the command in its build folder or installed. */
static char *find_part(const char *name) {
    char *built = xasprintf("heaps/%s", name);
    char *installed = xasprintf("../lib/mimosa/heaps/%s", name);
    const char *const names[] = { built, installed, NULL };
    char *path = cli_find(names);

    free(built);
    free(installed);
    return path;
}

/* Adds the linker's options; 0, or an exit status. */
static int add_heap(char **to, int *count, const char *heap) {
    char *name = heap ? xasprintf("libmimosa-heap-%s.a", heap) : xstrdup("libmimosa-heaps.a");
    char *path = find_part(name);

    free(name);
    if (!path && heap) {
        return cli_usage("cc", "--heap %s: no such heap", heap);
    }
    if (!path) {
        return cli_fail(
            "cc: libmimosa-heaps.a is neither in %s/heaps nor installed; `make heaps` builds it",
            cli_home());
    }
    to[(*count)++] = xasprintf("-Wl,--whole-archive,%s,--no-whole-archive", path);
    free(path);
    return 0;
}

/* Reads the words; `out` gets those for gcc, and 0 or an exit status returns. */
static int parse(int argc, char **argv, struct request *request, char **out, int *count) {
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--heap")) {
            if (++i == argc) {
                return cli_usage("cc", "--heap needs a name");
            }
            request->heap = argv[i];
        } else if (!strncmp(argv[i], "--heap=", 7)) {
            request->heap = argv[i] + 7;
        } else if (!strcmp(argv[i], "-shared") || !strcmp(argv[i], "--shared")) {
            return cli_usage(
                "cc", "-shared: programs for Mimosa are static, there are no shared libraries");
        } else if (request_word(request, argv[i])) {
            out[(*count)++] = argv[i];
        }
        if (takes_word(argv[i]) && i + 1 < argc) {
            request->inputs |= !strcmp(argv[i], "-l");
            out[(*count)++] = argv[++i];
        }
    }
    return 0;
}

/*
 * For -print-file-name, which asks gcc's own search path: musl's folder in front
 * of it, as -B does.  Not otherwise, for -B is a path for gcc's programs too.
 */
static char *musl_search(char *const *words, int count) {
    char *path = find_part("musl.lib"), *option = NULL, folder[512];
    FILE *file = path ? fopen(path, "re") : NULL;

    for (int i = 0; file && i < count && !option; i++) {
        if (!strncmp(words[i], "-print-file-name=", 17) && fscanf(file, "%511s", folder) == 1) {
            option = xasprintf("-B%s/", folder);
        }
    }
    if (file) {
        fclose(file);
    }
    free(path);
    return option;
}

int cmd_cc(int argc, char **argv) {
    struct request request = { .links = true };
    char **words = xmalloc(((size_t)argc + 16) * sizeof(*words));
    char **given = xmalloc(((size_t)argc + 1) * sizeof(*given));
    int count = 0, given_count = 0;

    if (argc == 2 && !strcmp(argv[1], "--help")) {
        fputs(help_text, stdout);
        return 0;
    }
    if (argc == 1) {
        return cli_usage("cc", "which file?");
    }
    int status = parse(argc, argv, &request, given, &given_count);
    if (status) {
        return status;
    }
    const char *compiler = getenv("MIMOSA_CC_GCC");
    char *specs = find_part("musl.specs");
    char *include = find_part("include");
    if (!specs || !include) {
        return cli_fail(
            "cc: musl.specs is neither in %s/heaps nor installed; `make heaps` builds it",
            cli_home());
    }
    words[count++] = xstrdup(compiler && *compiler ? compiler : "gcc");
    words[count++] = xasprintf("-specs=%s", specs);
    words[count++] = xstrdup("-fno-omit-frame-pointer");
    words[count++] = xstrdup(request.pie ? "-static-pie" : "-static");
    words[count++] = xstrdup("-isystem");
    words[count++] = include;
    char *kernel_headers = find_part("uapi");
    if (kernel_headers) { /* <linux/...>, after all of musl's */
        words[count++] = xstrdup("-idirafter");
        words[count++] = kernel_headers;
    }
    char *search = musl_search(given, given_count);
    if (search) {
        words[count++] = search;
    }
    if (request.links && request.inputs && !request.bare &&
        !(request.heap && !strcmp(request.heap, "none"))) {
        status = add_heap(words, &count, request.heap);
        if (status) {
            return status;
        }
    }
    memcpy(words + count, given, (size_t)given_count * sizeof(*given));
    words[count + given_count] = NULL;
    execvp(words[0], words);
    return cli_fail("cc: cannot start %s: %s (install the packages gcc and musl-tools)", words[0],
                    strerror(errno));
}
