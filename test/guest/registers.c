/* SPDX-License-Identifier: MIT */
/*
 * Every general, vector and x87 register across system calls, page faults,
 * preemption and signals, on all CPUs.
 *
 * registers_NAME loads all registers from a block (the vector and x87 ones
 * with XRSTOR, all that XCR0 enables of x87, SSE, AVX and AVX-512; with
 * FXRSTOR where there is no XSAVE), does one thing, and saves them all again.
 * The general registers hold the block's random values meanwhile, so what the
 * thing needs (a counter, the block) lies on the stack.
 */
#define _GNU_SOURCE
#include "test/guest/threads.h"
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

#define GPRS       15 /* rax rbx rcx rdx rsi rdi rbp r8 to r15 */
#define AREA_BYTES 4096
enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15 };

struct block {
    unsigned char in[AREA_BYTES] __attribute__((aligned(64)));  /* offset 0 */
    unsigned char out[AREA_BYTES] __attribute__((aligned(64))); /* 4096 */
    unsigned long gpr_in[GPRS];                                 /* 8192 */
    unsigned long gpr_out[GPRS];                                /* 8312 */
    unsigned long spins;                                        /* 8432 */
    unsigned long mask;                                         /* 8440: 0 means FXSAVE */
};
_Static_assert(offsetof(struct block, gpr_in) == 8192, "the assembly knows the offsets");
_Static_assert(offsetof(struct block, mask) == 8440, "the assembly knows the offsets");

void registers_spin(struct block *block);    /* loops spins times */
void registers_syscall(struct block *block); /* calls what gpr_in[RAX] says */
void registers_touch(struct block *block);   /* writes a byte to gpr_in[RDI] */
void registers_load(struct block *block);    /* only the vector and x87 registers */

__asm__(".macro restore_vectors\n"
        "   mov 8440(%rdi), %eax\n"
        "   xor %edx, %edx\n"
        "   test %eax, %eax\n"
        "   jz 1f\n"
        "   xrstor64 (%rdi)\n"
        "   jmp 2f\n"
        "1: fxrstor64 (%rdi)\n"
        "2:\n"
        ".endm\n"
        ".macro registers_function name, body:vararg\n"
        ".text\n"
        ".globl \\name\n"
        ".type \\name, @function\n"
        "\\name:\n"
        "   push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "   push %rdi\n"
        "   push 8432(%rdi)\n"
        "   restore_vectors\n"
        "   mov 8192(%rdi), %rax\n mov 8200(%rdi), %rbx\n mov 8208(%rdi), %rcx\n"
        "   mov 8216(%rdi), %rdx\n mov 8224(%rdi), %rsi\n mov 8240(%rdi), %rbp\n"
        "   mov 8248(%rdi), %r8\n mov 8256(%rdi), %r9\n mov 8264(%rdi), %r10\n"
        "   mov 8272(%rdi), %r11\n mov 8280(%rdi), %r12\n mov 8288(%rdi), %r13\n"
        "   mov 8296(%rdi), %r14\n mov 8304(%rdi), %r15\n mov 8232(%rdi), %rdi\n"
        "   \\body\n"
        "   xchg %rdi, 8(%rsp)\n"
        "   mov %rax, 8312(%rdi)\n mov %rbx, 8320(%rdi)\n mov %rcx, 8328(%rdi)\n"
        "   mov %rdx, 8336(%rdi)\n mov %rsi, 8344(%rdi)\n mov %rbp, 8360(%rdi)\n"
        "   mov %r8, 8368(%rdi)\n mov %r9, 8376(%rdi)\n mov %r10, 8384(%rdi)\n"
        "   mov %r11, 8392(%rdi)\n mov %r12, 8400(%rdi)\n mov %r13, 8408(%rdi)\n"
        "   mov %r14, 8416(%rdi)\n mov %r15, 8424(%rdi)\n"
        "   mov 8(%rsp), %rax\n mov %rax, 8352(%rdi)\n"
        "   mov 8440(%rdi), %eax\n xor %edx, %edx\n"
        "   test %eax, %eax\n jz 3f\n"
        "   xsave64 4096(%rdi)\n jmp 4f\n"
        "3: fxsave64 4096(%rdi)\n"
        "4: fninit\n push $0x1f80\n ldmxcsr (%rsp)\n add $24, %rsp\n"
        "   pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
        "   ret\n"
        ".size \\name, . - \\name\n"
        ".endm\n"
        "registers_function registers_spin, 5: decq (%rsp); jns 5b\n"
        "registers_function registers_syscall, syscall\n"
        "registers_function registers_touch, movb $1, (%rdi)\n"
        ".globl registers_load\n"
        "registers_load:\n"
        "   restore_vectors\n"
        "   ret\n");

