/* SPDX-License-Identifier: MIT */
/*
 * One loop around poll(): no threads.  The life of a run:
 *
 *   starting   no WIRE_HELLO yet; signals end the command at once
 *   running    data both ways, by credit (base/wire.h)
 *   dumping    --timeout or a second interrupt: the kernel was asked for every
 *              thread's state and gets DUMP_WAIT_NS to answer, then is killed
 *   ending     the dump is complete: QEMU is killed, and what it sent last has
 *              END_WAIT_NS to reach the outputs
 *   leaving    WIRE_EXIT came: what waits for the outputs is written, and QEMU
 *              has LEAVE_WAIT_NS to end by itself
 *
 * The loop ends when QEMU's process and all its channels are gone (closed
 * sockets still hold what it sent last) or when it had to be killed.
 *
 * Input is read only while the kernel gave credit for it and the wire takes
 * it; a stream's credit goes back when its bytes have left for good.  So no
 * buffer here grows past one window, and a stuck reader holds up its own
 * stream alone.  The exception is the kernel's own text (strace, reports),
 * which needs no credit: when much of it waits, the wire waits too.
 */
#include "cli/relay_impl.h"

#include "cli/commands.h"
#include "cli/explain.h"
#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DUMP_WAIT_NS       2000000000ull
#define END_WAIT_NS        500000000ull
#define INPUT_PART         (1u << 15)
#define LINUX_MEMORY_LEAST (96u << 20)
#define NEVER              UINT64_MAX

uint64_t relay_now_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What we pass on: not what whoever started us wants ignored (nohup, a shell's background). */
static void relay_signals(sigset_t *set) {
    static const int taken[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };
    struct sigaction now;

    sigemptyset(set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (!sigaction(taken[i], NULL, &now) && now.sa_handler != SIG_IGN) {
            sigaddset(set, taken[i]);
        }
    }
}

void relay_prepare(void) {
    sigset_t set;

    relay_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            /* The lowest free number is this one. */
            int null = open("/dev/null", O_RDWR);
            (void)null;
        }
    }
}

void relay_show(void *context, const char *text, size_t length) {
    struct relay *relay = context;

    output_put(relay->standard_error, OUTPUT_NO_STREAM, text, length);
    output_flush_now(relay->standard_error);
}

/* Asks where every thread is; the answer, or its absence, ends the run. */
static void begin_dump(struct relay *relay, int status) {
    relay->forced_status = status;
    relay->phase = DUMPING;
    relay->deadline_ns = relay_now_ns() + DUMP_WAIT_NS;
    relay->timeout_ns = NEVER;
    relay->log.live = true;
    frame_writer_put(&relay->writer, WIRE_DUMP, 0, NULL, 0);
}

static void read_input(struct relay *relay) {
    static char bytes[INPUT_PART];
    size_t most = relay->input_credit < INPUT_PART ? relay->input_credit : INPUT_PART;
    ssize_t got = read(STDIN_FILENO, bytes, most);

    if (got > 0) {
        frame_writer_put(&relay->writer, WIRE_DATA, WIRE_STDIN, bytes, (size_t)got);
        relay->input_credit -= (uint64_t)got;
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        frame_writer_put(&relay->writer, WIRE_EOF, WIRE_STDIN, NULL, 0);
        relay->input_open = false;
    }
}

