/* SPDX-License-Identifier: MIT */
/* tests: dev/pci.c dev/virtio_pci.c dev/virtio_mmio.c dev/virtio.c dev/virtq.c */
/* tests: kernel/machine.c kernel/lock.c base/string.c base/format.c */
/* tests: test/host/shim/shim.c test/host/shim/memory.c */
/* How virtio devices are found: of where a host says that they are, only what can be is touched. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/paging.h"
#include "dev/pci.h"
#include "dev/virtio.h"
#include "kernel/machine.h"
#include "test/host/shim/memory.h"
#include "test/host/shim/shim.h"

#define MEMORY_BYTES  MIB(256)
#define TABLE_START   0xfeb00000u
#define TABLE_BYTES   0x1000u
#define REGIONS_START (GIB(1) * 512)
#define REGIONS_BYTES 0x4000u
#define ADDRESS_END   (1ul << 40)

/* Where the capabilities are, and in them. */
#define MSIX            0x40
#define COMMON          0x50
#define NOTIFY          0x60
#define CONFIG          0x78
#define CAP_BYTES       2
#define CAP_KIND        3
#define CAP_BAR         4
#define CAP_OFFSET      8
#define CAP_LENGTH      12
#define CAP_MULTIPLIER  16
#define MSIX_CONTROL    2
#define MSIX_TABLE      4
#define COMMON_LENGTH   0x38u
#define NOTIFY_OFFSET   0x1e /* of the common configuration */
#define QUEUES          0x12
#define QUEUE_SIZE      0x18
#define QUEUE_VECTOR    0x1a
#define QUEUE_ENABLE    0x1c
#define VECTORS         5u
#define STATUS_HAS_LIST 0x10

/* The one function, 00:01.0: what it says and which bits of its base addresses can be written. */
static union {
    uint8_t u8[PCI_CONFIG_BYTES];
    uint16_t u16[PCI_CONFIG_BYTES / 2];
    uint32_t u32[PCI_CONFIG_BYTES / 4];
} config;
static uint32_t bar_bits[PCI_BARS];
static uint32_t address_port;
static uint8_t table[TABLE_BYTES], regions[REGIONS_BYTES] __attribute__((aligned(8)));
static uint8_t *slot; /* an MMIO device's registers, of exactly that size */
static uint64_t slot_start, slot_bytes;
static uint64_t regions_start;
static unsigned maps, bad_maps;

static unsigned selected(void) {
    return address_port >> 8 == (1u << 31 | 1u << 11) >> 8 ? address_port & 0xfc : PCI_CONFIG_BYTES;
}

void outb(uint16_t port, uint8_t v) {
    fail_msg("port %#x: %#x", port, v);
}

void outw(uint16_t port, uint16_t v) {
    assert_in_range(selected(), 0x04, PCI_CONFIG_BYTES - 4);
    config.u16[(selected() + (port & 2u)) / 2] = v;
}

void outl(uint16_t port, uint32_t v) {
    unsigned bar = (selected() - PCI_BAR(0)) / 4;

    if (port == 0xcf8) {
        address_port = v;
        return;
    }
    /* Only base addresses, and while nothing answers there. */
    assert_in_range(bar, 0, PCI_BARS - 1);
    assert_false(config.u16[PCI_COMMAND / 2] & PCI_COMMAND_MEMORY);
    config.u32[selected() / 4] =
        (v & bar_bits[bar]) | (config.u32[selected() / 4] & ~bar_bits[bar]);
}

uint32_t inl(uint16_t port) {
    if (port == 0xcf8)
        return address_port;
    return selected() < PCI_CONFIG_BYTES ? config.u32[selected() / 4] : UINT32_MAX;
}

static bool within(uint64_t start, uint64_t bytes, uint64_t outer, uint64_t outer_bytes) {
    return start >= outer && start - outer <= outer_bytes && bytes <= outer_bytes - (start - outer);
}