/* What to compare beyond the legacy area: offset and size of each component. */
static struct { unsigned offset, size; } parts[8];
static unsigned long vector_mask;

static void cpuid(unsigned leaf, unsigned subleaf, unsigned r[4]) {
    __asm__("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "0"(leaf), "2"(subleaf));
}

static void vectors_probe(void) {
    unsigned r[4], low, high;
    cpuid(1, 0, r);
    if (r[2] & 1 << 27) {
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        vector_mask = low & 0xe7;
    }
    for (unsigned i = 2; i < 8; i++)
        if (vector_mask & 1u << i) {
            cpuid(13, i, r);
            parts[i].size = r[0];
            parts[i].offset = r[1];
        }
}

static void block_fill(struct block *block, unsigned long *seed) {
    memset(block, 0, sizeof *block);
    block->mask = vector_mask;
    for (int i = 0; i < GPRS; i++)
        block->gpr_in[i] = guest_random(seed);
    for (int i = 160; i < 416; i++) /* xmm */
        block->in[i] = (unsigned char)guest_random(seed);
    for (int reg = 0; reg < 8; reg++) /* st(0) to st(7) */
        for (int i = 0; i < 10; i++)
            block->in[32 + 16 * reg + i] = (unsigned char)guest_random(seed);
    unsigned short fcw = (unsigned short)(0x37f ^ (guest_random(seed) & 3) << 10); /* rounding */
    unsigned mxcsr = 0x1f80 | (unsigned)(guest_random(seed) & 3) << 13;
    memcpy(block->in, &fcw, 2);
    block->in[4] = 0xff; /* all eight in use */
    memcpy(block->in + 24, &mxcsr, 4);
    memcpy(block->in + 512, &vector_mask, 8); /* XSTATE_BV */
    for (unsigned i = 2; i < 8; i++)
        for (unsigned k = 0; k < parts[i].size && parts[i].offset + k < AREA_BYTES; k++)
            block->in[parts[i].offset + k] = (unsigned char)guest_random(seed);
}

/* Compares all but the general registers in `lost` (bits) and says what differs. */
static int block_check(const struct block *block, unsigned lost) {
    int bad = 0;
    for (int i = 0; i < GPRS; i++)
        if (!(lost & 1u << i) && block->gpr_in[i] != block->gpr_out[i])
            bad |= 1;
    bad |= memcmp(block->in + 160, block->out + 160, 256) ? 2 : 0;
    for (int reg = 0; reg < 8; reg++)
        bad |= memcmp(block->in + 32 + 16 * reg, block->out + 32 + 16 * reg, 10) ? 4 : 0;
    bad |= memcmp(block->in, block->out, 2) || block->in[4] != block->out[4] ? 8 : 0;
    bad |= memcmp(block->in + 24, block->out + 24, 4) ? 16 : 0;
    for (unsigned i = 2; i < 8; i++)
        if (parts[i].size && parts[i].offset + parts[i].size <= AREA_BYTES)
            bad |= memcmp(block->in + parts[i].offset, block->out + parts[i].offset, parts[i].size)
                       ? 16 << i
                       : 0;
    return bad;
}

/* 1 general, 2 xmm, 4 x87, 8 fcw, 16 mxcsr, 64 ymm, 512 opmask, 1024 zmm high, 2048 zmm16-31 */
#define CHECK_BLOCK(block, lost) CHECK_EQ(block_check(block, lost), 0)

static int cpus[CPUS_MAX], cpu_count, stop;

static void *across_syscalls_thread(void *arg) {
    static const long calls[] = { SYS_sched_yield, SYS_getppid, SYS_gettid, 5000, -1 };
    unsigned long seed = (unsigned long)(long)arg * 77 + 1;
    struct block *block = aligned_alloc(64, sizeof *block);
    for (int i = 0; i < 200; i++) {
        block_fill(block, &seed);
        block->gpr_in[RAX] = (unsigned long)calls[i % (int)LENGTH(calls)];
        registers_syscall(block);
        if (!CHECK_BLOCK(block, 1u << RAX | 1u << RCX | 1u << R11))
            break;
    }
    free(block);
    return NULL;
}

static void *across_faults_thread(void *arg) {
    unsigned long seed = (unsigned long)(long)arg * 77 + 3;
    struct block *block = aligned_alloc(64, sizeof *block);
    char *pages =
        mmap(NULL, 100 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < 100 && CHECK(pages != MAP_FAILED); i++) {
        block_fill(block, &seed);
        block->gpr_in[RDI] = (unsigned long)(pages + i * 4096);
        registers_touch(block);
        if (!CHECK_BLOCK(block, 0))
            break;
    }
    munmap(pages, 100 * 4096);
    free(block);
    return NULL;
}

/* Holds its registers for a while at a time, as long as it is told, and 30 times at least. */
static void *across_time_thread(void *arg) {
    unsigned long seed = (unsigned long)(long)arg * 77 + 2;
    struct block *block = aligned_alloc(64, sizeof *block);
    for (int i = 0; i < 30 || !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        block_fill(block, &seed);
        block->spins = 100000;
        if (i % 8 == 0)
            cpu_pin(cpus[(i / 8 + (long)arg) % cpu_count]);
        registers_spin(block);
        if (!CHECK_BLOCK(block, 0))
            break;
    }
    free(block);
    return NULL;
}

static void run_threads(void *(*run)(void *)) {
    pthread_t threads[CPUS_MAX + 2];
    vectors_probe();
    cpu_count = cpus_list(cpus);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (long i = 0; i < cpu_count + 2; i++) {
        cpu_pin(cpus[i % cpu_count]);
        REQUIRE(thread_start(&threads[i], run, (void *)i));
    }
    for (int i = 0; i < cpu_count + 2; i++)
        thread_join(threads[i]);
    cpu_unpin(cpus, cpu_count);
}

static void across_system_calls(void) {
    run_threads(across_syscalls_thread);
}
static void across_page_faults(void) {
    run_threads(across_faults_thread);
}
static void across_preemption(void) {
    run_threads(across_time_thread);
}

static struct block noise;
static volatile long handled;
static volatile unsigned handler_mxcsr;
static volatile unsigned short handler_fcw;

static void on_signal(int signal) {
    unsigned mxcsr;
    unsigned short fcw;
    (void)signal;
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(fcw));
    handler_mxcsr = mxcsr;
    handler_fcw = fcw;
    registers_load(&noise);
    handled = handled + 1;
}

