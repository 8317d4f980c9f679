# SPDX-License-Identifier: MIT
# Real programs, each described by apps/NAME/recipe and built by apps/build
# into build/apps; apps/README.md shows how to add one.

APPS := $(patsubst apps/%/recipe,%,$(wildcard apps/*/recipe))
app_uses = $(shell sed -n 's/^uses=//p' apps/$(1)/recipe)

.PHONY: apps $(APPS)
## make apps       real programs with the heaps inside: make redis, memcached, nginx
apps: $(APPS)

define app_rule
$(1): $(O)/apps/$(1).built
$(O)/apps/$(1).built: $(patsubst %,$(O)/apps/%.built,$(call app_uses,$(1)))
endef
$(foreach a,$(APPS),$(eval $(call app_rule,$(a))))

# The line that pins a source: a file that changes only when that does.
.PHONY: apps-force
apps-force:
$(O)/apps/%.pin: apps-force
	@mkdir -p $(@D)
	@grep '^$* ' tools/sources.txt >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PRECIOUS: $(O)/apps/%.pin

$(O)/apps/%.built: apps/%/recipe apps/build $(O)/apps/%.pin $(CC_READY)
	@MIMOSA_NEED_WHY="build real programs" tools/need gcc make musl-tools xz-utils
	$(call say,APP,$*)
	$(Q)MIMOSA_CACHE="$(CACHE)" apps/build $*
	@touch $@

## make test-apps  Redis, memcached and nginx with every heap, on Linux
.PHONY: test-apps
test-apps: apps
	@test/run-apps
