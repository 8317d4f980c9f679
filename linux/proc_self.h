/* SPDX-License-Identifier: MIT */
/* /proc/self and /proc/mimosa/program. */
#ifndef LINUX_PROC_SELF_H
#define LINUX_PROC_SELF_H

/* What uname(2) and /proc say; the release whose ABI we follow comes first. */
#define UNAME_RELEASE "6.1.0-mimosa"
#define UNAME_VERSION "#1 SMP Mimosa " MIMOSA_VERSION
#define UNAME_NODE    "mimosa"

/* Registers them; once, before the program starts, when `the_process` is filled. */
void proc_self_init(void);

#endif