static bool touches_memory(uint64_t start, uint64_t bytes) {
    for (unsigned i = 0; i < machine.memory_count; i++)
        if (start < machine.memory[i].end && start + bytes > machine.memory[i].start)
            return true;
    return start + bytes > machine.address_end || start + bytes < start;
}

/* What should not be mapped is a place for the driver to play with. */
volatile void *paging_map_device(struct paddr phys, size_t size) {
    static uint8_t astray[MIB(1)];

    maps++;
    if (within(phys.value, size, TABLE_START, TABLE_BYTES))
        return table + (phys.value - TABLE_START);
    if (within(phys.value, size, regions_start, REGIONS_BYTES) && !touches_memory(phys.value, size))
        return regions + (phys.value - regions_start);
    if (slot && within(phys.value, size, slot_start, slot_bytes))
        return slot + (phys.value - slot_start);
    bad_maps++;
    return astray;
}

int irq_connect_line(unsigned gsi, bool level, unsigned cpu, irq_handler *handler, void *arg) {
    (void)level, (void)cpu, (void)handler, (void)arg;
    return gsi < 24 ? 0 : -ENODEV;
}

int irq_connect_message(unsigned cpu, irq_handler *handler, void *arg, uint64_t *address,
                        uint32_t *data) {
    static uint32_t vector;

    (void)handler, (void)arg;
    *address = 0xfee00000 | (uint64_t)cpu << 12;
    *data = vector++;
    return 0;
}

static void put_capability(unsigned at, uint8_t next, uint8_t kind, uint32_t offset,
                           uint32_t length) {
    config.u8[at] = PCI_CAP_VENDOR;
    config.u8[at + 1] = next;
    config.u8[at + CAP_BYTES] = kind == 2 ? 20 : 16;
    config.u8[at + CAP_KIND] = kind;
    config.u8[at + CAP_BAR] = 4;
    config.u32[(at + CAP_OFFSET) / 4] = offset;
    config.u32[(at + CAP_LENGTH) / 4] = length;
}

static void set_regions(uint64_t start) {
    regions_start = start;
    config.u32[PCI_BAR(4) / 4] = (uint32_t)start | 0xc;
    config.u32[PCI_BAR(5) / 4] = (uint32_t)(start >> 32);
}

/* A network card as QEMU has it: the interrupt table in region 1, all else in region 4. */
static void put_good_device(void) {
    memset(&config, 0, sizeof config);
    memset(bar_bits, 0, sizeof bar_bits);
    memset(table, 0, sizeof table);
    memset(regions, 0, sizeof regions);
    maps = bad_maps = host_errors_logged = 0;
    config.u32[0] = 0x10411af4;
    config.u16[PCI_COMMAND / 2] = PCI_COMMAND_MEMORY;
    config.u16[PCI_STATUS / 2] = STATUS_HAS_LIST;
    config.u32[PCI_BAR(0) / 4] = 0xc001; /* ports */
    config.u32[PCI_BAR(1) / 4] = TABLE_START;
    bar_bits[1] = ~(TABLE_BYTES - 1);
    set_regions(REGIONS_START);
    bar_bits[4] = ~(REGIONS_BYTES - 1);
    bar_bits[5] = UINT32_MAX;
    config.u8[PCI_CAPABILITIES] = MSIX;
    config.u8[MSIX] = PCI_CAP_MSIX;
    config.u8[MSIX + 1] = COMMON;
    config.u16[(MSIX + MSIX_CONTROL) / 2] = VECTORS - 1;
    config.u32[(MSIX + MSIX_TABLE) / 4] = 1;
    put_capability(COMMON, NOTIFY, 1, 0, COMMON_LENGTH);
    put_capability(NOTIFY, CONFIG, 2, 0x3000, 0x1000);
    config.u32[(NOTIFY + CAP_MULTIPLIER) / 4] = 4;
    put_capability(CONFIG, 0, 4, 0x2000, 0x1000);
}

static struct virtio_device *newest(unsigned *count) {
    struct virtio_device *d, *last = NULL;

