/* SPDX-License-Identifier: MIT */
/*
 * A bad cable between two virtual machines: takes frames from two QEMUs
 * (-netdev socket,udp=) and passes them on, but drops, doubles, delays and
 * damages some.
 *
 *     relay PORT PERCENT_DROPPED PERCENT_DOUBLED PERCENT_LATE PERCENT_DAMAGED
 *
 * listens on PORT and PORT + 1, and sends to PORT + 2 and PORT + 3.  A late
 * frame goes out after the next one (or after 20 ms, where there is none).
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MOST 70000
#define LATE_MS    20

struct side {
    int fd;
    struct sockaddr_in to; /* the other machine */
    uint8_t late[FRAME_MOST];
    ssize_t late_size; /* 0: none waits */
};

static struct side sides[2];
static unsigned drop, twice, late, damage;

static bool chance(unsigned percent) {
    return (unsigned)(random() % 100) < percent;
}

static void pass_on(struct side *s, const uint8_t *frame, ssize_t size) {
    /* A frame that the host cannot take now is one more that the cable loses. */
    ssize_t ignored =
        sendto(s->fd, frame, (size_t)size, 0, (struct sockaddr *)&s->to, sizeof(s->to));
    (void)ignored;
}

static void let_go(struct side *s) {
    if (s->late_size) {
        pass_on(s, s->late, s->late_size);
    }
    s->late_size = 0;
}

static void take(struct side *s) {
    static uint8_t frame[FRAME_MOST];
    ssize_t size = recv(s->fd, frame, sizeof(frame), 0);

    if (size <= 0 || chance(drop)) {
        return;
    }
    if (chance(damage)) {
        frame[random() % size] ^= (uint8_t)(1u << random() % 8);
    }
    if (!s->late_size && chance(late)) {
        memcpy(s->late, frame, (size_t)size);
        s->late_size = size;
        return;
    }
    pass_on(s, frame, size);
    if (chance(twice)) {
        pass_on(s, frame, size);
    }
    let_go(s);
}

static int open_side(struct side *s, int port, int to) {
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->to = here;
    s->to.sin_port = htons((uint16_t)to);
    s->fd = socket(AF_INET, SOCK_DGRAM, 0);
    return s->fd < 0 || bind(s->fd, (struct sockaddr *)&here, sizeof(here));
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: relay PORT DROP TWICE LATE DAMAGE\n");
        return 2;
    }
    int port = atoi(argv[1]);
    drop = (unsigned)atoi(argv[2]);
    twice = (unsigned)atoi(argv[3]);
    late = (unsigned)atoi(argv[4]);
    damage = (unsigned)atoi(argv[5]);
    srandom(1);
    /* What comes in on one port goes to the machine that sends to the other. */
    if (open_side(&sides[0], port, port + 3) || open_side(&sides[1], port + 1, port + 2)) {
        perror("relay: bind");
        return 1;
    }
    for (;;) {
        struct pollfd fds[2] = { { sides[0].fd, POLLIN, 0 }, { sides[1].fd, POLLIN, 0 } };
        if (poll(fds, 2, LATE_MS) == 0) {
            let_go(&sides[0]);
            let_go(&sides[1]);
        }
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents & POLLIN) {
                take(&sides[i]);
            }
        }
    }
}
