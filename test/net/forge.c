/* SPDX-License-Identifier: MIT */
/*
 * A peer that makes its own TCP segments, such as no honest one sends, against a
 * machine that serves (`talk serve 7777` at 10.0.9.1):
 *
 *     forge PORT ATTACK...
 *
 * listens on PORT (-netdev socket,connect=) and prints a line once it does.  After
 * each attack the machine must serve as ever; at the end it is told to stop.  The
 * attacks are the functions at the end of this file.  Status 0: it survived.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "test/net/talk.h"

#define OUR_MAC      2, 0, 0, 0, 0, 3
#define OUR_IP       10, 0, 9, 3
#define SERVER_IP    10, 0, 9, 1
#define SERVER_PORT  7777
#define ETHERNET     14
#define IP_HEADER    20
#define TCP_HEADER   20
#define SEGMENT      1460
#define OPTIONS_MOST 40
#define BOOT_MS      60000
#define ANSWER_MS    10000
#define SETTLE_MS    2500 /* two of lwIP's slow clocks, and its first repetition */
#define NO_SCALING   65535
#define CRUMBS       20000
#define CRUMBS_KEPT  2000
#define ACK          0x10
#define PUSH         0x08
#define RESET        0x04
#define SYN          0x02
#define FIN          0x01
#define OPTION_MSS   2

struct frame {
    size_t size;
    uint8_t bytes[2048];
};

/* One connection to the server. */
struct conversation {
    uint16_t port;
    uint32_t seq;     /* our next byte */
    uint32_t ack;     /* its next */
    uint16_t window;  /* that we offer */
    bool open, reset; /* it has answered our SYN; it has refused */
    size_t size;      /* of what it said, in order */
    uint8_t said[4096];
};

static int cable;
static uint8_t server_mac[6] = { 255, 255, 255, 255, 255, 255 };
static bool mac_known;
static const char *attack = "nothing";

