# SPDX-License-Identifier: MIT
# Mimosa: `make` builds everything into build/; `make help` lists the rest.
#
# Knobs: MIMOSA_NO_INSTALL=1 (print what is missing instead of installing it),
# MIMOSA_CACHE=DIR (downloads; .cache by default), MIMALLOC_SRC=DIR (build
# mimalloc from there), DEBUG=1 (kernel with slow asserts, lock ranks and
# poisoning, in build/debug), V=1 (show commands).

O := build
CACHE := $(or $(MIMOSA_CACHE),$(CURDIR)/.cache)
VERSION := 0.1.0
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

HOST_CC := gcc
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wvla -Wundef -Wwrite-strings -Wcast-qual
HOST_CFLAGS := -std=gnu11 -O2 -g $(WARN) -I. -D_GNU_SOURCE -DMIMOSA_VERSION='"$(VERSION)"'

Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)  $(2)")

# What must be there before `mimosa cc` can build a program.
CC_READY := $(O)/heaps/libmimosa-heaps.a $(O)/heaps/musl.specs $(O)/heaps/include/mimosa/heap.h \
            | $(O)/heaps/uapi $(O)/mimosa

.PHONY: all help clean
all: kernel cli heaps lab

# Each room brings its own rules: kernel.mk also builds base, arch, dev, fs, net, linux.
include kernel/kernel.mk
include cli/cli.mk
include heaps/heaps.mk
include lab/lab.mk
include apps/apps.mk
include test/test.mk

help:
	@sed -n 's/^## //p' Makefile */*.mk

## make            build everything into build/
## make clean      remove build/ (downloads stay in .cache/)
clean:
	rm -rf $(O)
