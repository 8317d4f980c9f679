/* SPDX-License-Identifier: MIT */
/*
 * Extended state (x87, SSE, AVX, AVX-512): the kernel never uses it, so it is
 * the program's alone and changes hands only in a switch between threads.
 */
#ifndef ARCH_FPU_H
#define ARCH_FPU_H

#include "base/types.h"

/* Writes the state that a new program starts with into `area` (cpu_features.xsave_size bytes,
 * 64-byte aligned). */
void fpu_init_area(void *area);
/* Saves this CPU's live state into `area`; preemption must be off. */
void fpu_save(void *area);
/* Loads `area` into this CPU; preemption must be off.  `area` must be kernel-made or checked. */
void fpu_restore(const void *area);
/*
 * Whether an area that came from the program (a signal frame) can be restored:
 * false where XRSTOR or FXRSTOR would fault, for reserved bits in MXCSR or the
 * header.  Header words that the CPU ignores are cleared.
 */
bool fpu_sanitise(void *area);

#endif
