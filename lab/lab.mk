# SPDX-License-Identifier: MIT
# The lab: the workloads program (one static binary for every system) and the
# statistics and reports that are linked into the command.

LAB_CC = $(if $(wildcard heaps/dispatch/*.c),$(O)/mimosa cc,musl-gcc -static)
LAB_PROGRAM_SRC := $(wildcard lab/harness/*.c lab/workloads/*.c)
# linux-init.c is a program of its own, built in cli.mk.
LAB_SRC := $(filter-out lab/linux-init.c,$(wildcard lab/*.c))
LAB_OBJ := $(LAB_SRC:%.c=$(O)/%.o)

.PHONY: lab bench check-instructions
lab: $(O)/lab/workloads

$(O)/mimosa: $(LAB_OBJ)

$(O)/lab/%.o: lab/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$(O)/lab/workloads: $(LAB_PROGRAM_SRC) lab/harness/harness.h heaps/include/mimosa/heap.h
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LAB_CC) $(HOST_CFLAGS) -pthread $(LAB_PROGRAM_SRC) -o $@

-include $(LAB_OBJ:.o=.d)
