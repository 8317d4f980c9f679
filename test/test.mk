# SPDX-License-Identifier: MIT
# Tests.  Guest programs (test/guest, test/errors) are static Linux programs;
# host tests (test/host) are unit tests with cmocka under sanitizers.
#
# A program is one source file; a name with a dash is a variant of the source
# before the dash.  Host test FILE_test.c says in lines `/* tests: A.c B.c */`
# which sources of the kernel it compiles along, with -DHOST_TEST.

.PHONY: test test-all test-need test-host test-linux test-guest test-guest-q35 test-errors test-wire \
        test-guest-build soak check lint

GUEST_SOURCES := $(filter-out test/guest/tls.c,$(wildcard test/guest/*.c))
GUEST_NAMES := $(GUEST_SOURCES:test/guest/%.c=%)
# tls-INIT-ZERO-ALIGN: every size that the issue names, every alignment once.
GUEST_TLS := $(addprefix tls-,1-0-1 0-15-2 16-0-4 15-2-8 17-0-16 60-4-32 64-0-64 1-16-128 \
        15-0-256 0-17-512 0-4096-1024 1-63-2048 4095-1-4096 4096-17-1 17-1048559-16 1048576-0-4096 0-1-4096)
GUEST_PIE := hello-pie args_env_auxv-pie
GUEST_ALL := $(GUEST_NAMES) $(GUEST_TLS) $(GUEST_PIE)
ERROR_NAMES := $(patsubst test/errors/%.c,%,$(wildcard test/errors/*.c))
HOST_TESTS := $(patsubst test/host/%.c,%,$(wildcard test/host/*_test.c))
# Kernel code that threads hammer is built with the thread sanitizer as well.
HOST_TESTS += mutex_test-tsan pages_test-tsan slab_test-tsan
GUEST_BUILT := $(GUEST_ALL:%=$(O)/test/guest/%) $(GUEST_ALL:%=$(O)/test/guest-glibc/%) \
        $(ERROR_NAMES:%=$(O)/test/errors/%) $(O)/test/wire/stdio $(O)/test/wire/options \
        $(O)/test/wire/pty $(O)/test/wire/waiting $(O)/test/wire/waiting_pie \
        $(O)/test/net/talk $(O)/test/net/relay $(O)/test/net/forge

GUEST_CFLAGS := -std=gnu11 -O2 -g -pthread -I. $(WARN)
GUEST_CC_musl := musl-gcc
GUEST_CC_glibc := gcc

# The flags that a variant's name stands for.
guest_words = $(subst -, ,$(1))
guest_flags = $(if $(filter tls-%,$(1)),-DTLS_INIT=$(word 2,$(guest_words)) \
        -DTLS_ZERO=$(word 3,$(guest_words)) -DTLS_ALIGN=$(word 4,$(guest_words))) \
        $(if $(filter %-pie,$(1)),$(PIE_$(2)),-fno-pie -static)

# musl-gcc (1.2.3) knows nothing of static-pie: its start files by name.
MUSL_LIB := /usr/lib/x86_64-linux-musl
PIE_musl := -fPIE -static -nostartfiles -Wl,-pie,--no-dynamic-linker,-z,text $(MUSL_LIB)/rcrt1.o \
        $(MUSL_LIB)/crti.o $(MUSL_LIB)/crtn.o
PIE_glibc := -fPIE -static-pie

# $(1) program, $(2) libc, $(3) directory
define guest_rule
$(O)/test/$(3)/$(1): test/guest/$(firstword $(subst -, ,$(1))).c test/test.mk | test-need
	$(call say,CC,$$@)
	@mkdir -p $$(@D) $(O)/test/obj
	$(Q)$(GUEST_CC_$(2)) $(GUEST_CFLAGS) $(call guest_flags,$(1),$(2)) -MMD -MP \
	    -MF $(O)/test/obj/$(3)-$(1).d -MT $$@ -o $$@ $$<
endef
$(foreach name,$(GUEST_ALL),$(eval $(call guest_rule,$(name),musl,guest)) \
    $(eval $(call guest_rule,$(name),glibc,guest-glibc)))

# Programs that misbehave on purpose: nothing may be optimised away.
# Of those named NAME_unmarked, PT_GNU_STACK is made PT_NULL.
UNMARK := LC_ALL=C sed -i 's/\x51\xe5\x74\x64/\x00\x00\x00\x00/'
$(O)/test/errors/%: test/errors/%.c test/test.mk | test-need
	$(call say,CC,$@)
	@mkdir -p $(@D) $(O)/test/obj
	$(Q)musl-gcc -std=gnu11 -O1 -g -pthread -I. -fstack-protector-all \
	    $(if $(filter %_pie,$*),$(PIE_musl),-fno-pie -static) \
	    -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-inline -w -MMD -MP \
	    -MF $(O)/test/obj/errors-$*.d -MT $@ -o $@ $<
	$(if $(filter %_unmarked,$*),$(Q)$(UNMARK) $@)

# The programs behind test/run-wire and test/run-options; of the latter, all moves.
$(O)/test/wire/stdio $(O)/test/wire/options: $(O)/test/wire/%: test/wire/%.c test/test.mk | test-need
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)musl-gcc $(GUEST_CFLAGS) $(if $(filter options,$*),$(PIE_musl),-static) -o $@ $<

# The program behind test/run-gdb; its frames can be followed.
$(O)/test/wire/waiting $(O)/test/wire/waiting_pie: test/wire/waiting.c test/test.mk | test-need
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)musl-gcc $(GUEST_CFLAGS) -fno-omit-frame-pointer -fno-optimize-sibling-calls \
	    $(if $(filter %_pie,$@),$(PIE_musl),-fno-pie -static) -o $@ $<

# The person at the terminal.
$(O)/test/wire/pty: test/wire/pty.c test/test.mk | test-need
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) -o $@ $<

# Those that talk over the network, the bad cable between them, and who forges segments.
TALK_SOURCES := $(filter-out test/net/relay.c,$(wildcard test/net/*.c))
$(O)/test/net/talk: $(TALK_SOURCES) test/net/talk.h test/test.mk | test-need
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)musl-gcc $(GUEST_CFLAGS) -static -o $@ $(TALK_SOURCES)
$(O)/test/net/relay: test/net/relay.c
$(O)/test/net/forge: $(wildcard test/net/forge/*.[ch]) test/net/talk.h
$(O)/test/net/relay $(O)/test/net/forge: test/test.mk | test-need
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) -o $@ $(filter %.c,$^)

# $(1) what to append to the program's name, $(2) sanitizers.  The shims stand in for arch/.
define host_rule
$(O)/test/host/%$(1): test/host/%.c test/test.mk | test-need
	$$(call say,CC,$$@)
	@mkdir -p $$(@D) $(O)/test/obj
	$$(Q)gcc $$(filter-out -O2,$$(HOST_CFLAGS)) -O1 -DHOST_TEST -iquote test/host/shim \
	    -fsanitize=$(2) -fno-sanitize-recover=all -fno-omit-frame-pointer -pthread -o $$@ $$< \
	    $$$$(sed -n 's|^/\* tests: \(.*\) \*/$$$$|\1|p' $$<) -lcmocka -lm
	@gcc -MM -MP -iquote test/host/shim -I. -DHOST_TEST -D_GNU_SOURCE -MT $$@ $$< \
	    $$$$(sed -n 's|^/\* tests: \(.*\) \*/$$$$|\1|p' $$<) >$(O)/test/obj/host-$$*$(1).d
endef
COMMA := ,
$(eval $(call host_rule,-tsan,thread))
$(eval $(call host_rule,,address$(COMMA)undefined))

-include $(wildcard $(O)/test/obj/*.d)

test-need:
	@MIMOSA_NEED_WHY="build and run the tests" tools/need gcc make libc6-dev musl-tools \
	    libcmocka-dev

## make test       install what is missing, build, run the tests (under 20 minutes)
test:
	@test/run-all quick

## make test-all   also q35, 8 and 64 CPUs, 8 GiB, the debug kernel, and a longer fuzz
test-all:
	@test/run-all all

## make test-go    Go's own tests of its library, as static programs (installs Debian's Go)
test-go: kernel cli
	@test/run-go
.PHONY: test-go

## make fuzz-hour  an hour of random system calls, release and debug kernel by turns
fuzz-hour: test-guest-build kernel cli
	@$(MAKE) --no-print-directory kernel DEBUG=1
	@test/run-fuzz 3600
.PHONY: fuzz-hour

# What reads the bytes of a device, of the network and of the wire's other end, under
# libFuzzer.  A fuzzer says what it needs as a host test does.
FUZZERS := virtq virtio_net frame wire
$(O)/test/fuzz/%-fuzzer: test/fuzz/%_fuzz.c test/fuzz/build $(wildcard base/wire.h dev/*.[ch] cli/frame.[ch] net/*.[ch] net/lwip/* \
        test/host/*.[ch] test/host/shim/*.[ch] test/fuzz/*.h) | fuzz-need $(LWIP)/../.complete
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)MIMOSA_CACHE=$(CACHE) test/fuzz/build $* $@
$(O)/test/fuzz/%-coverage: $(O)/test/fuzz/%-fuzzer
	$(call say,CC,$@)
	$(Q)MIMOSA_CACHE=$(CACHE) test/fuzz/build $* $@ "" "" -fprofile-instr-generate -fcoverage-mapping

# Fewer places where it looks at what the program compares, and a faster program.
$(O)/test/fuzz/%-fast: $(O)/test/fuzz/%-fuzzer
	$(call say,CC,$@)
	$(Q)MIMOSA_CACHE=$(CACHE) test/fuzz/build $* $@ "" "" -O2 -fno-sanitize-coverage=trace-cmp,indirect-calls

fuzz-need:
	@MIMOSA_NEED_WHY="fuzz the parsers" tools/need clang libclang-rt-dev llvm libc6-dev

## make fuzz-parsers  evil devices and neighbours against what reads them, SECONDS=60 each; planted bugs are found
fuzz-parsers: $(FUZZERS:%=$(O)/test/fuzz/%-fuzzer)
	@MIMOSA_CACHE=$(CACHE) test/run-fuzz-parsers $(or $(SECONDS),60)

## make fuzz-cases  ten million inputs of each (CASES=, FUZZERS=); takes hours, may be interrupted
fuzz-cases: $(FUZZERS:%=$(O)/test/fuzz/%-fast)
	@test/run-fuzz-cases $(or $(CASES),10000000) $(FUZZERS)

## make fuzz-coverage  which lines of them the kept corpus reaches
fuzz-coverage: $(FUZZERS:%=$(O)/test/fuzz/%-coverage)
	@test/run-fuzz-coverage $(FUZZERS)
.PHONY: fuzz-need fuzz-parsers fuzz-cases fuzz-coverage

## make soak       ten minutes of everything at once, on both kernels
soak: test-guest-build heap-tests kernel cli
	@$(MAKE) --no-print-directory kernel DEBUG=1
	@test/soak

## make matrix     also on the QEMU of Debian's current stable, and under KVM
matrix: test-guest-build kernel cli $(O)/lab/workloads
	@test/matrix
.PHONY: matrix

test-guest-build: $(GUEST_BUILT)

## make test-host  unit tests under sanitizers
test-host: $(HOST_TESTS:%=$(O)/test/host/%)
	@test/run-host $(sort $^)

## make test-linux the guest tests on this Linux
test-linux: test-guest-build
	@test/run-guest --on linux

## make test-guest the guest tests on Mimosa with 1, 2 and 4 CPUs
test-guest: test-guest-build kernel cli
	@test/run-guest --on mimosa --cpus "1 2 4"

test-errors: test-guest-build kernel cli
	@test/run-errors

test-wire: test-guest-build kernel cli
	@test/run-wire

## make test-options  what the options do to a real kernel, and what the command says of itself
test-options: test-guest-build kernel cli
	@test/run-options
.PHONY: test-options

## make test-net   two machines on a good, a bad and a cut cable, and QEMU's user network
test-net: test-guest-build kernel cli
	@test/run-net
.PHONY: test-net

## make test-load  Redis, memcached and nginx under load on Mimosa, and a port scan
test-load: test-guest-build apps kernel cli
	@test/run-load
.PHONY: test-load

## make test-gdb   follow `mimosa run --gdb` with gdb
test-gdb: $(O)/test/wire/waiting $(O)/test/wire/waiting_pie kernel cli
	@MIMOSA_NEED_WHY="test the debugger's line" tools/need gdb
	@test/run-gdb
.PHONY: test-gdb

## make check      fast: what must hold before each commit
check:
	@test/lint/check
lint: check

# With the heaps inside: what is counted of a malloc is mimalloc's.
$(O)/test/sharing: test/guest/sharing.c test/guest/guest.h test/guest/threads.h $(CC_READY)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(O)/mimosa cc $(GUEST_CFLAGS) -o $@ $<

## make check-sharing  count the writes to lines that CPUs share, at 2, 8 and 64 CPUs
check-sharing: $(O)/test/sharing cli
	@$(MAKE) --no-print-directory kernel COUNT=1
	@test/run-sharing
.PHONY: check-sharing
