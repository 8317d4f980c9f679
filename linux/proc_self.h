/* SPDX-License-Identifier: MIT */
/* /proc/self and /proc/mimosa/program. */
#ifndef LINUX_PROC_SELF_H
#define LINUX_PROC_SELF_H

/* Registers them; once, before the program starts, when `the_process` is filled. */
void proc_self_init(void);

#endif
