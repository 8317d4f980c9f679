/* SPDX-License-Identifier: MIT */
/* Threads, panics and physical memory for kernel code under test on the host. */
#include "arch/x86_64/percpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arch/x86_64/paging.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/thread.h"
#include "test/host/shim/shim.h"

char *host_memory;
static size_t host_memory_bytes;
uintptr_t percpu_offsets[MAX_CPUS];
unsigned cpu_count = 1;
PERCPU unsigned percpu_cpu;
PERCPU struct thread *current_thread;
static PERCPU struct thread host_thread;
struct machine machine;
unsigned host_errors_logged;
bool host_panic_expected;
void *host_panic_jump[5];

void host_memory_create(size_t bytes) {
    if (host_memory)
        munmap(host_memory, host_memory_bytes);
    host_memory_bytes = bytes;
    /* Aligned as physical address 0 is. */
    char *at = mmap(NULL, bytes + MIB(128), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        abort();
    host_memory = (char *)ALIGN_UP((uintptr_t)at, MIB(128));
}

void host_cpu_start(unsigned n) {
    percpu_cpu = n;
    current_thread = &host_thread;
    percpu_offsets[n] = (uintptr_t)__builtin_thread_pointer();
}

void host_cpu_stop(unsigned n) {
    percpu_offsets[n] = 0;
}

void log_line(enum log_level level, const char *fmt, ...) {
    (void)fmt;
    host_errors_logged += level == LOG_ERROR;
}

void panic(const char *fmt, ...) {
    if (host_panic_expected)
        __builtin_longjmp(host_panic_jump, 1);
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
