/* SPDX-License-Identifier: MIT */
/* The registers of an interrupted context, as entry.S saves them, and what arch calls upward. */
#ifndef ARCH_TRAP_H
#define ARCH_TRAP_H

#include "arch/x86_64/percpu.h"
#include "base/types.h"

struct trap_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx; /* callee saved */
    uint64_t r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector; /* TRAP_SYSCALL for a system call */
    uint64_t error;  /* error code; for a system call its number (Linux's orig_rax) */
    uint64_t rip, cs, rflags, rsp, ss;
};

#define TRAP_SYSCALL 0x100

#define TRAP_DIVIDE         0
#define TRAP_DEBUG          1
#define TRAP_NMI            2
#define TRAP_BREAKPOINT     3
#define TRAP_OVERFLOW       4
#define TRAP_INVALID_OPCODE 6
#define TRAP_DOUBLE_FAULT   8
#define TRAP_STACK_SEGMENT  12
#define TRAP_PROTECTION     13
#define TRAP_PAGE_FAULT     14
#define TRAP_X87            16
#define TRAP_ALIGNMENT      17
#define TRAP_MACHINE_CHECK  18
#define TRAP_SIMD           19

/* Error code of a page fault. */
#define FAULT_PRESENT  1u
#define FAULT_WRITE    2u
#define FAULT_USER     4u
#define FAULT_RESERVED 8u
#define FAULT_EXEC     16u

#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_DS   0x2b /* 0x28 | 3 */
#define USER_CS   0x33 /* 0x30 | 3 */

#define RFLAGS_CF   (1ul << 0)
#define RFLAGS_TF   (1ul << 8)
#define RFLAGS_IF   (1ul << 9)
#define RFLAGS_DF   (1ul << 10)
#define RFLAGS_IOPL (3ul << 12)
#define RFLAGS_NT   (1ul << 14)
#define RFLAGS_RF   (1ul << 16)
#define RFLAGS_AC   (1ul << 18)
#define RFLAGS_ID   (1ul << 21)
/* What a program may set in its own flags (CF PF AF ZF SF TF DF OF RF AC ID). */
#define RFLAGS_USER 0x250dd5ul

static inline bool trap_from_user(const struct trap_frame *f) {
    return (f->cs & 3) == 3;
}

/*
 * Implemented by linux/.  All of it runs on the thread's kernel stack with
 * interrupts on and may sleep.
 *
 * System call number n below syscall_limit goes to syscall_handlers[n], with
 * the six arguments as a C function takes them; the result ends up in the
 * frame's rax.  A handler that changes the frame itself sets WORK_FRAME.
 */
typedef long syscall_function(long, long, long, long, long, long);
extern syscall_function *const *syscall_handlers;
extern const unsigned long syscall_limit;
/*
 * The program raised the exception `f->vector`; turn it into a signal.
 * `addr` is CR2 for a page fault that the address space could not serve
 * (`error` then is its negative errno: -EFAULT no mapping, -EACCES protection,
 * -ENOMEM no memory left, -EIO beyond the end of the file), else 0.
 */
void linux_exception(struct trap_frame *f, uintptr_t addr, int error);
/*
 * There is no memory for the page at `addr`, which a system call touches.  The
 * access fails as if nothing were mapped, but the program does not get to see
 * that: it ends when the call is over.
 */
void linux_out_of_memory(uintptr_t addr);
/*
 * Called before a return to ring 3 while current->work has a bit of
 * WORK_LINUX set: deliver signals, stop, exit.  May not return (exit).
 */
void linux_user_work(struct trap_frame *f);

/* The task state segment: rsp[0] is the stack for interrupts of ring 3 (kernel/sched.c). */
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));

extern PERCPU struct tss cpu_tss;

#endif
