# SPDX-License-Identifier: MIT
# lwIP, from Debian's source, with our options (net/lwip/).  Of all its files only
# those of net/lwip/sources.txt; its timers, its resolver and its sockets are not
# among them.
#
# Some functions are renamed where they are defined, and ours stand in front of
# them, or in their place (net/lwip/renamed.txt).

LWIP_VERSION := $(shell sed -n 's/^lwip \([^ ]*\) .*/\1/p' tools/sources.txt)
LWIP := $(CACHE)/lwip-$(LWIP_VERSION)/src
LWIP_NAMES := $(shell cat net/lwip/sources.txt)
LWIP_OBJECTS := $(LWIP_NAMES:%=$(K)/lwip/%.o)
LWIP_OPTIONS := $(wildcard net/lwip/*.h net/lwip/*.txt net/lwip/arch/*.h)
LWIP_INCLUDES := -Inet/lwip -isystem $(LWIP)/include
# Its own style of code is not ours to warn about.
LWIP_CFLAGS = $(filter-out -W%,$(K_CFLAGS)) -w -Inet/lwip -Inet/lwip/libc -I$(LWIP)/include

$(LWIP)/../.complete: tools/sources.txt
	$(Q)MIMOSA_CACHE=$(CACHE) tools/fetch-source lwip >/dev/null
	$(Q)touch $@

LWIP_DEFS = $(shell sed -n 's|^$* \(.*\)|-D\1=lwip_\1|p' net/lwip/renamed.txt)
$(LWIP_OBJECTS): $(K)/lwip/%.o: $(LWIP)/../.complete $(LWIP_OPTIONS)
	@mkdir -p $(@D)
	$(call say,CC,lwip/$*.c)
	$(Q)$(K_CC) $(LWIP_CFLAGS) $(LWIP_DEFS) -MMD -c $(LWIP)/$*.c -o $@

$(patsubst %,$(K)/%.o,$(wildcard net/*.c)): K_INCLUDES := $(LWIP_INCLUDES)
# gcc leaves out of its lists what a system's header includes.
$(patsubst %,$(K)/%.o,$(wildcard net/*.c)): $(LWIP_OPTIONS) | $(LWIP)/../.complete
