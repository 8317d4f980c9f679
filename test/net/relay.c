/* SPDX-License-Identifier: MIT */
/*
 * A bad cable between two virtual machines: takes frames from two QEMUs and
 * passes them on, but drops, doubles, delays and damages some.
 *
 *     relay PORT PERCENT_DROPPED PERCENT_DOUBLED PERCENT_LATE PERCENT_DAMAGED [mirror]
 *
 * listens on PORT and PORT + 1 (-netdev socket,connect=), and prints a line once
 * it does.  A late frame goes out after the next one (or after 20 ms, where there
 * is none).  Streams, not datagrams: of those the host itself drops some when it
 * is busy, and a good cable would not be one.  Where a machine has gone, another
 * may take its end.  SIGUSR1 cuts the way from the first machine to the second, or
 * mends it; SIGUSR2 begins or ends a storm: questions that the first machine answers,
 * as many as it takes.  A line tells that it is done.
 *
 * With a mirror there is no second machine: what the first says to 10.0.9.10 comes
 * back to it as if from there, so that both ends of a connection are in one machine
 * and the cable between them.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ETHERNET   14
#define HEADER     4 /* a frame's length, in network order */
#define FRAME_MOST 70000
#define LATE_MS    20
#define STORM_MOST 256              /* questions that wait for their answer */
#define STORM_LOST 20               /* ms without an answer, after which they are lost */
#define NOBODY     2, 0, 0, 0, 0, 9 /* the storm's address: what is sent there is lost */
#define MIRROR     2, 0, 0, 0, 0, 10

struct frame {
    size_t size; /* header included; 0: none */
    uint8_t bytes[HEADER + FRAME_MOST];
};

struct side {
    int listener, fd; /* -1: no machine */
    struct frame in;  /* what has come of the frame that is coming */
    struct frame late;
};

static struct side sides[2];
static volatile sig_atomic_t cuts, storms; /* asked for */
static bool cut, storm;
static unsigned unanswered; /* of the storm's questions */
static long last_answer;    /* ms */
static unsigned drop, twice, late, damage;

static bool chance(unsigned percent) {
    return (unsigned)(random() % 100) < percent;
}

static void hang_up(struct side *s) {
    if (s->fd >= 0) {
        close(s->fd);
    }
    s->fd = -1;
    s->in.size = s->late.size = 0;
}

/* To a machine that is not there a frame is lost. */
static void pass_on(struct side *to, const struct frame *f) {
    for (size_t done = 0; to->fd >= 0 && done < f->size;) {
        ssize_t n = send(to->fd, f->bytes + done, f->size - done, MSG_NOSIGNAL);
        if (n <= 0) {
            hang_up(to);
            return;
        }
        done += (size_t)n;
    }
}

static void let_go(struct side *from, struct side *to) {
    pass_on(to, &from->late);
    from->late.size = 0;
}

