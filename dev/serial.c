/* SPDX-License-Identifier: MIT */
/* The 16550 at 0x3f8.  It is slow under emulation: log and panics, not data. */
#include "dev/serial.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/irq.h"

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
#define INTERRUPT_RECEIVE  0x01
#define FIFO_ENABLE_CLEAR  0x07
#define MODEM_DTR_RTS_OUT2 0x0b /* OUT2 lets the interrupt through */

#define FIFO_BYTES  16
#define WAIT_CYCLES (12ul << 30) /* before a port that does not drain is given up: some seconds */
#define PAUSES_MAX  1000u        /* between two polls */

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

/*
 * Polls less and less often: each poll takes the emulator's lock, which the
 * thread that empties the port needs as well.  A port that was given up gets one
 * poll, until it drains again.  Called one at a time: under the log's lock, or
 * in a panic.
 */
static bool wait_until_empty(void) {
    static bool given_up;
    uint64_t begin = rdtsc();

    for (unsigned pauses = 0;; pauses = MIN(pauses + 1, PAUSES_MAX)) {
        if (inb(COM1 + REG_LINE_STATUS) & LSR_HOLDING_EMPTY) {
            given_up = false;
            return true;
        }
        if (given_up || rdtsc() - begin > WAIT_CYCLES)
            break;
        for (unsigned i = 0; i < pauses; i++)
            cpu_relax();
    }
    given_up = true;
    return false;
}

void serial_write(const char *text, size_t size) {
    unsigned room = 0;

    while (present && size) {
        if (!room) {
            if (!wait_until_empty())
                return;
            room = fifo_bytes;
        }
        outb(COM1 + REG_DATA, (uint8_t)*text++);
        room--;
        size--;
    }
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
