/* SPDX-License-Identifier: MIT */
/* The boot order, as a list; the only file that sees every room. */
#include <asm-generic/errno.h>
#include "arch/x86_64/boot.h"
#include "arch/x86_64/cpu.h"
#include "dev/console.h"
#include "dev/serial.h"
#include "dev/virtio_rng.h"
#include "fs/vfs.h"
#include "kernel/aspace.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "kernel/panic.h"
#include "kernel/provoke.h"
#include "kernel/slab.h"
#include "kernel/thread.h"
#include "linux/process.h"
#include "net/net.h"

static struct thread init_thread;

/* What the manifest asks of the kernel itself. */
static void apply(const struct manifest *m) {
    log_verbose |= m->verbose;
    aspace_populate_all = m->populate;
    if (m->has_seed)
        random_seed(m->seed);
    if (m->time_ns)
        clock_set_realtime_ns(m->time_ns);
}

/* The rest of the boot may sleep: it runs as a thread. */
static noreturn_fn void init_main(void *unused) {
    (void)unused;
    struct manifest manifest;
    const char *text = NULL;
    size_t size = 0;

    int err = fs_init(machine.initrd, machine.initrd_size, &text, &size);
    if (!err && text)
        err = manifest_parse(&manifest, text, size);
    if (err == -ENOMEM)
        give_up("too little memory for the program and its files");
    if (err || !text)
        give_up("%s (error %d); `mimosa run` and `mimosa image` make one",
                text ? "the initrd's manifest is broken" : "there is no usable initrd", -err);
    apply(&manifest);
    err = console_init();
    if (err == -ENOMEM)
        give_up("too little memory for the console");
    virtio_rng_init();
    console_set_winsize(manifest.rows, manifest.columns);
    if (err)
        log_info("no wire: the console is the serial port");
    err = net_init(manifest.net);
    if (err == -ENOMEM)
        give_up("too little memory for the network");
    if (err)
        give_up(err == -ENODEV ? "there is no network card; `mimosa run --net` brings one"
                               : "the network address is none");
    provoke_if_asked();
    process_run(&manifest);
    machine_power_off();
}

static const struct log_output log_output = {
    .log = serial_write,
    .panic = serial_write_in_panic,
    .report = console_report,
};

void kernel_early(void) { /* boot CPU, before anything else */
    serial_init();        /* once: a panic has somewhere to go */
    log_set_output(&log_output);
}

void kernel_main(void) { /* boot CPU; boot.c has done the memory and this CPU's registers */
    slab_init();         /* once: kernel objects */
    irq_init();          /* once: CPUs and interrupt controllers found, this LAPIC on */
    clock_init();        /* once: nanoseconds from here on */
    char word[8];
    log_verbose = machine_option("verbose", 0, word, sizeof(word));
    log_info("mimosa " MIMOSA_VERSION ": %lu KiB of memory", machine.memory_bytes / 1024);
    aspace_init(); /* once: before any CPU may run a program */
    smp_start();   /* each other CPU: smp_main() in arch, then cpu_main() */
    log_info("%u CPUs", cpu_count);
    if (thread_init(&init_thread, "init", init_main, NULL))
        give_up("too little memory for the first thread");
    thread_start(&init_thread);
    irq_enable();
    thread_idle_loop(); /* this CPU becomes idle and takes up init */
}

void cpu_main(void) { /* every other CPU, once its registers are set */
    irq_enable();
    thread_idle_loop();
}
