/* SPDX-License-Identifier: MIT */
/* Interrupts: local APIC, IOAPICs, message-signalled vectors, and interrupts between CPUs. */
#ifndef ARCH_IRQ_H
#define ARCH_IRQ_H

#include "base/types.h"

/* A handler runs with interrupts off, on the interrupted thread's stack; it may wake threads and
 * take irqsave locks, never sleep. */
typedef void irq_handler(void *arg);

/*
 * Routes line `gsi` of the IOAPICs (edge or level triggered, active high) to
 * CPU `cpu` and calls `handler(arg)`.  Returns 0, -ENOSPC without a free vector,
 * -ENOMEM, -ENODEV where no IOAPIC has that line.
 */
must_check int irq_connect_line(unsigned gsi, bool level, unsigned cpu, irq_handler *handler,
                                void *arg);

/*
 * Reserves a vector on CPU `cpu` for a message-signalled interrupt; the device
 * must write *data to *address.  Returns 0, -ENOSPC or -ENOMEM.
 */
must_check int irq_connect_message(unsigned cpu, irq_handler *handler, void *arg, uint64_t *address,
                                   uint32_t *data);

/* The number by which interrupts find this CPU. */
uint32_t irq_apic_id(unsigned cpu);

enum ipi { IPI_RESCHEDULE, IPI_SHOOTDOWN };
/* Interrupts another CPU.  Context: any.  IPI_SHOOTDOWN calls tlb_serve() there. */
void ipi_send(unsigned cpu, enum ipi kind);
/* Sends a non-maskable interrupt: for reports about a CPU that does not answer. */
void ipi_send_nmi(unsigned cpu);

#endif