    for (*count = 0; (d = virtio_find(VIRTIO_ID_NET, *count)); ++*count)
        last = d;
    return last;
}

/* What is found beyond what was there before; NULL: nothing. */
static struct virtio_device *probe(void (*transport)(void)) {
    unsigned before, after;
    struct virtio_device *found;

    newest(&before);
    transport();
    found = newest(&after);
    assert_in_range(after, before, before + 1);
    assert_int_equal(bad_maps, 0);
    return after > before ? found : NULL;
}

static void expect_good(void) {
    assert_non_null(probe(virtio_pci_probe));
    assert_int_equal(host_errors_logged, 0);
}

/* One line says why, and the device can reach nothing. */
static void expect_refused(void) {
    assert_null(probe(virtio_pci_probe));
    assert_int_equal(host_errors_logged, 1);
    assert_false(config.u16[PCI_COMMAND / 2] & PCI_COMMAND_MASTER);
}

static void finds_a_good_device(void **state) {
    struct virtio_device *d;

    (void)state;
    put_good_device();
    regions[0x2000] = 0x52;
    d = probe(virtio_pci_probe);
    assert_non_null(d);
    assert_int_equal(host_errors_logged, 0);
    assert_int_equal(maps, 4);
    assert_int_equal(virtio_config(d, 0, 1), 0x52);
    assert_int_equal(virtio_config(d, 0x1000, 1), 0); /* beyond its end */
    assert_int_equal(config.u32[PCI_BAR(0) / 4], 0xc001);
    assert_int_equal(config.u32[PCI_BAR(1) / 4], TABLE_START);
    assert_int_equal(config.u32[PCI_BAR(4) / 4], (uint32_t)REGIONS_START | 0xc);
    assert_int_equal(config.u32[PCI_BAR(5) / 4], REGIONS_START >> 32);
    assert_int_equal(config.u16[PCI_COMMAND / 2],
                     PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX);
}

static void finds_regions_up_to_the_end(void **state) {
    (void)state;
    put_good_device();
    put_capability(COMMON, NOTIFY, 1, REGIONS_BYTES - COMMON_LENGTH, COMMON_LENGTH);
    config.u32[(MSIX + MSIX_TABLE) / 4] = (TABLE_BYTES - 16 * VECTORS) | 1;
    expect_good();
}

static void ignores_regions_without_a_register(void **state) {
    (void)state;
    put_good_device();
    put_capability(0x90, COMMON, 1, 0x1000, COMMON_LENGTH);
    config.u8[0x90 + CAP_BAR] = 6;
    config.u8[MSIX + 1] = 0x90;
    expect_good();
}

/* QEMU's modern-pio-notify: doorbells in ports, too, and before those in memory. */
static void passes_over_ports(void **state) {
    (void)state;
    put_good_device();
    put_capability(0x90, COMMON, 2, 0, 4);
    config.u8[0x90 + CAP_BAR] = 0;
    config.u8[MSIX + 1] = 0x90;
    expect_good();
}

struct bad_region {
    unsigned cap;
    uint32_t offset, length;
};

static void refuses_each(const struct bad_region *bad, size_t count) {
    for (size_t i = 0; i < count; i++) {
        put_good_device();
        config.u32[(bad[i].cap + CAP_OFFSET) / 4] = bad[i].offset;
        config.u32[(bad[i].cap + CAP_LENGTH) / 4] = bad[i].length;
        expect_refused();
    }
}

static void refuses_regions_outside(void **state) {
    static const struct bad_region bad[] = {
        { COMMON, REGIONS_BYTES, COMMON_LENGTH },
        { COMMON, REGIONS_BYTES - COMMON_LENGTH + 4, COMMON_LENGTH },
        { COMMON, 0xfffffffc, COMMON_LENGTH },
        { COMMON, 0x80000000, COMMON_LENGTH },
        { NOTIFY, 0x3000, 0x1002 },
        { NOTIFY, 0xfffff000, 0x1000 },
        { NOTIFY, 0, 0xfffff000 },
        { CONFIG, 0x4000, 1 },
        { CONFIG, 0x2000, 0x2004 },
        { CONFIG, 0xffffff00, 0x100 },
    };

    (void)state;
    refuses_each(bad, ARRAY_SIZE(bad));
}

