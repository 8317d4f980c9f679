/* SPDX-License-Identifier: MIT */
/*
 * Copies between kernel and program.  An entry of .extable says where to go on
 * when the access at an address faults and cannot be served.
 *
 * size_t user_copy(void *to, const void *from, size_t n): bytes NOT copied.
 * One side is the program's, checked by the caller.  RDI and RSI move only
 * after a whole block, so a fault in a block falls back to copying it byte by
 * byte, up to the byte that faults.
 */
#include "arch/x86_64/smap.h"

        .macro EXTABLE at, fixup
        .pushsection .extable, "a"
        .quad \at, \fixup
        .popsection
        .endm

        .macro BLOCK_LOAD_STORE offset
801:    mov     \offset(%rsi), %rax
802:    mov     %rax, \offset(%rdi)
        EXTABLE 801b, user_copy_bytes
        EXTABLE 802b, user_copy_bytes
        .endm

        .text
        .balign 16
        .globl user_copy
user_copy:
        USER_OPEN
        cmp     $64, %rdx
        jb      2f
1:      BLOCK_LOAD_STORE 0
        BLOCK_LOAD_STORE 8
        BLOCK_LOAD_STORE 16
        BLOCK_LOAD_STORE 24
        BLOCK_LOAD_STORE 32
        BLOCK_LOAD_STORE 40
        BLOCK_LOAD_STORE 48
        BLOCK_LOAD_STORE 56
        add     $64, %rsi
        add     $64, %rdi
        sub     $64, %rdx
        cmp     $64, %rdx
        jae     1b
2:      cmp     $8, %rdx
        jb      6f
        BLOCK_LOAD_STORE 0
        add     $8, %rsi
        add     $8, %rdi
        sub     $8, %rdx
        jmp     2b
6:      cmp     $4, %rdx
        jb      user_copy_bytes
7:      mov     (%rsi), %eax
8:      mov     %eax, (%rdi)
        EXTABLE 7b, user_copy_bytes
        EXTABLE 8b, user_copy_bytes
        add     $4, %rsi
        add     $4, %rdi
        sub     $4, %rdx
user_copy_bytes:
        test    %rdx, %rdx
        jz      4f
3:      mov     (%rsi), %al
5:      mov     %al, (%rdi)
        inc     %rsi
        inc     %rdi
        dec     %rdx
        jnz     3b
        EXTABLE 3b, 4f
        EXTABLE 5b, 4f
4:      mov     %rdx, %rax
        USER_CLOSE
        ret

/* A function of one access to the program's memory, between two more instructions: 0 or -EFAULT. */
        .macro USER_ACCESS name, access, before, after
        .globl \name
\name:
        USER_OPEN
        \before
.Laccess\@:
        \access
        \after
        xor     %eax, %eax
.Lend\@:
        USER_CLOSE
        ret
.Lfault\@:
        mov     $-14, %eax
        jmp     .Lend\@
        EXTABLE .Laccess\@, .Lfault\@
        .endm

/* int user_load_TYPE(TYPE *value, const TYPE *user), int user_store_TYPE(TYPE *user, TYPE value) */
        USER_ACCESS user_load_u32, access="mov (%rsi), %eax", after="mov %eax, (%rdi)"
        USER_ACCESS user_load_u64, access="mov (%rsi), %rax", after="mov %rax, (%rdi)"
        USER_ACCESS user_store_u32, access="mov %esi, (%rdi)"
        USER_ACCESS user_store_u64, access="mov %rsi, (%rdi)"

/* int user_swap_u32(uint32_t *user, uint32_t *expected, uint32_t desired): compare-exchange. */
        USER_ACCESS user_swap_u32, before="mov (%rsi), %eax", access="lock cmpxchg %edx, (%rdi)", \
                after="mov %eax, (%rsi)"

/* size_t user_clear(void *to, size_t n): bytes NOT cleared. */
        .globl user_clear
user_clear:
        USER_OPEN
        xor     %eax, %eax
1:      cmp     $8, %rsi
        jb      2f
        test    $7, %dil
        jnz     2f
6:      mov     %rax, (%rdi)
        add     $8, %rdi
        sub     $8, %rsi
        jmp     1b
2:      test    %rsi, %rsi
        jz      3f
7:      mov     %al, (%rdi)
        inc     %rdi
        dec     %rsi
        jmp     1b
3:      mov     %rsi, %rax
        USER_CLOSE
        ret
        EXTABLE 6b, 2b
        EXTABLE 7b, 3b

        .section .note.GNU-stack, "", @progbits
