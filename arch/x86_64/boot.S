/* SPDX-License-Identifier: MIT */
/*
 * The first instructions: PVH entry of the boot CPU (32-bit, paging off, EBX =
 * hvm_start_info) and the real-mode trampoline of the others, both into
 * 64-bit C on the boot page tables:
 *
 *   0                    first 4 MiB, identity (dropped once all CPUs run): it
 *                        shares the image's tables, so that W^X leaves it executable
 *   DIRECT_MAP           first GiB
 *   KERNEL_IMAGE         first 4 MiB, in 4 KiB pages, so that W^X can be set
 */
#define PHYS(x) ((x) - 0xffffffff80000000)

#define CR0_BITS 0x80050033 /* PG AM WP NE ET MP PE */
#define CR4_PAE 0x20
#define EFER 0xc0000080
#define EFER_LME_NXE_SCE 0x901

        .section .note.pvh, "a", @note
        .balign 4
        .long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz "Xen"
        .long PHYS(pvh_start)

        .section .bss.page, "aw", @nobits
        .balign 4096
        .globl boot_root, boot_kernel_3, boot_kernel_tables
boot_root:           .skip 4096
boot_direct_3:       .skip 4096
boot_direct_2:       .skip 4096
boot_kernel_3:       .skip 4096
boot_kernel_2:       .skip 4096
boot_kernel_tables:  .skip 8192
        .globl boot_stack_top
boot_stack:          .skip 16384
boot_stack_top:

/*
 * From 32 bits without paging to 64 bits on the boot page tables, with flat
 * segments; changes EAX, ECX and EDX.
 */
        .macro ENTER_LONG_MODE
        mov     $CR4_PAE, %eax
        mov     %eax, %cr4
        mov     $PHYS(boot_root), %eax
        mov     %eax, %cr3
        mov     $EFER, %ecx
        xor     %edx, %edx
        mov     $EFER_LME_NXE_SCE, %eax
        wrmsr
        mov     $CR0_BITS, %eax
        mov     %eax, %cr0
        lgdt    PHYS(boot_gdt_pointer)
        ljmp    $8, $PHYS(.Llong_mode\@)
        .code64
.Llong_mode\@:
        mov     $16, %eax
        mov     %eax, %ss
        mov     %eax, %ds
        mov     %eax, %es
        xor     %eax, %eax
        mov     %eax, %fs
        mov     %eax, %gs
        .endm

        .section .text.boot, "ax"
        .code32
        .globl pvh_start
pvh_start:
        cld
        mov     %ebx, %ebp
        /* .bss is zero: the loader clears p_memsz - p_filesz. */

        /* Level 4. */
        mov     $PHYS(boot_direct_3) + 3, %eax
        mov     %eax, PHYS(boot_root) + 256 * 8
        mov     $PHYS(boot_kernel_3) + 3, %eax
        mov     %eax, PHYS(boot_root)
        mov     %eax, PHYS(boot_root) + 511 * 8
        /* Level 3. */
        mov     $PHYS(boot_direct_2) + 3, %eax
        mov     %eax, PHYS(boot_direct_3)
        mov     $PHYS(boot_kernel_2) + 3, %eax
        mov     %eax, PHYS(boot_kernel_3)
        mov     %eax, PHYS(boot_kernel_3) + 510 * 8
        /* Level 2: 512 leaves of 2 MiB; two tables for the image. */
        mov     $PHYS(boot_direct_2), %edi
        mov     $0x83, %eax
1:      mov     %eax, (%edi)
        add     $0x200000, %eax
        add     $8, %edi
        cmp     $0x40000083, %eax
        jne     1b
        mov     $PHYS(boot_kernel_tables) + 3, %eax
        mov     %eax, PHYS(boot_kernel_2)
        add     $4096, %eax
        mov     %eax, PHYS(boot_kernel_2) + 8
        /* Level 1: 4 MiB, writable and executable until paging_init(). */
        mov     $PHYS(boot_kernel_tables), %edi
        mov     $3, %eax
1:      mov     %eax, (%edi)
        add     $4096, %eax
        add     $8, %edi
        cmp     $0x400003, %eax
        jne     1b

        ENTER_LONG_MODE
        mov     $boot_stack_top, %rsp
        mov     %ebp, %edi
        xor     %ebp, %ebp
        movabs  $boot_main, %rax
        push    $0 /* end of the backtrace */
        jmp     *%rax

        .balign 8
boot_gdt:
        .quad 0
        .quad 0x00af9b000000ffff /* 64-bit code */
        .quad 0x00cf93000000ffff /* data */
        .quad 0x00cf9b000000ffff /* 32-bit code, for the trampoline */
boot_gdt_end:
boot_gdt_pointer:
        .word boot_gdt_end - boot_gdt - 1
        .long PHYS(boot_gdt)

/*
 * The other CPUs start here in real mode, at a copy of this code in a page
 * below 1 MiB, all at once.  Each takes the next number from smp_next and
 * with it its stack.
 */
        .globl trampoline_start, trampoline_end
        .code16
trampoline_start:
        cli
        cld
        mov     %cs, %ax
        mov     %ax, %ds
        lgdtl   trampoline_gdt_pointer - trampoline_start
        mov     $1, %eax
        mov     %eax, %cr0
        ljmpl   $24, $PHYS(trampoline_32)
trampoline_gdt_pointer:
        .word boot_gdt_end - boot_gdt - 1
        .long PHYS(boot_gdt)
trampoline_end:

        .code32
trampoline_32:
        mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %ss
        ENTER_LONG_MODE
        mov     $1, %edi
        lock xadd %edi, smp_next(%rip)
        movabs  $2f, %rax
        jmp     *%rax
        .text
2:      cmp     smp_limit, %edi
        jae     3f /* more than we can use; the start-up interrupt went to all */
        mov     smp_stacks(,%rdi,8), %rsp
        xor     %ebp, %ebp
        push    $0
        jmp     smp_main
3:      cli
        hlt
        jmp     3b

        .section .note.GNU-stack, "", @progbits