static void refuses_regions_that_are_too_small_or_odd(void **state) {
    static const struct bad_region bad[] = {
        { COMMON, 0, COMMON_LENGTH - 1 },
        { COMMON, 0, 0 },
        { NOTIFY, 0x3000, 1 },
        { NOTIFY, 0x3000, 0 },
        { CONFIG, 0x2000, 0 },
        { COMMON, 2, COMMON_LENGTH },
        { NOTIFY, 0x3001, 0x100 },
        { CONFIG, 0x2002, 8 },
    };

    (void)state;
    refuses_each(bad, ARRAY_SIZE(bad));
}

static void refuses_cut_capabilities(void **state) {
    (void)state;
    put_good_device();
    config.u8[NOTIFY + CAP_BYTES] = 16; /* where is the multiplier? */
    expect_refused();
    put_good_device();
    config.u8[COMMON + CAP_BYTES] = 8;
    expect_refused();
    /* Ends behind the configuration space, whose first words would be its rest. */
    put_good_device();
    config.u8[COMMON + 1] = 0xf4;
    config.u8[0xf4] = PCI_CAP_VENDOR;
    config.u8[0xf4 + 1] = NOTIFY;
    config.u8[0xf4 + CAP_BYTES] = 16;
    config.u8[0xf4 + CAP_KIND] = 4;
    config.u8[0xf4 + CAP_BAR] = 4;
    expect_refused();
    put_good_device();
    config.u8[COMMON + 1] = 0;
    config.u8[PCI_CAPABILITIES] = COMMON;
    expect_refused(); /* not a modern device */
}

static void refuses_addresses_that_cannot_be(void **state) {
    static const uint64_t bad[] = {
        0,
        MIB(1),                /* memory */
        MEMORY_BYTES - 0x4000, /* its end */
        GIB(4) - 0x3000,       /* more memory begins within the region */
        ADDRESS_END - 0x1000,  /* the last of it is none */
        ADDRESS_END,           /* none */
        -0x4000ul,             /* ends at 2^64 */
        -0x3000ul,             /* goes round */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        put_good_device();
        set_regions(bad[i]);
        /* Where it fits in before what comes last; the doorbells do not. */
        config.u32[(COMMON + CAP_OFFSET) / 4] = 0x1fc8;
        expect_refused();
    }
    put_good_device();
    bar_bits[4] = bar_bits[5] = 0; /* no bit can be set: no region */
    expect_refused();
    put_good_device();
    config.u8[NOTIFY + CAP_BAR] = 0; /* ports */
    expect_refused();
}

static void refuses_interrupt_tables_outside(void **state) {
    static const struct {
        uint32_t where;
        uint16_t last;
        uint32_t start;
    } bad[] = {
        { TABLE_BYTES | 1, 0, TABLE_START },
        { (TABLE_BYTES - 8) | 1, 0, TABLE_START },
        { 8 | 1, 255, TABLE_START },
        { 0 | 1, 256, TABLE_START },
        { 0 | 1, 0x7ff, TABLE_START },
        { 0xfffffff8 | 1, 4, TABLE_START },
        { 0 | 1, 4, 0x100000 }, /* memory */
        { 0 | 1, 4, 0 },
        { 0 | 0, 4, TABLE_START }, /* ports */
        { 0 | 2, 4, TABLE_START }, /* no such region */
        { 0 | 5, 4, TABLE_START }, /* the upper half of region 4 */
        { 0 | 6, 4, TABLE_START },
        { 0 | 7, 4, TABLE_START },
    };

    (void)state;
    put_good_device();
    config.u16[(MSIX + MSIX_CONTROL) / 2] = 255; /* fills the region */
    expect_good();
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        put_good_device();
        config.u32[(MSIX + MSIX_TABLE) / 4] = bad[i].where;
        config.u16[(MSIX + MSIX_CONTROL) / 2] = bad[i].last;
        config.u32[PCI_BAR(1) / 4] = bad[i].start;
        expect_refused();
        assert_int_equal(config.u16[(MSIX + MSIX_CONTROL) / 2], bad[i].last); /* stays off */
    }
}

