# SPDX-License-Identifier: MIT
# The heaps: static musl objects, joined so that only the malloc family and
# mimosa_heap_* can be seen from outside.
#
#   build/heaps/libmimosa-heaps.a        the dispatcher and every heap
#   build/heaps/libmimosa-heap-NAME.a    one heap, no dispatch (mimosa cc --heap NAME)
#   build/heaps/musl.specs, include/, uapi/  what `mimosa cc` hands to gcc
#   build/heaps/mimalloc.version         of the sources that were built
#
# All symbols are weak: a program that brings a malloc of its own keeps it.

H := $(O)/heaps
MUSL_CC := musl-gcc
HEAP_CFLAGS := -std=gnu11 -O2 -g -fno-omit-frame-pointer -fno-builtin $(WARN) -I. -D_GNU_SOURCE
# What upstream's CMake sets in a release build.
MIMALLOC_CFLAGS := -O3 -g -DNDEBUG -w -fno-omit-frame-pointer -fno-builtin-malloc \
                   -fvisibility=hidden -ftls-model=initial-exec -D_GNU_SOURCE

HEAP_NAMES := buddy buddy-page mimalloc mimalloc-secure musl bump
HEAP_COMMON := $(H)/obj/lock.o $(H)/obj/pages.o $(H)/obj/misuse.o
HEAP_OBJ_buddy := $(patsubst %,$(H)/obj/buddy/%.o,arena large buddy)
HEAP_OBJ_buddy-page := $(patsubst %,$(H)/obj/buddy-page/%.o,arena large buddy)
HEAP_OBJ_bump := $(H)/obj/bump/bump.o
HEAP_OBJ_musl := $(H)/obj/musl/musl.o $(H)/obj/musl/aligned_alloc.o $(H)/obj/musl/malloc_usable_size.o
HEAP_OBJ_mimalloc := $(H)/obj/mimalloc/mimalloc.o $(H)/obj/mimalloc/static.o
HEAP_OBJ_mimalloc-secure := $(H)/obj/mimalloc-secure/mimalloc.o $(H)/obj/mimalloc-secure/static.o
HEAP_OBJ_all := $(foreach n,$(filter-out mimalloc-secure,$(HEAP_NAMES)),$(HEAP_OBJ_$n)) \
                $(patsubst %,$(H)/obj/dispatch/%.o,dispatch known)

HEAP_LIBS := $(H)/libmimosa-heaps.a $(patsubst %,$(H)/libmimosa-heap-%.a,$(HEAP_NAMES))

.PHONY: heaps
heaps: $(HEAP_LIBS) $(H)/uapi $(H)/musl.specs $(H)/include/mimosa/heap.h $(H)/mimalloc.version

$(H)/.need:
	@mkdir -p $(@D)
	@MIMOSA_NEED_WHY="build the heaps" tools/need gcc binutils musl-tools linux-libc-dev xz-utils
	@touch $@

$(H)/obj/%.o: heaps/%.c | $(H)/.need
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(MUSL_CC) $(HEAP_CFLAGS) $(HEAP_DEFS) -MMD -MP -c $< -o $@

$(HEAP_OBJ_buddy): HEAP_DEFS := -DBUDDY_NAME=buddy -DBUDDY_HEAP=buddy -DBUDDY_MIN_ORDER=5
$(HEAP_OBJ_buddy-page): HEAP_DEFS := -DBUDDY_NAME=buddy_page -DBUDDY_HEAP=buddy-page -DBUDDY_MIN_ORDER=12
$(H)/obj/mimalloc/mimalloc.o: HEAP_DEFS := -DMIMALLOC_TABLE=heap_mimalloc -DMIMALLOC_NAME='"mimalloc"'
$(H)/obj/mimalloc-secure/mimalloc.o: HEAP_DEFS := -DMIMALLOC_TABLE=heap_mimalloc_secure \
    -DMIMALLOC_NAME='"mimalloc-secure"' -DMIMALLOC_SECURE

$(H)/obj/buddy-page/%.o: heaps/buddy/%.c | $(H)/.need
	@mkdir -p $(@D)
	$(call say,CC,$< (page))
	$(Q)$(MUSL_CC) $(HEAP_CFLAGS) $(HEAP_DEFS) -MMD -MP -c $< -o $@

$(H)/obj/mimalloc-secure/%.o: heaps/mimalloc/%.c | $(H)/.need
	@mkdir -p $(@D)
	$(call say,CC,$< (secure))
	$(Q)$(MUSL_CC) $(HEAP_CFLAGS) $(HEAP_DEFS) -MMD -MP -c $< -o $@

# The public entries, once for each heap and once for the dispatcher.
$(H)/obj/entry-dispatch.o: heaps/entry.c | $(H)/.need
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(MUSL_CC) $(HEAP_CFLAGS) -MMD -MP -c $< -o $@
$(H)/obj/entry-%.o: heaps/entry.c | $(H)/.need
	@mkdir -p $(@D)
	$(call say,CC,$< ($*))
	$(Q)$(MUSL_CC) $(HEAP_CFLAGS) -DHEAP_DIRECT=heap_$(subst -,_,$*) -MMD -MP -c $< -o $@

