/* SPDX-License-Identifier: MIT */
/*
 * The null kernel: a PVH ELF whose first act is to end the machine (a write to
 * isa-debug-exit).  What QEMU itself takes, for `mimosa bench --boot`.
 */
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18          /* name size, value size, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long null_start

    .text
    .code32
    .globl null_start
null_start:
    movw $0x501, %dx        /* where cli/machine.c puts the device */
    movb $42, %al           /* QEMU's status is then 85 (cli/bench_start.c): by no accident */
    outb %al, %dx
1:  hlt
    jmp 1b

    .section .note.GNU-stack, "", @progbits