static void swap(uint8_t *a, uint8_t *b, size_t size) {
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

/* The frame as the mirror shows it; false: not at all.  To swap addresses changes no checksum. */
static bool reflect(struct frame *f) {
    static const uint8_t mac[] = { MIRROR }, ip[] = { 10, 0, 9, 10 };
    uint8_t *frame = f->bytes + HEADER, *packet = frame + ETHERNET;
    uint8_t *message = packet + (packet[0] & 15) * 4;

    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, mac, 6);
    if (f->size < HEADER + ETHERNET + 28 || frame[12] != 8) {
        return false;
    }
    if (frame[13] == 6 && packet[7] == 1 && !memcmp(packet + 24, ip, 4)) { /* who has it? */
        packet[7] = 2;
        swap(packet + 8, packet + 18, 10);
        memcpy(packet + 8, mac, 6);
        return true;
    }
    if (frame[13] != 0 || memcmp(packet + 16, ip, 4)) {
        return false;
    }
    swap(packet + 12, packet + 16, 4);
    if (packet[9] == IPPROTO_ICMP && message[0] == 3) { /* unreachable: what it quotes, likewise */
        swap(message + 8 + 12, message + 8 + 16, 4);
    }
    return true;
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_for_nobody(const struct frame *f) {
    static const uint8_t nobody[] = { NOBODY };
    return f->size >= HEADER + sizeof(nobody) && !memcmp(f->bytes + HEADER, nobody, sizeof(nobody));
}

static void treat(struct side *from, struct side *to) {
    struct frame *f = &from->in;

    if (is_for_nobody(f)) {
        unanswered -= unanswered > 0;
        last_answer = now_ms();
        return;
    }
    if ((cut && from == &sides[0]) || chance(drop) || (from == to && !reflect(f))) {
        return;
    }
    if (chance(damage)) {
        f->bytes[HEADER + (size_t)random() % (f->size - HEADER)] ^= (uint8_t)(1u << random() % 8);
    }
    if (!from->late.size && chance(late)) {
        from->late = *f;
        return;
    }
    pass_on(to, f);
    if (chance(twice)) {
        pass_on(to, f);
    }
    let_go(from, to);
}

/* Takes in what belongs to the frame that is coming; whether the machine is still there. */
static bool take(struct side *from, struct side *to) {
    struct frame *f = &from->in;
    uint32_t length;
    size_t want = HEADER;

    if (f->size >= HEADER) {
        memcpy(&length, f->bytes, HEADER);
        want += ntohl(length);
    }
    if (want > sizeof(f->bytes)) {
        return false;
    }
    ssize_t n = recv(from->fd, f->bytes + f->size, want - f->size, 0);
    if (n <= 0) {
        return false;
    }
    f->size += (size_t)n;
    if (f->size > HEADER && f->size == want) {
        treat(from, to);
        f->size = 0;
    }
    return true;
}

static int open_side(struct side *s, int port) {
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int one = 1;

    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = -1;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    return s->listener < 0 ||
           setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
           bind(s->listener, (struct sockaddr *)&here, sizeof(here)) || listen(s->listener, 1);
}

static void plug_in(struct side *s) {
    int one = 1;

    hang_up(s);
    s->fd = accept(s->listener, NULL, NULL);
    if (s->fd >= 0) {
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
}

static void hear(int signal) {
    if (signal == SIGUSR1) {
        cuts++;
    } else {
        storms++;
    }
}

static void say(const char *line) {
    puts(line);
    fflush(stdout);
}

static void see_signals(void) {
    static int cuts_seen, storms_seen;

    if (cuts_seen != cuts) {
        cuts_seen++;
        cut = !cut;
        say(cut ? "cut" : "mended");
    }
    if (storms_seen != storms) {
        storms_seen++;
        storm = !storm;
        say(storm ? "storm" : "calm");
    }
}

/* Asks all on the cable for the address of 10.0.9.1, in the name of 10.0.9.9 (ARP).  The host keeps
 * megabytes of them, and what else goes to the machine would wait behind all that. */
static void blow(struct side *to) {
    static const struct frame f = {
        HEADER + 60, { 0, 0, 0, 60,     255, 255, 255, 255, 255, 255, NOBODY, 8, 6, 0, 1,  8, 0, 6,
                       4, 0, 1, NOBODY, 10,  0,   9,   9,   0,   0,   0,      0, 0, 0, 10, 0, 9, 1 }
    };
    if (unanswered == STORM_MOST && now_ms() - last_answer > STORM_LOST) {
        unanswered = 0;
    }
    if (to->fd >= 0 && unanswered < STORM_MOST) {
        pass_on(to, &f);
        unanswered++;
    }
}

int main(int argc, char **argv) {
    if (argc < 6 || argc > 7 || (argc == 7 && strcmp(argv[6], "mirror"))) {
        fprintf(stderr, "usage: relay PORT DROP TWICE LATE DAMAGE [mirror]\n");
        return 2;
    }
    int far = argc == 6; /* the side to which the first one's frames go */
    int port = atoi(argv[1]);
    drop = (unsigned)atoi(argv[2]);
    twice = (unsigned)atoi(argv[3]);
    late = (unsigned)atoi(argv[4]);
    damage = (unsigned)atoi(argv[5]);
    srandom(1);
    if (open_side(&sides[0], port) || open_side(&sides[1], port + 1)) {
        perror("relay: bind");
        return 1;
    }
    signal(SIGUSR1, hear);
    signal(SIGUSR2, hear);
    say("ready");
    for (unsigned turn = 0;;) {
        see_signals();
        /* Half as often as it takes in: a frame comes in two parts. */
        if (storm && (turn ^= 1)) {
            blow(&sides[0]);
        }
        struct pollfd fds[4];
        for (int i = 0; i < 2; i++) {
            fds[i] = (struct pollfd){ sides[i].fd, POLLIN, 0 };
            fds[2 + i] = (struct pollfd){ sides[i].listener, POLLIN, 0 };
        }
        int ready = poll(fds, 4, storm && sides[0].fd >= 0 ? 0 : LATE_MS);
        if (ready < 0) {
            continue;
        }
        if (ready == 0) {
            let_go(&sides[0], &sides[far]);
            let_go(&sides[1], &sides[0]);
        }
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents && sides[i].fd == fds[i].fd &&
                !take(&sides[i], &sides[i ? 0 : far])) {
                hang_up(&sides[i]);
            }
            if (fds[2 + i].revents & POLLIN) {
                plug_in(&sides[i]);
            }
        }
    }
}
