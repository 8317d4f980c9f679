/* SPDX-License-Identifier: MIT */
/* The vDSO's image, page aligned so that its pages are mapped where they lie. */
        .section .rodata, "a"
        .balign 4096
        .globl  vdso_image, vdso_image_end
vdso_image:
        .incbin "build/kernel/vdso.so"
vdso_image_end:
        .balign 4096
        .section .note.GNU-stack, "", @progbits
