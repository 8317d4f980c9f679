/* SPDX-License-Identifier: MIT */
/* What a program finds when it starts: arguments, environment, auxiliary vector, stack. */
#define _GNU_SOURCE
#include "test/guest/guest.h"
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

extern char **environ;
static int start_argc;
static char **start_argv;

static const Elf64_auxv_t *auxv_find(unsigned long type) {
    char **end = start_argv + start_argc + 1;
    while (*end)
        end++;
    for (const Elf64_auxv_t *entry = (const void *)(end + 1); entry->a_type != AT_NULL; entry++)
        if (entry->a_type == type)
            return entry;
    return NULL;
}

static void argv_ends_with_null(void) {
    CHECK(start_argc >= 1);
    CHECK(start_argv[start_argc] == NULL);
    CHECK(strstr(start_argv[0], "args_env_auxv") != NULL);
}

static void envp_follows_argv(void) {
    CHECK(environ == start_argv + start_argc + 1);
    for (char **entry = environ; *entry; entry++)
        CHECK(strchr(*entry, '=') != NULL);
}

static void auxv_basics(void) {
    CHECK_EQ(getauxval(AT_PAGESZ), 4096);
    CHECK_EQ(getauxval(AT_CLKTCK), 100);
    CHECK_EQ(getauxval(AT_SECURE), 0);
    CHECK_EQ(getauxval(AT_UID), getuid());
    CHECK_EQ(getauxval(AT_EUID), geteuid());
    CHECK_EQ(getauxval(AT_GID), getgid());
    CHECK_EQ(getauxval(AT_EGID), getegid());
    CHECK(auxv_find(AT_HWCAP) != NULL);
    const char *platform = (const char *)getauxval(AT_PLATFORM);
    CHECK(platform && !strcmp(platform, "x86_64"));
    const char *name = (const char *)getauxval(AT_EXECFN);
    CHECK(name && strstr(name, "args_env_auxv") != NULL);
}

static void auxv_random(void) {
    const unsigned char *random = (const void *)getauxval(AT_RANDOM);
    REQUIRE(random != NULL);
    unsigned sum = 0;
    for (int i = 0; i < 16; i++)
        sum |= random[i];
    CHECK(sum != 0);
    CHECK(random > (const unsigned char *)&sum); /* it lies above the program's frames */
}

extern void _start(void);
extern const char __ehdr_start[];

static void auxv_program_headers(void) {
    const Elf64_Phdr *phdr = (const void *)getauxval(AT_PHDR);
    const Elf64_Ehdr *ehdr = (const void *)__ehdr_start;
    REQUIRE(phdr != NULL);
    CHECK((const char *)phdr == __ehdr_start + ehdr->e_phoff);
    CHECK_EQ(getauxval(AT_PHENT), sizeof *phdr);
    CHECK_EQ(getauxval(AT_PHNUM), ehdr->e_phnum);
    CHECK(memcmp(ehdr->e_ident, ELFMAG, SELFMAG) == 0);
    CHECK_EQ(getauxval(AT_ENTRY), (uintptr_t)_start);
    CHECK_EQ(getauxval(AT_BASE), 0);
}

static void auxv_vdso(void) {
    const Elf64_Ehdr *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);
    REQUIRE(vdso != NULL);
    REQUIRE(memcmp(vdso->e_ident, ELFMAG, SELFMAG) == 0);
    CHECK_EQ(vdso->e_machine, EM_X86_64);
    CHECK_EQ(vdso->e_type, ET_DYN);
    CHECK_EQ((uintptr_t)vdso & 4095, 0);
}

static void auxv_minsigstksz(void) {
    /* glibc 2.36's getauxval and musl's both read the vector; Linux gives this since 5.14. */
    const Elf64_auxv_t *entry = auxv_find(51);
    REQUIRE(entry != NULL);
    CHECK(entry->a_un.a_val >= 1024 && entry->a_un.a_val <= 65536);
}

static void data_is_as_linked(void) {
    static char zeros[3 * 4096 + 5];
    static char data[4097] = { [0] = 1, [4096] = 2 };
    static const char text[] = "constant";
    int sum = 0;
    for (size_t i = 0; i < sizeof zeros; i++)
        sum += zeros[i];
    CHECK_EQ(sum, 0);
    for (size_t i = 1; i < 4096; i++)
        sum += data[i];
    CHECK_EQ(sum, 0);
    CHECK(data[0] == 1 && data[4096] == 2);
    CHECK(!strcmp(text, "constant"));
}

static void stack_is_aligned(void) {
    /* The ABI: 16-byte aligned at _start, where argc lies just below argv. */
    CHECK_EQ((uintptr_t)(start_argv - 1) % 16, 0);
    char aligned __attribute__((aligned(16)));
    char *p = &aligned;
    __asm__("" : "+r"(p));
    CHECK_EQ((uintptr_t)p % 16, 0);
}

static void stack_grows(void) {
    /* One page at a time, well below the eight MiB that Linux gives. */
    volatile char *frame = __builtin_alloca(4 << 20);
    for (long i = (4 << 20) - 1; i >= 0; i -= 4096)
        frame[i] = (char)(i >> 12);
    int bad = 0;
    for (long i = (4 << 20) - 1; i >= 0; i -= 4096)
        bad += frame[i] != (char)(i >> 12);
    CHECK_EQ(bad, 0);
}

static void addresses_are_canonical_lower_half(void) {
    int local;
    CHECK((uintptr_t)&local < 0x800000000000);
    CHECK((uintptr_t)_start < 0x800000000000);
    CHECK((uintptr_t)environ < 0x800000000000);
}

static void heap_and_stdio(void) {
    char *p = malloc(100);
    REQUIRE(p != NULL);
    memset(p, 1, 100);
    char *q = realloc(p, 100000);
    REQUIRE(q != NULL);
    CHECK(q[0] == 1 && q[99] == 1);
    free(q);
    char text[64];
    snprintf(text, sizeof text, "%d %s %.2f", 42, "x", 1.5);
    CHECK(!strcmp(text, "42 x 1.50"));
}

static void uname_says_linux(void) {
    struct utsname name;
    REQUIRE(uname(&name) == 0);
    CHECK(!strcmp(name.sysname, "Linux"));
    CHECK(!strcmp(name.machine, "x86_64"));
    CHECK(atoi(name.release) >= 4); /* glibc refuses older kernels */
}

int main(int argc, char **argv) {
    static const struct guest_case cases[] = {
        CASE(argv_ends_with_null),
        CASE(envp_follows_argv),
        CASE(auxv_basics),
        CASE(auxv_random),
        CASE(auxv_program_headers),
        CASE(auxv_vdso),
        CASE(auxv_minsigstksz),
        CASE(data_is_as_linked),
        CASE(stack_is_aligned),
        CASE(stack_grows),
        CASE(addresses_are_canonical_lower_half),
        CASE(heap_and_stdio),
        CASE(uname_says_linux),
    };
    start_argc = argc;
    start_argv = argv;
    return guest_main(argc, argv, cases, LENGTH(cases));
}
