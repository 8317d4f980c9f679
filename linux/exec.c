/* SPDX-License-Identifier: MIT */
/*
 * A program into memory: segments, stack, auxiliary vector; all of it where
 * Linux puts it, since programs have come to rely on that.
 */
#include "linux/exec.h"

#include <asm-generic/errno.h>
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/mman.h>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/trap.h"
#include "arch/x86_64/uaccess.h"
#include "base/string.h"
#include "fs/file.h"
#include "fs/vfs.h"
#include "kernel/aspace.h"
#include "kernel/machine.h"
#include "kernel/slab.h"
#include "linux/process.h"

#define PIE_BASE           0x555555554000ul /* two thirds of the address space, as Linux */
#define PIE_RANDOM_PAGES   (1ul << 28)
#define STACK_RANDOM_PAGES (1ul << 22)
#define BREAK_RANDOM_PAGES (1ul << 13)
#define STACK_FIRST_BYTES  KIB(132) /* it grows from there */
#define STRINGS_MAX        MIB(6)   /* three quarters of the stack's limit, as Linux */
#define AUXV_PAIRS         24
#define HWCAP2_FSGSBASE    2

static int prot_of(const Elf64_Phdr *s) {
    return (s->p_flags & PF_R ? PROT_READ : 0) | (s->p_flags & PF_W ? PROT_WRITE : 0) |
           (s->p_flags & PF_X ? PROT_EXEC : 0);
}

/* The part of a segment that the file backs; private, so that writes stay in memory. */
static int map_file_part(struct aspace *as, const struct elf_image *image, const Elf64_Phdr *s,
                         uintptr_t start, uintptr_t file_end) {
    struct vm_object *object;
    uintptr_t at = start;
    int err;

    inode_name_mapping(image->file->inode, image->file->entry);
    object = file_vm_object(image->file);
    if (!object)
        return -ENOEXEC;
    err = aspace_map(as, &at, file_end - start, prot_of(s), REGION_FIXED, object,
                     ALIGN_DOWN(s->p_offset, PAGE_SIZE), NULL);
    if (err)
        vm_object_put(object);
    return err;
}

static int map_segment(struct aspace *as, const struct elf_image *image, const Elf64_Phdr *s,
                       uint64_t bias) {
    uintptr_t start = ALIGN_DOWN(s->p_vaddr + bias, PAGE_SIZE);
    uintptr_t data_end = s->p_vaddr + bias + s->p_filesz;
    uintptr_t end = ALIGN_UP(s->p_vaddr + bias + s->p_memsz, PAGE_SIZE);
    uintptr_t file_end = s->p_filesz ? ALIGN_UP(data_end, PAGE_SIZE) : start;
    int err = 0;

    if (file_end > start)
        err = map_file_part(as, image, s, start, file_end);
    if (!err && end > file_end)
        err = aspace_map(as, &file_end, end - file_end, prot_of(s), REGION_FIXED, NULL, 0, NULL);
    /* What follows the data in its last page belongs to the bss; the file has others there. */
    if (!err && s->p_memsz > s->p_filesz && (s->p_flags & PF_W) && s->p_filesz)
        err = clear_user((void *)data_end, ALIGN_UP(data_end, PAGE_SIZE) - data_end);
    return err;
}

static uint64_t choose_bias(const struct elf_image *image) {
    uint64_t base;

    if (!image->relocatable)
        return 0;
    base = PIE_BASE + random_u64() % PIE_RANDOM_PAGES * PAGE_SIZE;
    return ALIGN_DOWN(base, image->align) - image->low;
}

static int map_image(struct aspace *as, const struct elf_image *image, uint64_t bias) {
    const Elf64_Phdr *s = image->headers;
    uint64_t gap = random_u64() % BREAK_RANDOM_PAGES * PAGE_SIZE;

    for (unsigned i = 0; i < image->count; i++) {
        int err = s[i].p_type == PT_LOAD && s[i].p_memsz ? map_segment(as, image, s + i, bias) : 0;

        if (err)
            return err;
    }
    aspace_set_brk_start(as, image->high + bias + gap);
    return 0;
}

/* The stack while it is filled, from the top down. */
struct stack {
    uintptr_t sp;
    int err;
};

static uintptr_t stack_push(struct stack *s, const void *from, size_t size) {
    s->sp -= size;
    if (!s->err)
        s->err = copy_to_user((void *)s->sp, from, size);
    return s->sp;
}

static uintptr_t stack_push_string(struct stack *s, const char *text) {
    return stack_push(s, text, strlen(text) + 1);
}

static int map_stack(struct process *p, bool executable, struct stack *s) {
    uintptr_t top = USER_END - random_u64() % STACK_RANDOM_PAGES * PAGE_SIZE;
    uintptr_t start = top - STACK_FIRST_BYTES;
    int prot = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);

    p->stack_top = top;
    s->err = 0;
    s->sp = top - (random_u64() & 0x1ff0);
    return aspace_map(p->aspace, &start, STACK_FIRST_BYTES, prot, REGION_NOREPLACE | REGION_STACK,
                      NULL, 0, "[stack]");
}

struct auxv {
    uint64_t pairs[AUXV_PAIRS][2];
    unsigned count;
};

static void auxv_add(struct auxv *a, uint64_t type, uint64_t value) {
    a->pairs[a->count][0] = type;
    a->pairs[a->count++][1] = value;
}