static void read_serial(struct relay *relay) {
    char text[4096];
    ssize_t got = recv(relay->machine->serial, text, sizeof(text), MSG_DONTWAIT);

    if (got > 0) {
        log_feed(&relay->log, text, (size_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        relay->serial_open = false;
        log_flush(&relay->log);
    }
}

/* QEMU's own messages: the first ones matter, they name the cause. */
static void read_messages(struct relay *relay) {
    char text[1024];
    ssize_t got = read(relay->machine->messages, text, sizeof(text));

    if (got <= 0) {
        relay->messages_open = got < 0 && errno == EINTR;
        return;
    }
    if (relay->options->verbose) {
        relay_show(relay, text, (size_t)got);
        return;
    }
    size_t room = MESSAGES_KEPT - relay->messages_used;
    size_t part = (size_t)got < room ? (size_t)got : room;
    memcpy(relay->messages + relay->messages_used, text, part);
    relay->messages_used += part;
}

static void take_signal(struct relay *relay) {
    struct signalfd_siginfo info;

    if (read(relay->signals, &info, sizeof(info)) != sizeof(info)) {
        return;
    }
    if (info.ssi_signo == SIGWINCH) {
        relay_send_winsize(relay);
        return;
    }
    /* Outside of a run proper there is nobody to pass a signal to. */
    bool again = info.ssi_signo == SIGINT && relay->interrupts++ > 0;
    if (relay->phase != RUNNING && (relay->phase != DUMPING || again)) {
        relay->forced_status = 128 + (int)info.ssi_signo;
        relay->killed = true;
    } else if (again) {
        begin_dump(relay, 128 + SIGINT);
    } else {
        uint32_t number = info.ssi_signo;
        frame_writer_put(&relay->writer, WIRE_SIGNAL, 0, &number, sizeof(number));
    }
}

static void say(struct relay *relay, const char *text) {
    relay_show(relay, text, strlen(text));
}

static void end_in_time(struct relay *relay) {
    char line[96];

    snprintf(line, sizeof(line), "mimosa: the program still ran after %g seconds\n",
             relay->options->timeout_s);
    say(relay, line);
    if (relay->phase == STARTING) {
        say(relay, "mimosa: the kernel had not started\n");
        log_show_last(&relay->log, 10);
        relay->forced_status = CLI_TIMEOUT;
        relay->killed = true;
    } else {
        begin_dump(relay, CLI_TIMEOUT);
    }
}

/* The time of a phase is up. */
static void end_phase(struct relay *relay) {
    bool answered = !relay->deadline_ns;

    relay->deadline_ns = NEVER;
    if (relay->phase == DUMPING) {
        if (!answered) {
            say(relay, "mimosa: the kernel did not answer; its last words:\n");
            log_show_last(&relay->log, 10);
        }
        relay->phase = ENDING;
        relay->deadline_ns = relay_now_ns() + END_WAIT_NS;
    } else if (relay->phase == ENDING) {
        relay->killed = true;
    }
    /* Also a machine that does not end by itself after its exit record. */
    if (!relay->machine_gone) {
        kill(relay->machine->pid, SIGKILL);
    }
}

/* Acts on what has come due; returns the milliseconds until the next thing will. */
static int check_time(struct relay *relay) {
    uint64_t now = relay_now_ns();

    if (now >= relay->timeout_ns && !relay->has_exit) {
        end_in_time(relay);
    }
    if (now >= relay->deadline_ns) {
        end_phase(relay);
    }
    uint64_t next = relay->deadline_ns < relay->timeout_ns ? relay->deadline_ns : relay->timeout_ns;
    if (next == NEVER) {
        return -1;
    }
    return next <= now                   ? 0
           : next - now > 60000000000ull ? 60000
                                         : (int)((next - now) / 1000000) + 1;
}

static bool is_over(const struct relay *relay) {
    bool drained = !relay->standard_output->waiting && !relay->standard_error->waiting;
    bool channels = relay->wire_open || relay->serial_open || relay->messages_open;

    return relay->killed || (relay->machine_gone && !channels && drained);
}

enum watch {
    WATCH_INPUT,
    WATCH_WIRE,
    WATCH_SERIAL,
    WATCH_MESSAGES,
    WATCH_SIGNALS,
    WATCH_MACHINE,
    WATCH_OUTPUT,
    WATCH_ERRORS,
    WATCH_COUNT,
};

static void choose_events(const struct relay *relay, struct pollfd *polls) {
    const struct machine *machine = relay->machine;
    bool wants_input = relay->said_hello && relay->input_open && relay->input_credit &&
                       frame_writer_pending(&relay->writer) < 2 * INPUT_PART;
    bool log_fits = relay->standard_error->waiting < LOG_WAITING_MOST;
    short wire =
        (short)((log_fits ? POLLIN : 0) | (frame_writer_pending(&relay->writer) ? POLLOUT : 0));

    polls[WATCH_INPUT] = (struct pollfd){ wants_input ? STDIN_FILENO : -1, POLLIN, 0 };
    polls[WATCH_WIRE] = (struct pollfd){ relay->wire_open && wire ? machine->wire : -1, wire, 0 };
    polls[WATCH_SERIAL] = (struct pollfd){ relay->serial_open ? machine->serial : -1, POLLIN, 0 };
    polls[WATCH_MESSAGES] =
        (struct pollfd){ relay->messages_open ? machine->messages : -1, POLLIN, 0 };
    polls[WATCH_SIGNALS] = (struct pollfd){ relay->signals, POLLIN, 0 };
    polls[WATCH_MACHINE] = (struct pollfd){ relay->machine_gone ? -1 : machine->pidfd, POLLIN, 0 };
    polls[WATCH_OUTPUT] = (struct pollfd){ -1, POLLOUT, 0 };
    polls[WATCH_ERRORS] = (struct pollfd){ -1, POLLOUT, 0 };
    if (relay->standard_output->waiting) {
        polls[WATCH_OUTPUT].fd = relay->standard_output->fd;
    }
    if (relay->standard_error->waiting && relay->standard_error != relay->standard_output) {
        polls[WATCH_ERRORS].fd = relay->standard_error->fd;
    }
}

static void take_events(struct relay *relay, const struct pollfd *polls) {
    if (polls[WATCH_OUTPUT].revents) {
        output_flush(relay->standard_output);
    }
    if (polls[WATCH_ERRORS].revents) {
        output_flush(relay->standard_error);
    }
    if (polls[WATCH_SIGNALS].revents) {
        take_signal(relay);
    }
    if (polls[WATCH_SERIAL].revents) {
        read_serial(relay);
    }
    if (polls[WATCH_MESSAGES].revents) {
        read_messages(relay);
    }
    if (polls[WATCH_WIRE].revents & (POLLIN | POLLHUP | POLLERR)) {
        relay_read_wire(relay);
    }
    if (polls[WATCH_INPUT].revents) {
        read_input(relay);
    }
    if (polls[WATCH_MACHINE].revents) {
        relay->machine_gone = true;
    }
    output_flush_now(relay->standard_output);
    output_flush_now(relay->standard_error);
    if (relay->said_hello) {
        relay_settle_output(relay, WIRE_STDOUT);
        relay_settle_output(relay, WIRE_STDERR);
    }
    if (relay->wire_open && frame_writer_pending(&relay->writer)) {
        relay_write_wire(relay);
    }
}

/* The status of a run that ended without an exit record. */
static int status_without_exit(struct relay *relay) {
    const struct end_facts facts = {
        .machine = relay->machine,
        .log = &relay->log,
        .messages = relay->messages,
        .started = relay->said_hello,
        .is_small =
            relay->options->on == ON_LINUX_VM && relay->options->memory_bytes < LINUX_MEMORY_LEAST,
    };

    if (relay->forced_status >= 0) {
        return relay->forced_status;
    }
    relay->messages[relay->messages_used] = '\0';
    return relay->protocol_broken ? CLI_FAILED : explain_end(&facts);
}

static void relay_open(struct relay *relay) {
    sigset_t set;

    relay_signals(&set);
    relay->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    output_open(&relay->outputs[0], STDOUT_FILENO);
    relay->standard_output = &relay->outputs[0];
    relay->standard_error = &relay->outputs[0];
    if (!output_is_same(STDOUT_FILENO, STDERR_FILENO)) {
        output_open(&relay->outputs[1], STDERR_FILENO);
        relay->standard_error = &relay->outputs[1];
    }
    terminal_save();
}

static void relay_close(struct relay *relay) {
    output_flush(relay->standard_output);
    output_flush(relay->standard_error);
    terminal_restore();
    if (relay->standard_error != relay->standard_output) {
        output_close(relay->standard_error);
    }
    output_close(relay->standard_output);
    close(relay->signals);
    frame_writer_free(&relay->writer);
    log_free(&relay->log);
}

int relay_run(struct machine *machine, const struct run_options *options,
              const struct log_names *names) {
    static struct relay relay;
    struct pollfd polls[WATCH_COUNT];
    int status;

    relay = (struct relay){
        .machine = machine,
        .options = options,
        .deadline_ns = NEVER,
        .timeout_ns = NEVER,
        .forced_status = -1,
        .wire_open = true,
        .serial_open = true,
        .messages_open = true,
        .input_open = true,
        .log = { .names = names, .show = relay_show, .context = &relay, .live = options->verbose },
    };
    if (options->timeout_s > 0) {
        relay.timeout_ns = relay_now_ns() + (uint64_t)(options->timeout_s * 1e9);
    }
    relay_open(&relay);
    while (!is_over(&relay)) {
        int wait_ms = check_time(&relay);
        if (relay.killed) {
            break;
        }
        choose_events(&relay, polls);
        if (poll(polls, WATCH_COUNT, wait_ms) > 0) {
            take_events(&relay, polls);
        }
    }
    terminal_restore();
    status = relay.has_exit ? (int)relay.exit.status : status_without_exit(&relay);
    relay_close(&relay);
    return status;
}
