/* SPDX-License-Identifier: MIT */
/*
 * The console: the wire's protocol over a virtio port, or the serial port.
 *
 * Receiving is a thread's work ("wire"): the interrupt only wakes it.  It takes
 * the device's buffers, parses their frames, stores input, counts credit and
 * calls the handlers of signals and dumps, which may sleep and report.  While
 * it works the queue's interrupt is off.
 *
 * Frames that the command must not send, a broken queue or a credit overrun end
 * the conversation: one log line, end of file for readers, EPIPE for writers.
 *
 * Without a port the thread empties the serial port's queue instead; Ctrl-D is
 * the end of file there, the only one a serial line can have.
 */
#include <asm-generic/errno.h>
#include <stdatomic.h>
#include "arch/x86_64/percpu.h"
#include "base/string.h"
#include "dev/console_impl.h"
#include "dev/serial.h"
#include "dev/wire_parse.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/pages.h"
#include "kernel/thread.h"

#define RECEIVE_FIRST  4 /* pages for the device to fill, at first */
#define RECEIVE_STEP   8 /* more at each growth of the input buffer */
#define RECEIVE_MAX    32
#define CTRL_D         4
#define SERIAL_LOOK_NS NS_PER_MS /* between two looks whether a full port has room */
#define SIGNAL_MAX     64
#define SIGWINCH       28

struct console_stats console_stats;

static struct console_port *port; /* NULL: serial */
static struct thread receive_thread;
static struct wait_queue receive_wake = WAIT_QUEUE_INIT(receive_wake);
static atomic_bool serial_arrived;
static atomic_bool serial_full;  /* a writer waits for room: the thread looks for it */
static atomic_bool credit_waits; /* a credit frame found no room */

/* Only the receiving thread. */
static struct wire_parser parser;
static unsigned receive_buffers;
static bool input_came;
static bool ended;

static struct spinlock state_lock = SPINLOCK_INIT(RANK_PIPE); /* the four below */
static struct wire_winsize winsize;
static void (*on_signal)(int signo);
static void (*on_dump)(void);
static uint64_t early_signals; /* bit per signal that came before the handler */

static void receive_interrupt(void *arg) {
    (void)arg;
    wait_wake_all(&receive_wake);
}

void console_room_appeared(void) {
    wait_wake_all(&console_room);
    if (atomic_load_explicit(&credit_waits, memory_order_relaxed))
        wait_wake_all(&receive_wake);
}

void console_output_due(void) {
    wait_wake_all(&receive_wake);
}

static void transmit_interrupt(void *arg) {
    (void)arg;
    console_room_appeared();
}

static void serial_interrupt(void *arg) {
    (void)arg;
    atomic_store(&serial_arrived, true);
    wait_wake_all(&receive_wake);
}

/* Gives the host credit for what was read. */
static void send_credit(uint32_t bytes) {
    if (bytes && !output_send(OUTPUT_CONTROL, WIRE_CREDIT, WIRE_STDIN, &bytes, sizeof bytes)) {
        input_return_consumed(bytes);
        atomic_store_explicit(&credit_waits, true, memory_order_relaxed);
        /* The room's interrupt may have been too early to see the flag. */
        wait_wake_all(&receive_wake);
    }
}

/* --- Frames from the command; receiving thread. --- */

static int receive_data(void *arg, const void *bytes, size_t size) {
    (void)arg;
    input_came = true;
    console_stats.bytes_received += size;
    return input_put(bytes, size) == size ? 0 : -EPROTO;
}

static void raise_signal(int signo) {
    void (*handler)(int);

    spin_lock(&state_lock);
    handler = on_signal;
    if (!handler)
        early_signals |= 1ul << (signo - 1);
    spin_unlock(&state_lock);
    if (handler)
        handler(signo);
}

static void answer_dump(void) {
    void (*handler)(void);

    spin_lock(&state_lock);
    handler = on_dump;
    spin_unlock(&state_lock);
    if (handler)
        handler();
    if (!output_send(OUTPUT_CONTROL, WIRE_DUMPED, 0, "", 0))
        log_error("console: no room for the answer to a dump");
}

/* The first size of all tells the program nothing new: the manifest named it. */
static void set_winsize(const void *payload) {
    const struct wire_winsize *new = payload;
    bool changed;

    spin_lock(&state_lock);
    changed = winsize.rows != new->rows || winsize.columns != new->columns;
    winsize = *new;
    spin_unlock(&state_lock);
    if (changed)
        raise_signal(SIGWINCH);
}

