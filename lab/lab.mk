# SPDX-License-Identifier: MIT
# The lab: the workloads program (one static binary for every system) and the
# statistics and reports that are linked into the command.

LAB_PROGRAM_SRC := $(wildcard lab/harness/*.c lab/workloads/*.c)
LAB_SRC := $(wildcard lab/*.c)
LAB_OBJ := $(LAB_SRC:%.c=$(O)/%.o)

.PHONY: lab bench bench-need check-instructions keep-instructions
lab: $(O)/lab/workloads $(O)/lab/null $(O)/lab/count.so

$(O)/mimosa: $(LAB_OBJ)

$(O)/lab/%.o: lab/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$(O)/lab/workloads: $(LAB_PROGRAM_SRC) lab/harness/harness.h $(CC_READY)
	@mkdir -p $(@D)
	$(call say,GUEST,$@)
	$(Q)$(O)/mimosa cc $(HOST_CFLAGS) -pthread $(LAB_PROGRAM_SRC) -o $@

$(O)/lab/null: lab/null.S
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(HOST_CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-Ttext=0x100000 -Wl,-e,null_start $< -o $@

$(O)/lab/count.so: lab/vm/count.c
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) -fPIC -shared -fvisibility=hidden $< -o $@

-include $(LAB_OBJ:.o=.d)

bench-need:
	@MIMOSA_NEED_WHY="build and measure" tools/need gcc make libc6-dev binutils musl-tools \
	    xz-utils dpkg-dev qemu-system-x86

## make bench      install what is missing, build, measure (three minutes), print the table
##                 (BENCH="--runs 11 --budget 600" for more)
bench: bench-need
	@$(MAKE) --no-print-directory all
	@MIMOSA_CACHE="$(CACHE)" tools/fetch-linux || echo "mimosa: going on without the Linux VM" >&2
	@mkdir -p $(O)/bench
	@MIMOSA_CACHE="$(CACHE)" $(O)/mimosa bench --quick $(BENCH) --json $(O)/bench/latest.json \
	    --html $(O)/bench/latest.html
	@echo "Raw samples: $(O)/bench/latest.json; plots: $(O)/bench/latest.html"

## make bench-redis  Redis on Mimosa, on a lean Linux (built first: ten minutes, once) and here
##                 (BENCH="--net tap:mimosa0 --cpus 1,2" for more)
.PHONY: bench-redis
bench-redis: bench-need
	@MIMOSA_NEED_WHY="measure Redis" tools/need redis-tools
	@$(MAKE) --no-print-directory all redis
	@MIMOSA_CACHE="$(CACHE)" tools/build-linux-lean || \
	    echo "mimosa: going on without the lean Linux" >&2
	@mkdir -p $(O)/bench
	@MIMOSA_CACHE="$(CACHE)" $(O)/mimosa bench --app redis --quick $(BENCH) \
	    --json $(O)/bench/redis.json --html $(O)/bench/redis.html
	@echo "Raw samples: $(O)/bench/redis.json; plots: $(O)/bench/redis.html"

## make check-instructions  fail where an operation costs 5 % more than lab/instructions.txt
##                 says, or more than its ceiling there; also boot and the kernel's size
check-instructions: kernel cli lab
	@test/run-instructions

# After a change that was meant: writes the file anew, but for the ceilings.
keep-instructions: kernel cli lab
	@MIMOSA_CACHE="$(CACHE)" $(O)/mimosa bench --micro --keep lab/instructions.txt
