# SPDX-License-Identifier: MIT
# The `mimosa` command: every cli/*.c, linked into build/mimosa.

CLI_SRC := $(wildcard cli/*.c)
CLI_OBJ := $(CLI_SRC:%.c=$(O)/%.o)

.PHONY: cli
cli: $(O)/mimosa

$(O)/mimosa: $(CLI_OBJ)
	$(call say,LD,$@)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) $^ -o $@

$(O)/cli/%.o: cli/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

-include $(CLI_OBJ:.o=.d)
