/* SPDX-License-Identifier: MIT */
/* The relay's side towards the kernel: frames in both directions, and credit. */
#include "cli/relay_impl.h"

#include "cli/commands.h"
#include "cli/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CREDIT_PART (WIRE_WINDOW / 4)

static struct output *stream_output(struct relay *relay, unsigned stream) {
    return stream == WIRE_STDOUT ? relay->standard_output : relay->standard_error;
}

/*
 * Gives back credit for what left, and tells the kernel of readers that are
 * gone.  Credit goes in large parts, so that small writes cost no frame each;
 * the kernel never waits for less, since it always has the rest of the window.
 */
void relay_settle_output(struct relay *relay, unsigned stream) {
    struct output *output = stream_output(relay, stream);

    relay->owed[stream] += (uint32_t)output_take_consumed(output, stream);
    if (relay->owed[stream] >= CREDIT_PART) {
        frame_writer_put(&relay->writer, WIRE_CREDIT, stream, &relay->owed[stream],
                         sizeof(relay->owed[stream]));
        relay->owed[stream] = 0;
    }
    if (output->broken && !relay->told_closed[stream]) {
        relay->told_closed[stream] = true;
        frame_writer_put(&relay->writer, WIRE_CLOSED, stream, NULL, 0);
    }
}

void relay_send_winsize(struct relay *relay) {
    struct wire_winsize size;

    if (!terminal_size(&size)) {
        frame_writer_put(&relay->writer, WIRE_WINSIZE, 0, &size, sizeof(size));
    }
}

static int take_hello(struct relay *relay, const struct frame *frame) {
    struct wire_hello hello;

    if (frame->length != sizeof(hello) || relay->said_hello) {
        return -EPROTO;
    }
    memcpy(&hello, frame->payload, sizeof(hello));
    if (hello.version != WIRE_VERSION) {
        cli_fail("the kernel speaks version %u of the wire, this command version %u", hello.version,
                 WIRE_VERSION);
        return -EPROTO;
    }
    if (hello.stdin_credit > WIRE_WINDOW) {
        return -EPROTO;
    }
    relay->input_credit = hello.stdin_credit;
    relay->said_hello = true;
    relay_send_winsize(relay);
    if (relay->phase == STARTING) {
        relay->phase = RUNNING;
    }
    return 0;
}

static void take_text(struct relay *relay, const struct frame *frame) {
    char *text = log_symbolize(relay->log.names, (const char *)frame->payload, frame->length);

    relay_show(relay, text, strlen(text));
    free(text);
}

static int take_exit(struct relay *relay, const struct frame *frame) {
    if (frame->length != sizeof(relay->exit)) {
        return -EPROTO;
    }
    memcpy(&relay->exit, frame->payload, sizeof(relay->exit));
    if (relay->exit.status > 255) {
        return -EPROTO;
    }
    relay->has_exit = true;
    relay->input_open = false;
    /* A dump that is under way keeps its own end, unless the program was faster. */
    relay->phase = LEAVING;
    relay->deadline_ns = relay_now_ns() + LEAVE_WAIT_NS;
    return 0;
}

static int take_credit(struct relay *relay, const struct frame *frame) {
    uint32_t credit;

    if (frame->length != sizeof(credit) || frame->stream != WIRE_STDIN) {
        return -EPROTO;
    }
    memcpy(&credit, frame->payload, sizeof(credit));
    relay->input_credit += credit;
    return relay->input_credit > WIRE_WINDOW ? -EPROTO : 0;
}

static int take_data(struct relay *relay, const struct frame *frame) {
    struct output *output = stream_output(relay, frame->stream);

    if (frame->stream == WIRE_STDIN || output->waiting > 3u * WIRE_WINDOW + LOG_WAITING_MOST) {
        return -EPROTO;
    }
    output_put(output, frame->stream, frame->payload, frame->length);
    return 0;
}

/* Acts on one frame; -EPROTO when it breaks the rules. */
static int take_frame(struct relay *relay, const struct frame *frame) {
    struct wire_termios termios;

    if (!relay->said_hello && frame->type != WIRE_HELLO) {
        return -EPROTO;
    }
    switch (frame->type) {
    case WIRE_HELLO:
        return take_hello(relay, frame);
    case WIRE_DATA:
        return take_data(relay, frame);
    case WIRE_CREDIT:
        return take_credit(relay, frame);
    case WIRE_EOF:
        return frame->length ? -EPROTO : 0; /* a program closed its output: nothing to do */
    case WIRE_LOG:
        take_text(relay, frame);
        return 0;
    case WIRE_EXIT:
        return take_exit(relay, frame);
    case WIRE_DUMPED:
        if (relay->phase == DUMPING) {
            relay->deadline_ns = 0;
        }
        return 0;
    case WIRE_TERMIOS:
        if (frame->length != sizeof(termios)) {
            return -EPROTO;
        }
        memcpy(&termios, frame->payload, sizeof(termios));
        terminal_apply(&termios);
        return 0;
    default:
        return -EPROTO;
    }
}

void relay_read_wire(struct relay *relay) {
    struct frame frame;
    size_t room;
    uint8_t *to = frame_reader_room(&relay->reader, &room);
    ssize_t got = recv(relay->machine->wire, to, room, MSG_DONTWAIT);
    int result;

    if (got <= 0) {
        relay->wire_open = got < 0 && (errno == EAGAIN || errno == EINTR);
        return;
    }
    frame_reader_filled(&relay->reader, (size_t)got);
    while ((result = frame_reader_next(&relay->reader, &frame)) > 0) {
        result = take_frame(relay, &frame);
        if (result < 0) {
            break;
        }
    }
    if (result < 0) {
        cli_fail("the guest broke the rules of the wire (frame type %u, stream %u, %u bytes)",
                 frame.type, frame.stream, frame.length);
        relay->protocol_broken = relay->killed = true;
    }
}

void relay_write_wire(struct relay *relay) {
    struct frame_writer *writer = &relay->writer;
    ssize_t sent = send(relay->machine->wire, writer->bytes + writer->start,
                        frame_writer_pending(writer), MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent > 0) {
        frame_writer_sent(writer, (size_t)sent);
    } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        /* The reading side tells what happened; nobody will take these bytes. */
        frame_writer_sent(writer, frame_writer_pending(writer));
    }
}
