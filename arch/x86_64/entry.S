/* SPDX-License-Identifier: MIT */
/*
 * Ways into the kernel and out of it.
 *
 * GS holds the kernel's per-CPU offset in ring 0 and the program's value in
 * ring 3; swapgs stands at every crossing.  NMI, double fault, machine check
 * and debug exceptions can hit between the crossing and its swapgs, and a
 * program may put any value into GS, so they do not guess: they run on stacks
 * of their own (IST), at whose top the CPU's offset is kept (see cpu.c), save
 * GS as they find it and put it back.
 */
#include "arch/x86_64/offsets.h"
#include "arch/x86_64/smap.h"

#define MSR_GS_BASE 0xc0000101

        .macro SAVE_REGISTERS
        push    %rdi
        push    %rsi
        push    %rdx
        push    %rcx
        push    %rax
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        .endm

        .macro RESTORE_REGISTERS
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rax
        pop     %rcx
        pop     %rdx
        pop     %rsi
        pop     %rdi
        .endm

/* Exceptions and interrupts: one stub a vector, 16 bytes each, from vector_stubs on. */
        .text
        .balign 16
        .globl vector_stubs
vector_stubs:
        .set    n, 0
        .rept   256
        .balign 16
        .if !(n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30)
        push    $0
        .endif
        push    $n
        .if n == 2 || n == 8 || n == 18
        jmp     trap_paranoid
        .elseif n == 1
        jmp     trap_debug
        .else
        jmp     trap_common
        .endif
        .set    n, n + 1
        .endr

trap_common:
        testb   $3, 24(%rsp)
        jz      1f
        swapgs
1:      SAVE_REGISTERS
        cld
        USER_CLOSE /* the program may have set AC */
        mov     %rsp, %rdi
        xor     %ebp, %ebp
        call    trap_handler
trap_return:
        cli
        testb   $3, FRAME_CS(%rsp)
        jz      2f
        .globl return_to_user
return_to_user: /* interrupts off; the frame is at RSP */
        mov     %gs:current_thread, %rax
        cmpl    $0, THREAD_WORK(%rax)
        jne     3f
        RESTORE_REGISTERS
        swapgs
        add     $16, %rsp
        iretq
2:      RESTORE_REGISTERS
        add     $16, %rsp
        iretq
3:      mov     %rsp, %rdi
        sti
        call    thread_user_work
        cli
        jmp     return_to_user

/* A debug exception from ring 3 goes on as any other, on the thread's stack. */
trap_debug:
        testb   $3, 24(%rsp)
        jz      trap_paranoid
        swapgs
        push    %rax
        mov     %rsp, %rax /* rax, vector, error, rip, cs, rflags, rsp, ss */
        mov     %gs:kernel_stack_top, %rsp
        push    56(%rax)
        push    48(%rax)
        push    40(%rax)
        push    32(%rax)
        push    24(%rax)
        push    16(%rax)
        push    8(%rax)
        mov     (%rax), %rax
        jmp     1b

trap_paranoid:
        SAVE_REGISTERS
        cld
        USER_CLOSE
        mov     $MSR_GS_BASE, %ecx
        rdmsr
        shl     $32, %rdx
        or      %rax, %rdx
        mov     %rdx, %r15
        mov     %rsp, %rbx
        or      $4095, %rbx
        mov     -7(%rbx), %rax /* the CPU's offset, in the last word of the stack */
        mov     %rax, %rdx
        shr     $32, %rdx
        wrmsr
        mov     %rsp, %rdi
        xor     %ebp, %ebp
        call    trap_paranoid_handler
        mov     $MSR_GS_BASE, %ecx
        mov     %r15, %rax
        mov     %r15, %rdx
        shr     $32, %rdx
        wrmsr
        RESTORE_REGISTERS
        add     $16, %rsp
        iretq

/*
 * System calls.  FMASK has cleared IF, DF, TF, AC and NT.  RCX holds the
 * program's RIP and R11 its flags.
 */
        .globl syscall_entry
        .balign 16
syscall_entry:
        swapgs
        mov     %rsp, %gs:user_rsp
        mov     %gs:kernel_stack_top, %rsp
        push    $0x2b
        push    %gs:user_rsp
        push    %r11
        push    $0x33
        push    %rcx
        movslq  %eax, %rax /* of a number, the low half counts */
        push    %rax
        push    $0x100 /* TRAP_SYSCALL */
        SAVE_REGISTERS
        /* The handler's arguments: rdi, rsi, rdx, r8 and r9 are in place. */
        xor     %ebp, %ebp
        mov     %r10, %rcx
        sti
        cmp     syscall_limit, %rax
        jae     1f
        mov     syscall_handlers, %r11
        call    *(%r11, %rax, 8)
2:      mov     %rax, FRAME_RAX(%rsp)
        cli
        mov     %gs:current_thread, %rax
        cmpl    $0, THREAD_WORK(%rax)
        jne     return_to_user
        /*
         * sysret takes RIP from RCX and the flags from R11, where they have been
         * since the entry: whoever changes the frame (a signal, sigreturn) sets
         * WORK_FRAME, and it goes out by iretq.
         */
        RESTORE_REGISTERS
        mov     40(%rsp), %rsp /* vector, error, rip, cs, rflags, rsp */
        swapgs
        sysretq
1:      mov     $-38, %rax /* ENOSYS */
        jmp     2b

/*
 * void switch_context(uintptr_t *save_rsp, uintptr_t load_rsp)
 * The rest of the context (extended state, FS and GS) is thread.c's.
 */
        .globl switch_context
switch_context:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, (%rdi)
        mov     %rsi, %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret

/* A new thread's first instruction: thread_begin(entry, arg), both as thread_init left them. */
        .globl thread_first
thread_first:
        mov     %r12, %rdi
        mov     %r13, %rsi
        xor     %ebp, %ebp
        call    thread_begin
        ud2

/* void enter_user(struct trap_frame *at_stack_top): never returns. */
        .globl enter_user
enter_user:
        cli
        mov     %rdi, %rsp
        jmp     return_to_user

        .section .note.GNU-stack, "", @progbits