static int receive_control(void *arg, enum wire_type type, enum wire_stream stream,
                           const void *payload) {
    uint32_t number = 0;
    int err = 0;

    (void)arg;
    switch (type) {
    case WIRE_EOF:
        input_set_eof();
        input_came = true;
        break;
    case WIRE_CREDIT:
        memcpy(&number, payload, sizeof number);
        err = output_add_credit(stream, number);
        wait_wake_all(&console_room);
        break;
    case WIRE_CLOSED:
        output_close(stream);
        wait_wake_all(&console_room);
        break;
    case WIRE_SIGNAL:
        memcpy(&number, payload, sizeof number);
        if (number == 0 || number > SIGNAL_MAX)
            return -EPROTO;
        raise_signal((int)number);
        break;
    case WIRE_WINSIZE:
        set_winsize(payload);
        break;
    case WIRE_DUMP:
        answer_dump();
        break;
    default:
        err = -EPROTO;
    }
    return err;
}

static const struct wire_receiver receiver = {
    .data = receive_data,
    .control = receive_control,
};

/* Nothing more can come or go. */
static void end_conversation(const char *why) {
    log_error("console: %s; the wire is closed", why);
    ended = true;
    input_set_eof();
    output_close(WIRE_STDOUT);
    output_close(WIRE_STDERR);
    wait_wake_all(&console_readable);
    wait_wake_all(&console_room);
}

/* --- The receiving thread. --- */

/* Gives the device `count` more pages to fill; fewer where there is no memory. */
static void add_buffers(unsigned count) {
    for (; count && receive_buffers < RECEIVE_MAX; count--) {
        struct page *p = pages_alloc(0);

        if (!p)
            return;
        if (virtio_queue_add(&port->receive, page_address(p), PAGE_SIZE, true, page_address(p))) {
            pages_free(p, 0);
            return;
        }
        receive_buffers++;
    }
}

/* Handles all buffers that the device has filled. */
static void receive_all(void) {
    void *buffer;
    uint32_t length;
    int got;

    while ((got = virtio_queue_take(&port->receive, &buffer, &length)) > 0) {
        console_stats.buffers_received++;
        if (wire_parse(&parser, buffer, length)) {
            end_conversation("the command sent a frame that may not be");
            return;
        }
        if (virtio_queue_add(&port->receive, buffer, PAGE_SIZE, true, buffer))
            break;
    }
    if (got)
        end_conversation("the receive queue is broken");
}

/* One round: everything that is there, then credit and wake-ups. */
static void receive_round(void) {
    uint32_t gained;

    input_came = false;
    receive_all();
    if (ended)
        return;
    gained = input_grow();
    if (gained) {
        add_buffers(RECEIVE_STEP);
        send_credit(gained);
    }
    virtio_queue_kick(&port->receive);
    if (atomic_exchange_explicit(&credit_waits, false, memory_order_relaxed))
        send_credit(input_take_consumed());
    if (input_came)
        wait_wake_all(&console_readable);
}

static bool wire_has_work(void) {
    return virtq_has_used(&port->receive.ring) || output_is_due() ||
           (atomic_load_explicit(&credit_waits, memory_order_relaxed) &&
            output_has_room(OUTPUT_CONTROL));
}

noreturn_fn static void run_wire(void *arg) {
    (void)arg;
    for (;;) {
        if (ended || !virtq_enable_interrupt(&port->receive.ring))
            (void)wait_until(&receive_wake, !ended && wire_has_work(), TIME_NEVER, false);
        virtq_disable_interrupt(&port->receive.ring);
        if (output_is_due())
            output_push();
        if (!ended)
            receive_round();
    }
}

/* Room for a writer.  Without it, the thread is set to look, which wakes him later. */
static bool serial_offers_room(void) {
    if (serial_has_room())
        return true;
    if (!atomic_exchange(&serial_full, true))
        wait_wake_all(&receive_wake);
    return false;
}

noreturn_fn static void run_serial(void *arg) {
    (void)arg;
    for (;;) {
        int byte = -1;
        bool full = atomic_load(&serial_full);

        (void)wait_until(&receive_wake,
                         (atomic_load(&serial_arrived) && input_has_room()) ||
                             (!full && atomic_load(&serial_full)),
                         full ? clock_now_ns() + SERIAL_LOOK_NS : TIME_NEVER, false);
        /* The flag first: a writer who finds the port full after this sets it again. */
        if (full && serial_has_room()) {
            atomic_store(&serial_full, false);
            wait_wake_all(&console_room);
        }
        atomic_store(&serial_arrived, false);
        while (input_has_room() && (byte = serial_read()) >= 0) {
            char c = (char)byte;

            if (c == CTRL_D)
                input_set_eof();
            else
                (void)input_put(&c, 1);
        }
        if (byte >= 0) /* no room: go on when there is */
            atomic_store(&serial_arrived, true);
        wait_wake_all(&console_readable);
    }
}

