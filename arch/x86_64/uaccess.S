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
user_stac_1: /* patched to nops by uaccess_init() where there is no SMAP */
        stac
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
        jb      user_copy_bytes
        BLOCK_LOAD_STORE 0
        add     $8, %rsi
        add     $8, %rdi
        sub     $8, %rdx
        jmp     2b
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
user_stac_2:
        clac
        ret

/* int user_load_u32(uint32_t *value, const uint32_t *user): 0 or -EFAULT. */
        .globl user_load_u32
user_load_u32:
user_stac_3:
        stac
6:      mov     (%rsi), %eax
        mov     %eax, (%rdi)
        xor     %eax, %eax
7:
user_stac_4:
        clac
        ret
8:      mov     $-14, %eax
        jmp     7b
        EXTABLE 6b, 8b

/* int user_load_u64, user_store_u32, user_store_u64: likewise. */
        .globl user_load_u64
user_load_u64:
user_stac_5:
        stac
6:      mov     (%rsi), %rax
        mov     %rax, (%rdi)
        xor     %eax, %eax
7:
user_stac_6:
        clac
        ret
8:      mov     $-14, %eax
        jmp     7b
        EXTABLE 6b, 8b

        .globl user_store_u32
user_store_u32:
user_stac_7:
        stac
6:      mov     %esi, (%rdi)
        xor     %eax, %eax
7:
user_stac_8:
        clac
        ret
8:      mov     $-14, %eax
        jmp     7b
        EXTABLE 6b, 8b

        .globl user_store_u64
user_store_u64:
user_stac_9:
        stac
6:      mov     %rsi, (%rdi)
        xor     %eax, %eax
7:
user_stac_10:
        clac
        ret
8:      mov     $-14, %eax
        jmp     7b
        EXTABLE 6b, 8b

/* int user_swap_u32(uint32_t *user, uint32_t *expected, uint32_t desired): compare-exchange. */
        .globl user_swap_u32
user_swap_u32:
user_stac_11:
        stac
        mov     (%rsi), %eax
6:      lock cmpxchg %edx, (%rdi)
        mov     %eax, (%rsi)
        xor     %eax, %eax
7:
user_stac_12:
        clac
        ret
8:      mov     $-14, %eax
        jmp     7b
        EXTABLE 6b, 8b

/* size_t user_clear(void *to, size_t n): bytes NOT cleared. */
        .globl user_clear
user_clear:
user_stac_13:
        stac
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
user_stac_14:
        clac
        ret
        EXTABLE 6b, 2b
        EXTABLE 7b, 3b

        .section .rodata
        .globl user_stac_sites, user_stac_sites_end
        .balign 8
user_stac_sites:
        .quad user_stac_1, user_stac_2, user_stac_3, user_stac_4, user_stac_5, user_stac_6
        .quad user_stac_7, user_stac_8, user_stac_9, user_stac_10, user_stac_11, user_stac_12
        .quad user_stac_13, user_stac_14, entry_clac_1, entry_clac_2
user_stac_sites_end:

        .section .note.GNU-stack, "", @progbits