static _Noreturn void give_up(const char *what) {
    printf("forge: %s: %s\n", attack, what);
    exit(1);
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- frames ---- */

static void put16(uint8_t *at, unsigned v) {
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v) {
    put16(at, v >> 16);
    put16(at + 2, v & 0xffff);
}

static unsigned get16(const uint8_t *at) {
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at) {
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static uint32_t sum(const uint8_t *at, size_t size, uint32_t s) {
    for (size_t i = 0; i + 1 < size; i += 2)
        s += get16(at + i);
    return size & 1 ? s + ((uint32_t)at[size - 1] << 8) : s;
}

static unsigned fold(uint32_t s) {
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return ~s & 0xffff;
}

static void send_frame(struct frame *f) {
    uint8_t length[4];
    put32(length, (uint32_t)f->size);
    if (send(cable, length, 4, MSG_NOSIGNAL | MSG_MORE) != 4 ||
        send(cable, f->bytes, f->size, MSG_NOSIGNAL) != (ssize_t)f->size)
        give_up("the machine is gone");
}

/* The next frame within `ms`, or false. */
static bool take_frame(struct frame *f, long ms) {
    struct pollfd p = { cable, POLLIN, 0 };
    uint8_t length[4];
    if (poll(&p, 1, (int)(ms > 0 ? ms : 0)) != 1)
        return false;
    if (recv(cable, length, 4, MSG_WAITALL) != 4)
        give_up("the machine is gone");
    f->size = get32(length);
    if (f->size > sizeof f->bytes ||
        recv(cable, f->bytes, f->size, MSG_WAITALL) != (ssize_t)f->size)
        give_up("a frame that is too long");
    return true;
}

static void arp(unsigned operation) {
    static const uint8_t who[] = { OUR_MAC, OUR_IP };
    static const uint8_t server[] = { SERVER_IP };
    struct frame f = { .size = 60 };
    memcpy(f.bytes, server_mac, 6);
    memcpy(f.bytes + 6, who, 6);
    put16(f.bytes + 12, 0x0806);
    put16(f.bytes + 14, 1);
    put16(f.bytes + 16, 0x0800);
    put16(f.bytes + 18, 0x0604);
    put16(f.bytes + 20, operation);
    memcpy(f.bytes + 22, who, sizeof who);
    if (operation == 2)
        memcpy(f.bytes + 32, server_mac, 6);
    memcpy(f.bytes + 38, server, 4);
    send_frame(&f);
}

static void see_arp(const struct frame *f) {
    static const uint8_t ours[] = { OUR_IP }, server[] = { SERVER_IP };
    if (f->size < 42 || memcmp(f->bytes + 28, server, 4))
        return;
    memcpy(server_mac, f->bytes + 22, 6);
    mac_known = true;
    if (get16(f->bytes + 20) == 1 && !memcmp(f->bytes + 38, ours, 4))
        arp(2);
}

/* ---- segments ---- */

static void send_segment(const struct conversation *c, unsigned flags, uint32_t seq,
                         const uint8_t *options, size_t option_size, const void *data,
                         size_t size) {
    static const uint8_t addresses[] = { OUR_IP, SERVER_IP };
    struct frame f = { .size = ETHERNET + IP_HEADER + TCP_HEADER + option_size + size };
    uint8_t *ip = f.bytes + ETHERNET, *tcp = ip + IP_HEADER;
    static const uint8_t us[] = { OUR_MAC };
    size_t length = TCP_HEADER + option_size + size;

    memcpy(f.bytes, server_mac, 6);
    memcpy(f.bytes + 6, us, 6);
    put16(f.bytes + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(IP_HEADER + length));
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, addresses, 8);
    put16(ip + 10, fold(sum(ip, IP_HEADER, 0)));
    put16(tcp, c->port);
    put16(tcp + 2, SERVER_PORT);
    put32(tcp + 4, seq);
    put32(tcp + 8, flags & ACK ? c->ack : 0);
    tcp[12] = (uint8_t)((TCP_HEADER + option_size) / 4 << 4);
    tcp[13] = (uint8_t)flags;
    put16(tcp + 14, c->window);
    if (option_size)
        memcpy(tcp + TCP_HEADER, options, option_size);
    if (size)
        memcpy(tcp + TCP_HEADER + option_size, data, size);
    put16(tcp + 16, fold(sum(tcp, length, sum(addresses, 8, 6 + (uint32_t)length))));
    if (f.size < 60)
        f.size = 60;
    send_frame(&f);
}

/* The next bytes in order. */
static void say(struct conversation *c, const void *data, size_t size) {
    send_segment(c, ACK | PUSH, c->seq, NULL, 0, data, size);
    c->seq += (uint32_t)size;
}

static void acknowledge(const struct conversation *c) {
    send_segment(c, ACK, c->seq, NULL, 0, NULL, 0);
}

static void see_segment(struct conversation *c, const struct frame *f) {
    const uint8_t *ip = f->bytes + ETHERNET, *tcp = ip + IP_HEADER;
    if (ip[0] != 0x45 || ip[9] != 6 || get16(tcp + 2) != c->port)
        return;
    size_t header = (size_t)(tcp[12] >> 4) * 4, size = get16(ip + 2) - IP_HEADER - header;
    uint32_t seq = get32(tcp + 4);
    if (tcp[13] & RESET) {
        c->reset = true;
    } else if (tcp[13] & SYN) {
        c->open = true;
        c->ack = seq + 1;
    } else if (seq == c->ack && size && c->size + size <= sizeof c->said) {
        memcpy(c->said + c->size, tcp + header, size);
        c->size += size;
        c->ack += (uint32_t)size;
    }
}

/* Listens for `ms`, or until so many bytes were said in all, or it is open (bytes: 0). */
static void listen_for(struct conversation *c, size_t bytes, long ms) {
    struct frame f;
    bool was_open = c->open;
    for (long end = now_ms() + ms; take_frame(&f, end - now_ms());) {
        if (f.size >= ETHERNET && get16(f.bytes + 12) == 0x0806)
            see_arp(&f);
        else if (f.size >= ETHERNET + IP_HEADER + TCP_HEADER && get16(f.bytes + 12) == 0x0800)
            see_segment(c, &f);
        if (c->reset || (bytes && c->size >= bytes) || (!bytes && !was_open && c->open))
            return;
    }
}

/* All that comes, whatever it is. */
static void let_pass(struct conversation *c, long ms) {
    listen_for(c, SIZE_MAX, ms);
}

/* ---- conversations ---- */

/* `options`: of the handshake's last segment. */
static struct conversation open_with(uint16_t window, const uint8_t *options, size_t size) {
    static const uint8_t mss[] = { OPTION_MSS, 4, SEGMENT >> 8, SEGMENT & 255 };
    static uint16_t port = 20000;
    struct conversation c = { .port = port++, .seq = 1000000u * port, .window = window };

    send_segment(&c, SYN, c.seq, mss, sizeof mss, NULL, 0);
    c.seq++;
    listen_for(&c, 0, ANSWER_MS);
    if (!c.open)
        give_up("no answer to a SYN");
    send_segment(&c, ACK, c.seq, options, size, NULL, 0);
    return c;
}

static struct conversation open_plain(uint16_t window) {
    return open_with(window, NULL, 0);
}

static void break_off(const struct conversation *c) {
    send_segment(c, RESET | ACK, c->seq, NULL, 0, NULL, 0);
}

/* Says `what` and returns what was answered, of `size` bytes. */
static const char *ask(const char *what, size_t size) {
    static struct conversation c;
    c = open_plain(NO_SCALING);
    say(&c, what, size);
    listen_for(&c, size, ANSWER_MS);
    acknowledge(&c);
    if (c.size < size)
        give_up("the machine does not answer");
    break_off(&c);
    return (const char *)c.said;
}

static long ask_counter(const char *name) {
    char question[COUNTER] = "n";
    snprintf(question + 1, sizeof question - 1, "%s", name);
    return atol(ask(question, COUNTER));
}

/* A reader that never reads; the window has `left` bytes then. */
static struct conversation fill_window(unsigned left) {
    static const uint8_t bytes[SEGMENT] = { 'u' };
    struct conversation c = open_plain(NO_SCALING);
    for (unsigned todo = NO_SCALING - left, n; todo; todo -= n) {
        n = todo < SEGMENT ? todo : SEGMENT;
        say(&c, bytes, n);
        let_pass(&c, 0);
    }
    let_pass(&c, 300);
    return c;
}

/* ---- attacks ---- */

/* A probe of a closed window is acknowledged when nothing else waits (net/tcp_lists.c). */
static void probe(void) {
    struct conversation c = open_plain(WORD - 1);
    say(&c, "w000000", WORD);
    listen_for(&c, WORD - 1, ANSWER_MS);
    c.window = 0;
    acknowledge(&c);
    listen_for(&c, WORD, ANSWER_MS);
    if (c.size != WORD)
        give_up("the window is not probed");
    acknowledge(&c);
    let_pass(&c, SETTLE_MS);
    break_off(&c);
}

/* Has the server echo more than the window takes, so that it waits there. */
static void fill_queue(struct conversation *c) {
    uint8_t block[1001] = "c";
    say(c, block, sizeof block);
    let_pass(c, 500);
}

/* Whatever the server made of it: it sends more, and its clocks go. */
static void press_on(struct conversation *c) {
    static const uint8_t block[500];
    say(c, block, sizeof block);
    let_pass(c, SETTLE_MS);
    break_off(c);
}

/* A window too small for what waits, and then an MSS of one byte. */
static void late_mss(void) {
    static const uint8_t one[] = { OPTION_MSS, 4, 0, 1 };
    struct conversation c = open_plain(100);
    fill_queue(&c);
    send_segment(&c, ACK, c.seq, one, sizeof one, NULL, 0);
    press_on(&c);
}

/* The same, hidden behind options that nobody knows and in the handshake's last segment. */
static void late_mss_hidden(void) {
    static const uint8_t hidden[] = { 1, 1, 254, 5, 0, 0, 0, 1, OPTION_MSS, 4, 0, 1 };
    static const uint8_t large[] = { OPTION_MSS, 4, 0x80, 0 };
    struct conversation c = open_with(100, large, sizeof large);
    fill_queue(&c);
    send_segment(&c, ACK, c.seq, hidden, sizeof hidden, NULL, 0);
    press_on(&c);
}

/* No window at all, and then a small one: for some bytes a segment may have any length. */
static void small_window(void) {
    struct conversation c = open_plain(0);
    fill_queue(&c);
    c.window = 100;
    acknowledge(&c);
    press_on(&c);
}

/* Out of order, and longer than the window that is left. */
static void beyond_window(void) {
    static const uint8_t bytes[SEGMENT];
    struct conversation c = fill_window(535);
    send_segment(&c, ACK, c.seq + 1, NULL, 0, bytes, SEGMENT);
    say(&c, bytes, 1);
    let_pass(&c, SETTLE_MS);
    break_off(&c);
}

/* An end out of order, in the window; then all of the window. */
static void end_beyond_window(void) {
    static const uint8_t bytes[SEGMENT];
    struct conversation c = fill_window(535);
    send_segment(&c, ACK | FIN, c.seq + 534, NULL, 0, bytes, 1);
    let_pass(&c, 100);
    say(&c, bytes, 535);
    let_pass(&c, SETTLE_MS);
    break_off(&c);
}

/* One byte to a segment, every other one missing. */
static void crumbs(void) {
    struct conversation c = open_plain(NO_SCALING);
    say(&c, "u", 1);
    for (uint32_t i = 0; i < CRUMBS; i++) {
        send_segment(&c, ACK, c.seq + 1 + 2 * i, NULL, 0, "x", 1);
        if (i % 16 == 0)
            let_pass(&c, 0);
    }
    let_pass(&c, 100);
    if (ask_counter("received_buffers_in_use ") > CRUMBS_KEPT)
        give_up("the machine keeps a buffer for each byte");
    break_off(&c);
}

static const struct {
    const char *name;
    void (*run)(void);
} attacks[] = {
    { "probe", probe },
    { "late-mss", late_mss },
    { "late-mss-hidden", late_mss_hidden },
    { "small-window", small_window },
    { "beyond-window", beyond_window },
    { "end-beyond-window", end_beyond_window },
    { "crumbs", crumbs },
};

static void run(const char *name) {
    for (unsigned i = 0; i < sizeof attacks / sizeof attacks[0]; i++)
        if (!strcmp(name, attacks[i].name)) {
            attack = name;
            attacks[i].run();
            if (memcmp(ask("w000001", WORD), "w000001", WORD))
                give_up("the machine answers with something else");
            printf("forge: %s is done\n", name);
            return;
        }
    give_up("there is no such attack");
}

static void plug_in(int port) {
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1))
        give_up("cannot listen");
    puts("ready");
    cable = accept(listener, NULL, NULL);
    if (cable < 0 || setsockopt(cable, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
        give_up("no machine");
}

int main(int argc, char **argv) {
    struct conversation nobody = { .port = 1 };
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 3) {
        fprintf(stderr, "usage: forge PORT ATTACK...\n");
        return 2;
    }
    plug_in(atoi(argv[1]));
    for (long end = now_ms() + BOOT_MS; !mac_known;) {
        if (now_ms() > end)
            give_up("the machine does not say where it is");
        arp(1);
        let_pass(&nobody, 200);
    }
    for (int i = 2; i < argc; i++)
        run(argv[i]);
    struct conversation c = open_plain(NO_SCALING);
    say(&c, "q", 1);
    printf("forge: all is done\n");
    let_pass(&c, 1000);
    break_off(&c);
    while (true) /* until the machine is off: it may ask where we are */
        let_pass(&c, 1000);
}