static uint64_t hwcap(void) {
    uint32_t r[4];

    cpuid(1, 0, r);
    return r[3];
}

static void auxv_fill(struct auxv *a, const struct elf_image *image, struct process *p,
                      uint64_t bias) {
    if (p->vdso_base)
        auxv_add(a, AT_SYSINFO_EHDR, p->vdso_base);
    auxv_add(a, AT_HWCAP, hwcap());
    auxv_add(a, AT_PAGESZ, PAGE_SIZE);
    auxv_add(a, AT_CLKTCK, 100);
    if (image->headers_addr)
        auxv_add(a, AT_PHDR, image->headers_addr + bias);
    auxv_add(a, AT_PHENT, sizeof(Elf64_Phdr));
    auxv_add(a, AT_PHNUM, image->count);
    auxv_add(a, AT_BASE, 0);
    auxv_add(a, AT_FLAGS, 0);
    auxv_add(a, AT_ENTRY, image->entry + bias);
    auxv_add(a, AT_UID, 0);
    auxv_add(a, AT_EUID, 0);
    auxv_add(a, AT_GID, 0);
    auxv_add(a, AT_EGID, 0);
    auxv_add(a, AT_SECURE, 0);
    auxv_add(a, AT_HWCAP2, cpu_features.fsgsbase ? HWCAP2_FSGSBASE : 0);
    auxv_add(a, 51 /* AT_MINSIGSTKSZ */, signal_frame_min_stack());
}

/* Pushes strings from the last to the first and keeps their addresses in `at`. */
static void push_strings(struct stack *s, const char *const *strings, unsigned count,
                         uint64_t *at) {
    for (unsigned i = count; i-- > 0;)
        at[i] = stack_push_string(s, strings[i]);
    at[count] = 0;
}

static size_t strings_bytes(const char *const *strings, unsigned count) {
    size_t bytes = 0;

    for (unsigned i = 0; i < count; i++)
        bytes += strlen(strings[i]) + 1 + sizeof(uintptr_t);
    return bytes;
}

/* One behind the other; NULL without memory. */
static char *join(const char *const *strings, unsigned count, size_t *joined) {
    char *all = kmalloc(strings_bytes(strings, count) + 1), *to = all;

    for (unsigned i = 0; all && i < count; i++) {
        size_t size = strlen(strings[i]) + 1;

        memcpy(to, strings[i], size);
        to += size;
    }
    *joined = (size_t)(to - all);
    return all;
}

/* Copies the strings to where /proc/self/cmdline and environ find them. */
static int keep_strings(struct process *p, const struct manifest *m) {
    p->arguments = join(m->argv, m->argc, &p->arguments_size);
    p->environment = join(m->envp, m->envc, &p->environment_size);
    return p->arguments && p->environment ? 0 : -ENOMEM;
}

/* Fills the stack; *sp is where argc lies. */
static int fill_stack(struct stack *s, const struct elf_image *image, struct process *p,
                      const struct manifest *m, uint64_t bias, uintptr_t *sp) {
    size_t words = 1 + m->argc + 1 + m->envc + 1;
    uint64_t *vector = kmalloc(words * sizeof(*vector));
    struct auxv auxv = { .count = 0 };
    uint8_t random[16];

    if (!vector)
        return -ENOMEM;
    auxv_fill(&auxv, image, p, bias);
    s->sp -= sizeof(uint64_t);
    auxv_add(&auxv, AT_EXECFN, stack_push_string(s, p->exe));
    vector[0] = m->argc;
    push_strings(s, m->envp, m->envc, vector + 1 + m->argc + 1);
    push_strings(s, m->argv, m->argc, vector + 1);
    auxv_add(&auxv, AT_PLATFORM, stack_push_string(s, "x86_64"));
    random_bytes(random, sizeof(random));
    auxv_add(&auxv, AT_RANDOM, stack_push(s, random, sizeof(random)));
    auxv_add(&auxv, AT_NULL, 0);

    s->sp = ALIGN_DOWN(s->sp, 16);
    if (words % 2)
        s->sp -= sizeof(uint64_t); /* argc lies on a 16-byte boundary */
    stack_push(s, auxv.pairs, auxv.count * sizeof(auxv.pairs[0]));
    *sp = stack_push(s, vector, words * sizeof(*vector));
    kfree(vector);
    return s->err;
}

int exec_load(const struct elf_image *image, struct process *p, const struct manifest *m,
              struct trap_frame *start) {
    uint64_t bias = choose_bias(image);
    struct stack stack;
    uintptr_t sp = 0;
    int err;

    if (strings_bytes(m->argv, m->argc) + strings_bytes(m->envp, m->envc) > STRINGS_MAX)
        return -E2BIG;
    p->load_bias = bias;
    p->image_start = image->low + bias;
    p->image_end = image->high + bias;
    err = map_image(p->aspace, image, bias);
    if (!err)
        err = map_stack(p, image->executable_stack, &stack);
    if (!err)
        err = keep_strings(p, m);
    if (err)
        return err;
    p->vdso_base = vdso_map(p);
    err = fill_stack(&stack, image, p, m, bias, &sp);
    if (err)
        return err;
    memset(start, 0, sizeof(*start));
    start->rip = image->entry + bias;
    start->rsp = sp;
    start->cs = USER_CS;
    start->ss = USER_DS;
    start->rflags = RFLAGS_IF | 2;
    return 0;
}