# libc's two members with only public names, under private ones.
$(H)/obj/musl/aligned_alloc.o $(H)/obj/musl/malloc_usable_size.o: $(H)/musl.lib
	@mkdir -p $(@D)
	$(call say,OBJCOPY,$@)
	$(Q)lib=$$(cat $(H)/musl.lib) && cd $(@D) && ar x "$$lib/libc.a" $(basename $(@F)).lo
	$(Q)objcopy --redefine-sym $(basename $(@F))=heap_musl_member_$(basename $(@F)) \
	    $(@D)/$(basename $(@F)).lo $@ && rm $(@D)/$(basename $(@F)).lo

# Where mimalloc's sources lie: a file that changes only when that does.
.PHONY: heap-force
heap-force:
$(H)/mimalloc.src: heap-force | $(H)/.need
	@mkdir -p $(@D)
	@$(if $(MIMALLOC_SRC),(cd "$(MIMALLOC_SRC)" && pwd),MIMOSA_CACHE="$(CACHE)" tools/fetch-source mimalloc) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(H)/obj/mimalloc/static.o $(H)/obj/mimalloc-secure/static.o: $(H)/mimalloc.src | $(H)/uapi
	@mkdir -p $(@D)
	$(call say,CC,mimalloc/src/static.c$(if $(findstring secure,$@), (secure)))
	$(Q)src=$$(cat $<); $(MUSL_CC) $(MIMALLOC_CFLAGS) $(if $(findstring secure,$@),-DMI_SECURE=4) \
	    -I"$$src/include" -I"$$src/src" -idirafter $(H)/uapi -MMD -MP -c "$$src/src/static.c" -o $@

# "209" is 2.0.9, from version 3 on "30102" may be 3.1.2: as upstream writes it.
$(H)/mimalloc.version: $(H)/mimalloc.src
	$(Q)sed -n 's/^#define MI_MALLOC_VERSION *\([0-9]*\).*/\1/p' "$$(cat $<)/include/mimalloc.h" >$@

$(H)/libmimosa-heaps.a: $(H)/obj/entry-dispatch.o $(HEAP_OBJ_all) $(HEAP_COMMON) heaps/heaps.mk heaps/public.symbols
	$(call say,LD,$@)
	$(heap_join)

define heap_join
$(Q)ld -r -o $(@:.a=.o) $(filter %.o,$^)
$(Q)objcopy --keep-global-symbols=heaps/public.symbols --weaken-symbols=heaps/public.symbols $(@:.a=.o)
$(Q)rm -f $@ && ar rcs $@ $(@:.a=.o) && rm $(@:.a=.o)
endef

define heap_library
$(H)/libmimosa-heap-$(1).a: $(H)/obj/entry-$(1).o $(HEAP_OBJ_$(1)) $(HEAP_COMMON) heaps/heaps.mk heaps/public.symbols
	$$(call say,LD,$$@)
	$$(heap_join)
endef
$(foreach n,$(HEAP_NAMES),$(eval $(call heap_library,$n)))

# musl's library folder and, in the specs, its headers: where the specs that
# the musl-gcc script names say (-print-file-name would answer with glibc's).
musl_gcc_specs = sed -n 's/.*-specs "\(.*\)".*/\1/p' "$$(command -v $(MUSL_CC))"
$(H)/musl.lib: | $(H)/.need
	$(Q)sed -n 's/^-L\([^ ]*\) .*/\1/p' "$$($(musl_gcc_specs))" >$@
$(H)/musl.specs: heaps/musl.specs.in $(H)/musl.lib
	$(Q)include=$$(sed -n 's/^-nostdinc -isystem \([^ ]*\) .*/\1/p' "$$($(musl_gcc_specs))" | head -n 1); \
	    sed "s|@MUSL@|$$(cat $(H)/musl.lib)|g; s|@INCLUDE@|$$include|g" $< >$@

# The kernel's headers (<linux/...>), which musl does not bring: Debian's, and no
# more of /usr/include than these.
$(H)/uapi: | $(H)/.need
	$(Q)rm -rf $@ $@.new && mkdir -p $@.new && \
	    asm=/usr/include/$$($(HOST_CC) -print-multiarch)/asm; [ -e "$$asm" ] || asm=/usr/include/asm; \
	    ln -s "$$asm" /usr/include/linux /usr/include/asm-generic $@.new/ && mv $@.new $@

$(H)/include/mimosa/heap.h: heaps/include/mimosa/heap.h
	@mkdir -p $(@D)
	$(Q)cp $< $@

-include $(wildcard $(H)/obj/*.d $(H)/obj/*/*.d)

# ---- Tests ----
# The contract as one static program (all heaps), again bound to each heap
# without dispatch, and on the host under sanitizers (our own heaps).

