# SPDX-License-Identifier: MIT
# The vDSO: user code, so built on its own, then embedded by linux/vdso_image.S.

VDSO := $(O)/kernel/vdso.so

$(VDSO): linux/vdso/vdso.c linux/vdso/vdso.h linux/vdso/vdso.lds linux/vdso/vdso.mk kernel/timer.h
	@mkdir -p $(@D)
	$(call say,VDSO,$@)
	$(Q)gcc -std=gnu11 -O2 -ffreestanding -fPIC -fvisibility=hidden -fno-stack-protector \
	    -fno-asynchronous-unwind-tables -fcf-protection=none -mgeneral-regs-only $(WARN) -I. \
	    -nostdlib -shared -Wl,-soname,linux-vdso.so.1 -Wl,--hash-style=both -Wl,-Bsymbolic \
	    -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 \
	    -Wl,-T,linux/vdso/vdso.lds -s -o $@ linux/vdso/vdso.c

$(K)/linux/vdso_image.S.o: $(VDSO)
