# SPDX-License-Identifier: MIT
# The kernel: base, arch, kernel, dev, fs, net, linux, main.c and lwIP into one PVH ELF.
#
# build/mimosa-kernel is what boots (stripped), build/mimosa-kernel.debug holds
# its symbols.  DEBUG=1 builds build/mimosa-kernel-debug with slow assertions,
# lock ranks, page poisoning and UBSan traps; COUNT=1 the counting build.

K_VARIANT := $(if $(DEBUG),-debug)$(if $(COUNT),-count)
K := $(O)/kernel$(K_VARIANT)
KERNEL := $(O)/mimosa-kernel$(K_VARIANT)

K_CC := $(or $(KERNEL_CC),gcc)
# The kernel is compiled as a whole: an eighth fewer instructions to a request over the network.
# Not for debugging, and clang would want its own linker.
K_LTO := $(if $(findstring clang,$(K_CC)),,-flto=auto)
K_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pic -mcmodel=kernel -mno-red-zone \
    -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables \
    -fno-omit-frame-pointer -fno-strict-aliasing -fno-common -fno-jump-tables \
    -ffunction-sections -fdata-sections \
    -fno-tree-loop-distribute-patterns -fcf-protection=none $(WARN) -I. \
    -DMIMOSA_VERSION='"$(VERSION)"' \
    $(if $(DEBUG),-DDEBUG -fsanitize=undefined -fsanitize-undefined-trap-on-error,$(K_LTO)) \
    $(if $(COUNT),-DCOUNT_SHARED_WRITES)

include net/lwip.mk

K_SOURCES := $(wildcard base/*.c arch/x86_64/*.c arch/x86_64/*.S kernel/*.c dev/*.c fs/*.c \
                        net/*.c linux/*.c linux/*.S) main.c
K_OBJECTS := $(patsubst %,$(K)/%.o,$(K_SOURCES)) $(LWIP_OBJECTS)

-include linux/vdso/vdso.mk

.PHONY: kernel
## make kernel     only the kernel: build/mimosa-kernel
kernel: $(KERNEL)

$(K)/%.c.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(K_CC) $(K_CFLAGS) $(K_INCLUDES) -MMD -c $< -o $@

$(K)/%.S.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(K_CC) $(K_CFLAGS) $(K_INCLUDES) -MMD -c $< -o $@

$(KERNEL).debug: $(K_OBJECTS) arch/x86_64/kernel.lds
	$(call say,LD,$@)
	$(Q)$(K_CC) $(K_CFLAGS) -nostdlib -static -no-pie -Wl,--build-id=sha1 -Wl,-z,max-page-size=4096 \
	    -Wl,--no-warn-rwx-segments -Wl,--gc-sections -Wl,-T,arch/x86_64/kernel.lds -o $@ $(K_OBJECTS)

$(KERNEL): $(KERNEL).debug
	$(call say,STRIP,$@)
	$(Q)objcopy --strip-all $< $@

-include $(K_OBJECTS:.o=.d)
