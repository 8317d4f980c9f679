/* SPDX-License-Identifier: MIT */
/* Private to arch/x86_64: the exception table. */
#ifndef ARCH_UACCESS_IMPL_H
#define ARCH_UACCESS_IMPL_H

#include "base/types.h"

/* Takes out stac and clac where the CPU has no SMAP; once, while the image is still writable. */
void uaccess_init(void);
/* Where to go on after an unserved fault at `rip`; 0: nowhere, it is a kernel bug. */
uintptr_t uaccess_fixup(uintptr_t rip);

#endif
