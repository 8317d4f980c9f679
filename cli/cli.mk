# SPDX-License-Identifier: MIT
# The `mimosa` command: every cli/*.c, linked into build/mimosa.

CLI_SRC := $(wildcard cli/*.c)
CLI_OBJ := $(CLI_SRC:%.c=$(O)/%.o)

.PHONY: cli
cli: $(O)/mimosa

$(O)/mimosa: $(CLI_OBJ)
	$(call say,LD,$@)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) $^ -lm -o $@

$(O)/cli/%.o: cli/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) $(CLI_DEFS) -MMD -MP -c $< -o $@

# The commit that is built, empty where git does not know these sources: a file
# that changes only when that does.
.PHONY: cli-force
cli-force:
$(O)/commit: cli-force
	@mkdir -p $(@D)
	@{ [ -e .git ] && git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null; } \
	    >$@.new || :
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
$(O)/cli/bench_provenance.o: $(O)/commit
$(O)/cli/bench_provenance.o: CLI_DEFS = -DMIMOSA_COMMIT='"$(shell cat $(O)/commit)"'

-include $(CLI_OBJ:.o=.d)

# Linux's first process for --on linux-vm and linux-lean: static, without libraries of the host.
cli: $(O)/linux-init
$(O)/linux-init: lab/vm/linux-init.c lab/vm/linux-net.c lab/vm/linux-net.h base/wire.h
	@MIMOSA_NEED_WHY="link static programs" tools/need musl-tools
	@mkdir -p $(@D)
	$(call say,GUEST,$@)
	$(Q)musl-gcc -std=gnu11 -O2 -g $(WARN) -I. -D_GNU_SOURCE -static $(filter %.c,$^) -o $@

# The examples, as programs for `mimosa run NAME`: the small ones plain musl,
# the threaded one with every heap.
EXAMPLES := $(O)/bin/cat $(O)/bin/hello $(O)/bin/boot-instructions $(O)/bin/threads

.PHONY: examples
cli: examples
examples: $(EXAMPLES)

$(O)/bin/cat $(O)/bin/hello $(O)/bin/boot-instructions: $(O)/bin/%: examples/%.c
	@MIMOSA_NEED_WHY="link static programs" tools/need musl-tools
	@mkdir -p $(@D)
	$(call say,GUEST,$@)
	$(Q)musl-gcc -std=gnu11 -O2 $(WARN) -D_GNU_SOURCE -static $< -o $@

$(O)/bin/threads: examples/threads.c $(CC_READY)
	@mkdir -p $(@D)
	$(call say,GUEST,$@)
	$(Q)$(O)/mimosa cc -std=gnu11 -O2 $(WARN) -D_GNU_SOURCE -pthread $< -o $@

# The unit tests of the command; cli_run_test drives the real one, with a
# stand-in for QEMU.
CLI_TESTS := $(patsubst test/host/%.c,$(O)/test/host/%,$(wildcard test/host/cli_*_test.c))

.PHONY: test-host-cli
## make test-host-cli  the command's own tests, without a kernel
test-host-cli: $(CLI_TESTS)
	@test/run-host $(CLI_TESTS)

$(O)/test/host/cli_run_test: | $(O)/mimosa $(O)/test/fake_qemu
$(O)/test/fake_qemu: test/host/fake_qemu.c base/wire.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) $< -o $@

# Installed, PREFIX/lib/mimosa looks as build/ does, and PREFIX/bin/mimosa is a
# link into it: so the command finds its parts in the same way in both.
PREFIX := /usr/local
INSTALL_LIB = $(DESTDIR)$(PREFIX)/lib/mimosa
INSTALL_SHARE = $(DESTDIR)$(PREFIX)/share

.PHONY: install uninstall
## make install    PREFIX=/usr/local DESTDIR=: the command, its parts, manual, completion
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(INSTALL_LIB)/bin $(INSTALL_LIB)/lab \
	    $(INSTALL_LIB)/heaps/include/mimosa $(INSTALL_SHARE)/man/man1 \
	    $(INSTALL_SHARE)/bash-completion/completions
	install $(O)/mimosa $(O)/linux-init tools/fetch-linux $(INSTALL_LIB)
	install -m 644 $(O)/mimosa-kernel $(O)/mimosa-kernel.debug tools/gdb/mimosa.gdb $(INSTALL_LIB)
	install $(EXAMPLES) $(INSTALL_LIB)/bin
	install $(O)/lab/workloads $(O)/lab/null $(O)/lab/count.so $(INSTALL_LIB)/lab
	install -m 644 $(O)/heaps/*.a $(addprefix $(O)/heaps/,musl.specs musl.lib mimalloc.version) \
	    $(INSTALL_LIB)/heaps
	install -m 644 $(O)/heaps/include/mimosa/heap.h $(INSTALL_LIB)/heaps/include/mimosa
	rm -rf $(INSTALL_LIB)/heaps/uapi && cp -RP $(O)/heaps/uapi $(INSTALL_LIB)/heaps/uapi
	install -m 644 doc/mimosa.1 $(INSTALL_SHARE)/man/man1
	install -m 644 cli/completion/mimosa.bash \
	    $(INSTALL_SHARE)/bash-completion/completions/mimosa
	ln -sf ../lib/mimosa/mimosa $(DESTDIR)$(PREFIX)/bin/mimosa

uninstall:
	rm -rf $(INSTALL_LIB) $(DESTDIR)$(PREFIX)/bin/mimosa $(INSTALL_SHARE)/man/man1/mimosa.1 \
	    $(INSTALL_SHARE)/bash-completion/completions/mimosa