static void across_signals(void) {
    pthread_t threads[3];
    unsigned long seed = 4711;
    struct sigaction action = { .sa_handler = on_signal };
    vectors_probe();
    cpu_count = cpus_list(cpus);
    block_fill(&noise, &seed);
    sigaction(SIGUSR1, &action, NULL);
    handled = 0;
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    for (long i = 0; i < 3; i++)
        REQUIRE(thread_start(&threads[i], across_time_thread, (void *)(i + 50)));
    for (unsigned ticks = 0; handled < 100 && guest_tick(&ticks);)
        for (int i = 0; i < 3; i++)
            pthread_kill(threads[i], SIGUSR1);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    CHECK(handled >= 100);
    CHECK_EQ(handler_mxcsr, 0x1f80); /* handlers start with a fresh state */
    CHECK_EQ(handler_fcw, 0x37f);
}

static void *report_controls(void *arg) {
    unsigned mxcsr;
    unsigned short fcw;
    (void)arg;
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(fcw));
    return (void *)((long)mxcsr << 16 | fcw);
}

static void threads_inherit_control_words(void) {
    pthread_t thread;
    unsigned mxcsr = 0x7f80, normal = 0x1f80;
    unsigned short fcw = 0x77f, normal_fcw = 0x37f;
    __asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(fcw));
    int started = thread_start(&thread, report_controls, NULL);
    __asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(normal), "m"(normal_fcw));
    REQUIRE(started);
    CHECK_EQ((long)thread_join(thread), (long)mxcsr << 16 | fcw);
}

#define ARCH_SET_GS 0x1001
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004

static void *own_gs(void *arg) {
    unsigned long mine[2] = { (unsigned long)arg * 0x1111 + 7, 0 }, seen, base = 0;
    CHECK_EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, mine), 0);
    for (int i = 0; i < 300; i++) {
        for (volatile int spin = 0; spin < 2000; spin = spin + 1)
            ;
        __asm__ volatile("mov %%gs:0, %0" : "=r"(seen));
        if (!CHECK_EQ(seen, mine[0]))
            break;
        if (i % 4 == 0)
            sched_yield();
    }
    CHECK_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &base), 0);
    CHECK_EQ(base, (unsigned long)mine);
    CHECK_EQ(syscall(SYS_arch_prctl, ARCH_GET_FS, &base), 0);
    CHECK_EQ(base, (unsigned long)pthread_self());
    CHECK_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x8000000000000000), EPERM);
    CHECK_ERRNO(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
    return NULL;
}

static void gs_belongs_to_the_thread(void) {
    run_threads(own_gs);
}

GUEST_MAIN(CASE(across_system_calls), CASE(across_page_faults), CASE(across_preemption),
           CASE(across_signals), CASE(threads_inherit_control_words),
           CASE(gs_belongs_to_the_thread))