/* --- The contract of console.h. --- */

static void say_hello(void) {
    struct wire_hello hello = {
        .version = WIRE_VERSION,
        .cpus = cpu_count,
        .stdin_credit = input_size(),
    };

    memcpy(hello.build_id, machine.build_id, sizeof hello.build_id);
    (void)output_send(OUTPUT_CONTROL, WIRE_HELLO, 0, &hello, sizeof hello);
}

static int start_thread(void (*run)(void *)) {
    int err = thread_init(&receive_thread, "wire", run, NULL);

    if (!err)
        thread_start(&receive_thread);
    return err;
}

static int start_serial(void) {
    int err;

    atomic_store(&serial_arrived, true); /* perhaps before there was an interrupt */
    err = start_thread(run_serial);
    if (err)
        return err;
    err = serial_enable_receive(serial_interrupt, NULL);
    if (err)
        log_error("console: no input from the serial port (%d)", err);
    return -ENODEV;
}

int console_init(void) {
    int err = input_init();

    if (err)
        return err;
    virtio_init();
    port = console_port_find(receive_interrupt, transmit_interrupt);
    if (!port)
        return start_serial();
    err = output_init(&port->transmit);
    if (err) {
        port = NULL;
        return err;
    }
    wire_parse_init(&parser, &receiver, NULL);
    console_port_open(port);
    /* In this order: QEMU ignores news of buffers for a closed port, and does not wake for it. */
    add_buffers(RECEIVE_FIRST);
    virtio_queue_kick(&port->receive);
    say_hello();
    return start_thread(run_wire);
}

size_t console_read(void *to, size_t size) {
    size_t n = input_get(to, size);

    if (port) {
        send_credit(input_take_consumed());
        if (!n) /* the reader will wait, perhaps for an answer to what it wrote */
            output_push();
    } else if (n && atomic_load(&serial_arrived))
        wait_wake_all(&receive_wake);
    return n;
}

long console_write(enum wire_stream stream, const void *from, size_t size) {
    if (port)
        return output_write(stream, from, size);
    size_t n = serial_write_some(from, size);
    if (!n && size)
        (void)serial_offers_room();
    return (long)n;
}

bool console_writable(enum wire_stream stream) {
    return port ? output_writable(stream) : serial_offers_room();
}

void console_report(const char *text, size_t size) {
    while (size) {
        size_t n = MIN(size, (size_t)OUTPUT_SEND_MAX);

        if (!port)
            serial_write(text, n);
        else if (!output_send(OUTPUT_REPORT, WIRE_LOG, 0, text, n)) {
            if (wait_until(&console_room, output_has_room(OUTPUT_REPORT),
                           clock_now_ns() + OUTPUT_STALL_NS, false))
                return;
            continue;
        }
        text += n;
        size -= n;
    }
}

struct wire_winsize console_winsize(void) {
    struct wire_winsize copy;

    spin_lock(&state_lock);
    copy = winsize;
    spin_unlock(&state_lock);
    return copy;
}

void console_set_winsize(unsigned rows, unsigned columns) {
    spin_lock(&state_lock);
    if (!winsize.rows) /* the wire may have been faster */
        winsize = (struct wire_winsize){ .rows = (uint16_t)rows, .columns = (uint16_t)columns };
    spin_unlock(&state_lock);
}

void console_set_termios(const struct wire_termios *t) {
    if (port)
        (void)output_send(OUTPUT_CONTROL, WIRE_TERMIOS, 0, t, sizeof *t);
}

void console_set_handlers(void (*signal)(int signo), void (*dump)(void)) {
    uint64_t early;

    spin_lock(&state_lock);
    on_signal = signal;
    on_dump = dump;
    early = early_signals;
    early_signals = 0;
    spin_unlock(&state_lock);
    for (int signo = 1; early && signo <= SIGNAL_MAX; signo++)
        if (early & 1ul << (signo - 1))
            signal(signo);
}

void console_exit(unsigned status, unsigned signal) {
    struct wire_exit record = { .status = status, .signal = signal };
    uint64_t limit = clock_now_ns() + OUTPUT_STALL_NS;

    if (!port) {
        while (!serial_is_drained() && clock_now_ns() < limit)
            (void)wait_until(&console_room, false, clock_now_ns() + SERIAL_LOOK_NS, false);
        return;
    }
    while (!output_send(OUTPUT_CONTROL, WIRE_EXIT, 0, &record, sizeof record))
        if (wait_until(&console_room, output_has_room(OUTPUT_CONTROL), limit, false))
            return;
    (void)output_flush();
}
