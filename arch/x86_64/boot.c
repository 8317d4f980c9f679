/* SPDX-License-Identifier: MIT */
/*
 * From the loader's start info (PVH: Xen's public/arch-x86/hvm/start_info.h) to
 * an initialised boot CPU with all memory mapped and handed to the frame
 * allocator; then main.c takes over.
 */
#include "arch/x86_64/boot.h"
#include "arch/x86_64/arch_impl.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/trap_impl.h"
#include "arch/x86_64/uaccess_impl.h"
#include "base/string.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "kernel/panic.h"

#define START_MAGIC  0x336ec578
#define MEMORY_RAM   1
#define MAX_RANGES   (2 * MACHINE_MEMORY_RANGES)
#define LOW_RESERVED 0x10000 /* first 64 KiB: firmware data, and the trampoline's page */

/* The loader aligns these to four bytes only. */
#define LOADER_STRUCT __attribute__((packed, aligned(4)))

struct start_info {
    uint32_t magic, version, flags, module_count;
    uint64_t modules, command_line, rsdp;
    uint64_t memory_map;
    uint32_t memory_count, reserved;
} LOADER_STRUCT;

struct start_module {
    uint64_t start, size, command_line, reserved;
} LOADER_STRUCT;

struct memory_entry {
    uint64_t start, size;
    uint32_t type, reserved;
} LOADER_STRUCT;

struct range {
    uint64_t start, end;
};

/* A packed image carries its initrd; the command fills this in (see `mimosa image`). */
struct image_initrd {
    char magic[16];
    uint64_t start, size;
};
const volatile struct image_initrd image_initrd __attribute__((used)) = { "MIMOSA-INITRD-1", 0, 0 };

struct machine machine;
static char command_line[2048];
static struct range ranges[MAX_RANGES]; /* free memory, page aligned; boot only */
static unsigned range_count;

static void *low_phys(uint64_t phys) { /* mapped from the first instruction on */
    return phys_to_virt(PADDR(phys));
}

/* Takes [start, end) out of the free ranges. */
static void ranges_reserve(uint64_t start, uint64_t end) {
    start = ALIGN_DOWN(start, PAGE_SIZE);
    end = ALIGN_UP(end, PAGE_SIZE);
    for (unsigned i = 0; i < range_count; i++) {
        struct range *r = &ranges[i];
        if (end <= r->start || start >= r->end)
            continue;
        if (start > r->start && end < r->end) {
            assert(range_count < MAX_RANGES);
            ranges[range_count++] = (struct range){ end, r->end };
            r->end = start;
        } else if (start > r->start) {
            r->end = start;
        } else {
            r->start = MIN(end, r->end);
        }
    }
}

static void ranges_find(const struct start_info *info) {
    const struct memory_entry *map = low_phys(info->memory_map);
    for (uint32_t i = 0; i < info->memory_count && range_count < MACHINE_MEMORY_RANGES; i++) {
        uint64_t start = ALIGN_UP(map[i].start, PAGE_SIZE);
        uint64_t end = ALIGN_DOWN(map[i].start + map[i].size, PAGE_SIZE);
        if (map[i].type == MEMORY_RAM && end > start) {
            machine.memory[machine.memory_count++] = (struct machine_range){ start, end };
            ranges[range_count++] = (struct range){ start, end };
            machine.memory_bytes += end - start;
        }
    }
}

/* Everything that C code reads of the loader's is below 1 GiB or copied here. */
static void initrd_find(const struct start_info *info) {
    uint64_t start = image_initrd.start, size = image_initrd.size;
    if (!start && info->module_count) {
        const struct start_module *m = low_phys(info->modules);
        start = m->start;
        size = m->size;
    }
    if (!start)
        return;
    /* QEMU asks nobody before it lays a large one over the kernel. */
    if (start < (uintptr_t)kernel_end - KERNEL_IMAGE)
        give_up("too little memory for the program and its files");
    machine.initrd = low_phys(start);
    machine.initrd_size = size;
    ranges_reserve(start, start + size);
}

void *early_alloc_page(void) {
    for (unsigned i = 0; i < range_count; i++) {
        struct range *r = &ranges[i];
        if (r->end - r->start < PAGE_SIZE || r->end > GIB(1) || r->start < MIB(1))
            continue;
        void *page = low_phys(r->start);
        r->start += PAGE_SIZE;
        cpu_clear_page(page);
        return page;
    }
    /* All of it lies in one range that reaches beyond the first GiB. */
    for (unsigned i = 0; i < range_count; i++) {
        struct range *r = &ranges[i];
        if (r->start < MIB(1) || r->start + PAGE_SIZE > MIN(r->end, GIB(1)))
            continue;
        void *page = low_phys(r->start);
        r->start += PAGE_SIZE;
        cpu_clear_page(page);
        return page;
    }
    give_up("too little memory for the first page tables");
}

static uint64_t memory_end(const struct start_info *info) {
    const struct memory_entry *map = low_phys(info->memory_map);
    uint64_t end = GIB(1);
    for (uint32_t i = 0; i < info->memory_count; i++)
        if (map[i].type == MEMORY_RAM)
            end = MAX(end, map[i].start + map[i].size);
    /* ACPI tables lie just above low memory: within the same GiB. */
    return ALIGN_UP(end, GIB(1));
}

static uint64_t address_end(void) {
    uint32_t r[4];
    cpuid(0x80000000, 0, r);
    if (r[0] < 0x80000008)
        return 1ul << 36;
    cpuid(0x80000008, 0, r);
    return 1ul << MIN(r[0] & 0xff, 52u);
}

static void build_id_find(void) {
    extern const uint8_t build_id_note[]; /* namesz, descsz, type, "GNU", id */
    memcpy(machine.build_id, build_id_note + 16, sizeof(machine.build_id));
}

noreturn_fn void boot_main(uint32_t start_info_phys) {
    size_t percpu_size = (size_t)(percpu_end - percpu_start);
    memcpy(percpu_boot, percpu_start, percpu_size);
    percpu_set(0, (uintptr_t)percpu_boot - (uintptr_t)percpu_start);
    kernel_early();
    thread_init_boot();
    const struct start_info *info = low_phys(start_info_phys);
    if (info->magic != START_MAGIC || info->version < 1)
        panic("not started by a PVH loader (start info magic %#x, version %u)", info->magic,
              info->version);
    if (info->command_line)
        string_copy(command_line, low_phys(info->command_line), sizeof(command_line));
    machine.command_line = command_line;
    cpu_detect();
    machine.rsdp = PADDR(info->rsdp);
    machine.address_end = address_end();
    build_id_find();
    uaccess_init();
    trap_init();

    ranges_find(info);
    ranges_reserve(0, LOW_RESERVED);
    ranges_reserve(KIB(640), MIB(1));
    ranges_reserve((uintptr_t)kernel_start - KERNEL_IMAGE, (uintptr_t)kernel_end - KERNEL_IMAGE);
    initrd_find(info);
    paging_init_direct_map(memory_end(info));
    paging_protect_kernel();
    for (unsigned i = 0; i < range_count; i++)
        if (ranges[i].end > ranges[i].start)
            pages_add_range(PADDR(ranges[i].start), ranges[i].end - ranges[i].start);
    pages_init();
    cpu_init_cpu();
    kernel_main();
}
