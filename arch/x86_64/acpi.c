/* SPDX-License-Identifier: MIT */
/*
 * CPUs and interrupt controllers from ACPI's MADT, or from the MP table
 * (Intel MultiProcessor Specification 1.4) where there is no RSDP.
 * The tables are the host's: every length is checked against what was mapped.
 */
#include "arch/x86_64/arch_impl.h"
#include "arch/x86_64/cpu.h"
#include "base/string.h"
#include "kernel/log.h"
#include "kernel/machine.h"

#define LAPIC_DEFAULT  0xfee00000u
#define IOAPIC_DEFAULT 0xfec00000u
#define TABLE_LIMIT    KIB(256)

struct topology topology;

struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
} __attribute__((packed));

static bool mapped(uint64_t phys, uint64_t size) {
    return phys && phys < GIB(4) && size <= TABLE_LIMIT && phys + size < GIB(4) &&
           phys + size <= MAX(GIB(1), ALIGN_UP(machine.memory_bytes, GIB(1)));
}

static const struct acpi_header *table_at(uint64_t phys) {
    if (!mapped(phys, sizeof(struct acpi_header)))
        return NULL;
    const struct acpi_header *h = phys_to_virt(PADDR(phys));
    return h->length >= sizeof(*h) && mapped(phys, h->length) ? h : NULL;
}

static void add_cpu(uint32_t id) {
    struct cpu_list *c = &topology.cpus;
    if (c->count == MAX_CPUS) {
        topology.too_many_cpus = true;
        return;
    }
    c->apic_id[c->count++] = id;
}

static void add_ioapic(uint32_t phys, uint32_t gsi_base) {
    if (topology.ioapic_count < ARRAY_SIZE(topology.ioapics))
        topology.ioapics[topology.ioapic_count++] = (struct ioapic){ phys, gsi_base };
}

static uint32_t u32_at(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static void madt_entry(const uint8_t *e, unsigned length) {
    switch (e[0]) {
    case 0: /* local APIC */
        if (length >= 8 && (u32_at(e + 4) & 1))
            add_cpu(e[3]);
        break;
    case 1: /* IOAPIC */
        if (length >= 12)
            add_ioapic(u32_at(e + 4), u32_at(e + 8));
        break;
    case 9: /* local x2APIC */
        if (length >= 16 && (u32_at(e + 8) & 1))
            add_cpu(u32_at(e + 4));
        break;
    }
}

static void madt_parse(const struct acpi_header *h) {
    const uint8_t *p = (const uint8_t *)h, *end = p + h->length;
    if (h->length < 44)
        return;
    topology.lapic_phys = u32_at(p + 36);
    for (p += 44; p + 2 <= end && p[1] >= 2 && p + p[1] <= end; p += p[1])
        madt_entry(p, p[1]);
}

static bool acpi_find(void) {
    struct paddr at = machine.rsdp;
    for (uint64_t p = 0xe0000; !at.value && p < 0x100000; p += 16)
        if (memcmp(phys_to_virt(PADDR(p)), "RSD PTR ", 8) == 0)
            at = machine.rsdp = PADDR(p);
    if (!mapped(at.value, sizeof(struct rsdp)))
        return false;
    const struct rsdp *r = phys_to_virt(at);
    bool wide = r->revision >= 2 && r->xsdt;
    const struct acpi_header *root = table_at(wide ? r->xsdt : r->rsdt);
    if (!root)
        return false;
    unsigned entry = wide ? 8 : 4;
    const uint8_t *p = (const uint8_t *)(root + 1), *end = (const uint8_t *)root + root->length;
    for (; p + entry <= end; p += entry) {
        uint64_t phys = 0;
        memcpy(&phys, p, entry);
        const struct acpi_header *h = table_at(phys);
        if (h && memcmp(h->signature, "APIC", 4) == 0)
            madt_parse(h);
    }
    return topology.cpus.count > 0;
}

struct mp_config {
    char signature[4];
    uint16_t length;
    uint8_t revision, checksum;
    char oem[8], product[12];
    uint32_t oem_table;
    uint16_t oem_size, entries;
    uint32_t lapic;
    uint16_t extended_length;
    uint8_t extended_checksum, reserved;
} __attribute__((packed));

static void mp_parse(const struct mp_config *c) {
    const uint8_t *p = (const uint8_t *)(c + 1), *end = (const uint8_t *)c + c->length;
    topology.lapic_phys = c->lapic;
    while (p < end) { /* by length alone: QEMU's microvm firmware leaves the count at 0 */
        unsigned length = p[0] == 0 ? 20 : 8;
        if (p + length > end)
            return;
        if (p[0] == 0 && (p[3] & 1))
            add_cpu(p[1]);
        else if (p[0] == 2 && (p[3] & 1))
            add_ioapic(u32_at(p + 4), 0);
        p += length;
    }
}

static bool mp_find_in(uint64_t start, uint64_t end) {
    for (uint64_t p = start; p < end; p += 16) {
        const uint8_t *f = phys_to_virt(PADDR(p));
        if (memcmp(f, "_MP_", 4) != 0 || !mapped(u32_at(f + 4), sizeof(struct mp_config)))
            continue;
        const struct mp_config *c = phys_to_virt(PADDR(u32_at(f + 4)));
        if (memcmp(c->signature, "PCMP", 4) != 0 || c->length < sizeof(*c) ||
            !mapped(u32_at(f + 4), c->length))
            continue;
        mp_parse(c);
        return topology.cpus.count > 0;
    }
    return false;
}

static uint32_t boot_apic_id(void) {
    uint32_t r[4];
    cpuid(1, 0, r);
    return r[1] >> 24;
}

void topology_find(void) {
    topology.lapic_phys = LAPIC_DEFAULT;
    if (!acpi_find() && !mp_find_in(0xf0000, 0x100000) && !mp_find_in(0x9fc00, 0xa0000)) {
        log_info("neither ACPI nor an MP table: one CPU");
        add_cpu(boot_apic_id());
    }
    if (!topology.ioapic_count)
        add_ioapic(IOAPIC_DEFAULT, 0);
    if (topology.too_many_cpus)
        log_error("more than %u CPUs: the others stay off", MAX_CPUS);
}
