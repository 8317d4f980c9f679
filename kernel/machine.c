/* SPDX-License-Identifier: MIT */
/* The kernel's command line, what physical addresses are, and the ways to end the machine. */
#include "kernel/machine.h"
#include "arch/x86_64/cpu.h"
#include "base/string.h"

#define DEBUG_EXIT_PORT 0x501
#define RESET_PORT      0xcf9
#define EXIT_FAILED     125 /* as the command's; QEMU exits with twice what it is told, plus 1 */

bool machine_option(const char *prefix, unsigned n, char *to, size_t size) {
    for (const char *p = machine.command_line; p && *p;) {
        while (*p == ' ')
            p++;
        const char *end = strchr(p, ' ');
        size_t length = end ? (size_t)(end - p) : strlen(p);
        if (string_starts(p, prefix) && n-- == 0) {
            size_t skip = strlen(prefix);
            string_copy(to, p + skip, MIN(size, length - skip + 1));
            return true;
        }
        p += length;
    }
    return false;
}

bool machine_may_be_device(uint64_t start, uint64_t size) {
    if (size == 0 || start >= machine.address_end || size > machine.address_end - start)
        return false;
    for (unsigned i = 0; i < machine.memory_count; i++)
        if (start < machine.memory[i].end && start + size > machine.memory[i].start)
            return false;
    return true;
}

static noreturn_fn void end(uint8_t code) {
    irq_disable();
    outb(DEBUG_EXIT_PORT, code);
    outb(RESET_PORT, 0x06);
    outb(0x64, 0xfe); /* the keyboard controller's reset line */
    cpu_reset();
}

void machine_power_off(void) {
    end(0);
}

void machine_power_off_failed(void) {
    end(EXIT_FAILED >> 1);
}
