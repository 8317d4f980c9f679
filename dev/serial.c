/* SPDX-License-Identifier: MIT */
/*
 * The 16550 at 0x3f8.  It is slow under emulation: log and panics, not data.
 *
 * port_lock (RANK_PORT, irqsave) covers a look at the status and the bytes that
 * it made room for: of two CPUs that saw the same room, one would overrun the
 * FIFO.  A panic does without.  Reading is the console's thread's alone.
 */
#include "dev/serial.h"
#include <stdatomic.h>
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/irq.h"
#include "kernel/lock.h"

#define COM1     0x3f8
#define COM1_IRQ 4

/* Registers, as offsets from COM1. */
enum {
    REG_DATA = 0,
    REG_DIVISOR_LOW = 0, /* while LCR_DLAB is set */
    REG_INTERRUPTS = 1,
    REG_DIVISOR_HIGH = 1,
    REG_FIFO = 2,
    REG_LINE_CONTROL = 3,
    REG_MODEM_CONTROL = 4,
    REG_LINE_STATUS = 5,
};

#define LCR_8N1            0x03
#define LCR_DLAB           0x80
#define LSR_DATA_READY     0x01
#define LSR_HOLDING_EMPTY  0x20
#define LSR_ALL_SENT       0x40
#define INTERRUPT_RECEIVE  0x01
#define FIFO_ENABLE_CLEAR  0x07
#define MODEM_DTR_RTS_OUT2 0x0b /* OUT2 lets the interrupt through */

#define FIFO_BYTES  16
#define WAIT_CYCLES (12ul << 30) /* before a port that does not drain is given up: some seconds */
#define PAUSES_MAX  1000u        /* between two polls */

static struct spinlock port_lock = SPINLOCK_INIT(RANK_PORT);
static bool present;
static unsigned fifo_bytes = 1; /* that fit once the holding register is empty */

void serial_init(void) {
    outb(COM1 + REG_INTERRUPTS, 0);
    outb(COM1 + REG_LINE_CONTROL, LCR_DLAB);
    outb(COM1 + REG_DIVISOR_LOW, 1); /* 115,200 baud */
    outb(COM1 + REG_DIVISOR_HIGH, 0);
    outb(COM1 + REG_LINE_CONTROL, LCR_8N1);
    /* A bus without the port reads as all ones. */
    present = inb(COM1 + REG_LINE_STATUS) != 0xff;
    /* Turning the FIFO on would empty it; who pipes into us has sent already. */
    if (!(inb(COM1 + REG_LINE_STATUS) & LSR_DATA_READY)) {
        outb(COM1 + REG_FIFO, FIFO_ENABLE_CLEAR);
        fifo_bytes = FIFO_BYTES;
    }
    outb(COM1 + REG_MODEM_CONTROL, MODEM_DTR_RTS_OUT2);
}

static bool status_has(uint8_t bits) {
    return !present || (inb(COM1 + REG_LINE_STATUS) & bits);
}

bool serial_has_room(void) {
    return status_has(LSR_HOLDING_EMPTY);
}

bool serial_is_drained(void) {
    return status_has(LSR_ALL_SENT);
}

/* What fits at once: 0 while the port is full.  port_lock is held, or nobody else runs. */
static size_t put(const char *text, size_t size) {
    if (!present)
        return size;
    if (!serial_has_room())
        return 0;
    size_t n = MIN(size, (size_t)fifo_bytes);
    for (size_t i = 0; i < n; i++)
        outb(COM1 + REG_DATA, (uint8_t)text[i]);
    return n;
}

size_t serial_write_some(const char *text, size_t size) {
    uint64_t flags = spin_lock_irqsave(&port_lock);
    size_t n = put(text, size);

    spin_unlock_irqrestore(&port_lock, flags);
    return n;
}

/*
 * Polls less and less often: each poll takes the emulator's lock, which the
 * thread that empties the port needs as well.  A port that was given up gets one
 * poll, until it drains again.
 */
static void write_all(const char *text, size_t size, size_t (*some)(const char *, size_t)) {
    static atomic_bool given_up; /* relaxed: at worst one more wait, or one less */
    uint64_t begin = rdtsc();
    unsigned pauses = 0;

    while (size) {
        size_t n = some(text, size);
        if (n) {
            text += n, size -= n;
            begin = rdtsc(), pauses = 0;
            atomic_store_explicit(&given_up, false, memory_order_relaxed);
            continue;
        }
        if (atomic_load_explicit(&given_up, memory_order_relaxed) || rdtsc() - begin > WAIT_CYCLES)
            break;
        pauses = MIN(pauses + 1, PAUSES_MAX);
        for (unsigned i = 0; i < pauses; i++)
            cpu_relax();
    }
    if (size)
        atomic_store_explicit(&given_up, true, memory_order_relaxed);
}

void serial_write(const char *text, size_t size) {
    write_all(text, size, serial_write_some);
}

void serial_write_in_panic(const char *text, size_t size) {
    write_all(text, size, put);
}

int serial_read(void) {
    if (!present || !(inb(COM1 + REG_LINE_STATUS) & LSR_DATA_READY))
        return -1;
    return inb(COM1 + REG_DATA);
}

int serial_enable_receive(void (*ready)(void *), void *arg) {
    int err = irq_connect_line(COM1_IRQ, false, 0, ready, arg);

    if (err)
        return err;
    outb(COM1 + REG_INTERRUPTS, INTERRUPT_RECEIVE);
    return 0;
}