HT := $(O)/test/heaps
CONTRACT := $(patsubst %,test/heaps/%.c,contract basic threads limits)
CONTRACT_CFLAGS := -std=gnu11 -O1 -g -fno-builtin -pthread $(WARN) -I. -D_GNU_SOURCE

$(HT)/contract: $(CONTRACT) test/heaps/contract.h $(CC_READY)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(O)/mimosa cc $(CONTRACT_CFLAGS) $(CONTRACT) -o $@

$(HT)/contract-%: $(CONTRACT) test/heaps/contract.h $(H)/libmimosa-heap-%.a $(CC_READY)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(O)/mimosa cc --heap $* $(CONTRACT_CFLAGS) $(CONTRACT) -o $@

# The heaps that are all ours, beside the host's malloc.
HOST_HEAP_SRC := $(CONTRACT) test/heaps/host_known.c heaps/dispatch/dispatch.c heaps/bump/bump.c \
                 heaps/lock.c heaps/pages.c heaps/misuse.c
host_contract = $(Q)mkdir -p $(@D) && \
    for f in arena large buddy; do \
        $(HOST_CC) $(CONTRACT_CFLAGS) $(1) -DBUDDY_NAME=buddy -DBUDDY_HEAP=buddy -DBUDDY_MIN_ORDER=5 \
            -c heaps/buddy/$$f.c -o $@.buddy-$$f.o && \
        $(HOST_CC) $(CONTRACT_CFLAGS) $(1) -DBUDDY_NAME=buddy_page -DBUDDY_HEAP=buddy-page \
            -DBUDDY_MIN_ORDER=12 -c heaps/buddy/$$f.c -o $@.page-$$f.o || exit 1; \
    done; \
    $(HOST_CC) $(CONTRACT_CFLAGS) $(1) -DCONTRACT_TABLE -Wl,--wrap=heap_map_pages \
        $(HOST_HEAP_SRC) $@.*.o -o $@ && rm $@.*.o

HOST_HEAP_DEPS := $(HOST_HEAP_SRC) test/heaps/contract.h $(wildcard heaps/*.h heaps/*/*.h heaps/buddy/*.c)
$(HT)/contract-asan: $(HOST_HEAP_DEPS)
	$(call say,CC,$@)
	$(call host_contract,-fsanitize=address$(comma)undefined -fno-sanitize-recover=all)
$(HT)/contract-tsan: $(HOST_HEAP_DEPS)
	$(call say,CC,$@)
	$(call host_contract,-fsanitize=thread)
comma := ,

# The least that uses a heap.
$(HT)/hello: test/heaps/hello.c $(CC_READY)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(O)/mimosa cc $(CONTRACT_CFLAGS) $< -o $@

HEAP_TESTS := $(HT)/hello $(HT)/contract $(patsubst %,$(HT)/contract-%,buddy mimalloc-secure asan tsan)

.PHONY: heap-tests test-heaps test-heaps-mimosa test-heaps-slow
heap-tests: $(HEAP_TESTS)

## make test-heaps the heaps' contract on this machine
test-heaps: heaps $(HEAP_TESTS)
	@test/heaps/run --on linux

## make test-heaps-mimosa  the same on Mimosa with 1, 2 and 4 CPUs
test-heaps-mimosa: heaps $(HEAP_TESTS) kernel cli
	@test/heaps/run --on mimosa

## make test-heaps-slow    both at full length, with 100,000 threads for every heap
test-heaps-slow: heaps $(HEAP_TESTS) kernel cli
	@test/heaps/run --on linux --all; linux=$$?; test/heaps/run --on mimosa --all && exit $$linux

# The knob MIMALLOC_SRC: the sources again, from a folder of their own and with
# another version number, to see that they are what was built.
## make test-mimalloc-src  mimalloc from a folder of yours (MIMALLOC_SRC), held to the contract
OTHER_MIMALLOC := $(O)/test/mimalloc
.PHONY: test-mimalloc-src
test-mimalloc-src: $(H)/mimalloc.src
	@rm -rf $(OTHER_MIMALLOC) && mkdir -p $(OTHER_MIMALLOC) && cp -r "$$(cat $<)" $(OTHER_MIMALLOC)/src
	@sed -i 's/^#define MI_MALLOC_VERSION.*/#define MI_MALLOC_VERSION 20999/' \
	    $(OTHER_MIMALLOC)/src/include/mimalloc.h
	$(Q)$(MAKE) --no-print-directory O=$(OTHER_MIMALLOC)/build MIMALLOC_SRC=$(OTHER_MIMALLOC)/src \
	    heaps $(OTHER_MIMALLOC)/build/test/heaps/contract
	$(Q)grep -qx 20999 $(OTHER_MIMALLOC)/build/heaps/mimalloc.version
	$(Q)MIMOSA_HEAP=mimalloc timeout 120 $(OTHER_MIMALLOC)/build/test/heaps/contract
