/* SPDX-License-Identifier: MIT */
/* What the vDSO takes for granted of the kernel; linux/vdso.c asserts it. */
#ifndef LINUX_VDSO_VDSO_H
#define LINUX_VDSO_VDSO_H

#define VDSO_SHIFT 32 /* clock_page.shift: a constant saves five instructions a call */

#endif
