/* SPDX-License-Identifier: MIT */
/*
 * Bugs of the kernel's own, on request: the boot word provoke=KIND, so that what a panic says can
 * be tested and seen.  Only who starts the machine can ask; no program can.
 *
 *     provoke=fault      reads where nothing is mapped
 *     provoke=assert     breaks an assertion
 *     provoke=overflow   recurses until the kernel stack ends
 */
#ifndef KERNEL_PROVOKE_H
#define KERNEL_PROVOKE_H

/*
 * Returns where the command line asks for nothing; else the machine ends in a panic on the last
 * CPU, or, for an unknown KIND, refuses to start.  Context: a kernel thread, all CPUs up.
 */
void provoke_if_asked(void);

#endif