/* Sets up queue 0 with its doorbell at `number` times `multiplier`. */
static int ring_at(uint16_t number, uint32_t multiplier) {
    static struct virtio_queue q;
    struct virtio_queue_setup setup = { .size = 4 };
    struct virtio_device *d;
    int err;

    put_good_device();
    config.u32[(NOTIFY + CAP_MULTIPLIER) / 4] = multiplier;
    *(uint16_t *)(void *)(regions + QUEUES) = 1;
    *(uint16_t *)(void *)(regions + QUEUE_SIZE) = 4;
    *(uint16_t *)(void *)(regions + NOTIFY_OFFSET) = number;
    d = probe(virtio_pci_probe);
    assert_non_null(d);
    err = virtio_queue_init(d, &q, &setup);
    if (!err)
        virtio_queue_notify(&q);
    return err;
}

static void rings_within_the_doorbells(void **state) {
    (void)state;
    assert_int_equal(ring_at(0, 0), 0);
    assert_int_equal(ring_at(0x3ff, 4), 0);
    assert_int_equal(ring_at(0x7ff, 2), 0);
    assert_int_equal(ring_at(0x400, 4), -EIO);
    assert_int_equal(ring_at(0xfff, 1), -EIO); /* odd */
    assert_int_equal(ring_at(0xffff, 0xffffffff), -EIO);
    assert_int_equal(ring_at(2, 0x80000000), -EIO); /* 0 in 32 bits */
}

static void on_interrupt(void *arg) {
    (void)arg;
}

/* As many queues as there are vectors, and one; each is for another CPU. */
static void gives_each_queue_a_vector_on_its_cpu(void **state) {
    static struct virtio_queue q[VECTORS + 1];
    uint16_t *vector = (uint16_t *)(void *)(regions + QUEUE_VECTOR);
    struct virtio_device *d;

    (void)state;
    put_good_device();
    *(uint16_t *)(void *)(regions + QUEUES) = VECTORS + 1;
    *(uint16_t *)(void *)(regions + QUEUE_SIZE) = 4;
    d = probe(virtio_pci_probe);
    assert_non_null(d);
    assert_int_equal(d->transport->vectors(d), VECTORS);
    for (unsigned n = 0; n < ARRAY_SIZE(q); n++) {
        struct virtio_queue_setup setup = { n, 4, 0, on_interrupt, NULL, n + 1 };
        bool own = n < VECTORS - 1; /* the rest share the last one, at CPU 0 */
        uint32_t *entry = (uint32_t *)(void *)table + 4u * MIN(n, VECTORS - 1);

        *(uint16_t *)(void *)(regions + QUEUE_ENABLE) = 0; /* the fake has one queue's registers */
        assert_int_equal(virtio_queue_init(d, &q[n], &setup), 0);
        assert_int_equal(*vector, MIN(n, VECTORS - 1));
        assert_int_equal(q[n].shares_vector, !own);
        assert_int_equal(entry[0], 0xfee00000u | (own ? n + 1 : 0) << 12);
        assert_int_equal(entry[1], 0);
        assert_int_equal(entry[3], 0); /* not masked */
        assert_int_equal(d->transport->message(&q[n]).address, entry[0]);
        assert_int_equal(d->transport->message(&q[n]).data, entry[2]);
        for (unsigned before = 0; before < MIN(n, VECTORS - 1); before++)
            assert_int_not_equal(entry[2], ((uint32_t *)(void *)table)[4 * before + 2]);
    }
}

/* A device of `size` bytes at `start`, on a command line that says the same as `word`. */
static struct virtio_device *probe_slot(const char *word, uint64_t start, uint64_t size) {
    uint32_t *r;
    struct virtio_device *found;

