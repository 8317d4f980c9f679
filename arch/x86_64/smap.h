/* SPDX-License-Identifier: MIT */
/*
 * Assembly only: the instructions that open and close the program's memory to
 * the kernel.  Each notes its place, so that uaccess_init() can take it out
 * where the CPU has no SMAP and would not know it.
 */
#ifndef ARCH_SMAP_H
#define ARCH_SMAP_H

        .macro SMAP_SITE instruction
.Lsmap\@:
        \instruction
        .pushsection .smap_sites, "a"
        .quad .Lsmap\@
        .popsection
        .endm

        .macro USER_OPEN
        SMAP_SITE stac
        .endm

        .macro USER_CLOSE
        SMAP_SITE clac
        .endm

#endif