    maps = bad_maps = host_errors_logged = 0;
    r = calloc(1, size);
    r[0] = 0x74726976; /* magic */
    r[1] = 2;          /* version */
    r[2] = VIRTIO_ID_NET;
    slot = (uint8_t *)r;
    slot_start = start;
    slot_bytes = size;
    machine.command_line = word;
    found = probe(virtio_mmio_probe);
    machine.command_line = "";
    return found;
}

static void end_slot(void) {
    free(slot);
    slot = NULL;
}

static void reads_no_more_than_a_slot_has(void **state) {
    struct virtio_device *d =
        probe_slot("virtio_mmio.device=0x104@0xfeb02000:5", 0xfeb02000, 0x104);

    (void)state;
    assert_non_null(d);
    slot[0x103] = 7;
    assert_int_equal(virtio_config(d, 3, 1), 7);
    assert_int_equal(virtio_config(d, 0, 4), 7u << 24);
    assert_int_equal(virtio_config(d, 4, 1), 0);
    assert_int_equal(virtio_config(d, 8, 4), 0);
    end_slot();
    d = probe_slot("virtio_mmio.device=0x100@0xfeb02000:5", 0xfeb02000, 0x100);
    assert_non_null(d);
    assert_int_equal(virtio_config(d, 0, 1), 0);
    assert_int_equal(host_errors_logged, 0);
    end_slot();
}

static void refuses_slots_that_cannot_be(void **state) {
    static const char *const bad[] = {
        "virtio_mmio.device=0xff@0xfeb02000:5",
        "virtio_mmio.device=2048K@0xfeb02000:5",
        "virtio_mmio.device=18014398509481988K@0xfeb02000:5", /* 4 KiB in 64 bits */
        "virtio_mmio.device=512@0xfeb02002:5",
        "virtio_mmio.device=512@0x100000:5",     /* memory */
        "virtio_mmio.device=4K@0xffff000:5",     /* its last page */
        "virtio_mmio.device=8K@0xfffff000:5",    /* more memory begins in it */
        "virtio_mmio.device=4K@0x10000000000:5", /* the CPU has no such address */
        "virtio_mmio.device=4K@0xfffffffffff:5",
        "virtio_mmio.device=4K@0xfffffffffffff000:5", /* ends at 2^64 */
        "virtio_mmio.device=4K@0xfffffffffffffffc:5", /* goes round */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_null(probe_slot(bad[i], 0xfeb02000, 0x200));
        assert_int_equal(host_errors_logged, 1);
        assert_int_equal(maps, 0);
        end_slot();
    }
}

static int setup(void **state) {
    (void)state;
    host_cpu_start(0);
    host_objects_create();
    machine.memory[0] = (struct machine_range){ 0, 0x9f000 };
    machine.memory[1] = (struct machine_range){ MIB(1), MEMORY_BYTES };
    machine.memory[2] = (struct machine_range){ GIB(4), GIB(5) };
    machine.memory_count = 3;
    machine.address_end = ADDRESS_END;
    machine.command_line = "";
    return 0;
}

static int teardown(void **state) {
    (void)state;
    host_objects_free();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_good_device),
        cmocka_unit_test(finds_regions_up_to_the_end),
        cmocka_unit_test(ignores_regions_without_a_register),
        cmocka_unit_test(passes_over_ports),
        cmocka_unit_test(refuses_regions_outside),
        cmocka_unit_test(refuses_regions_that_are_too_small_or_odd),
        cmocka_unit_test(refuses_cut_capabilities),
        cmocka_unit_test(refuses_addresses_that_cannot_be),
        cmocka_unit_test(refuses_interrupt_tables_outside),
        cmocka_unit_test(rings_within_the_doorbells),
        cmocka_unit_test(gives_each_queue_a_vector_on_its_cpu),
        cmocka_unit_test(reads_no_more_than_a_slot_has),
        cmocka_unit_test(refuses_slots_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
