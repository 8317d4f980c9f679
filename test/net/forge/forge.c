/* SPDX-License-Identifier: MIT */
/*
 * A peer that makes its own packets, such as no honest one sends, and some that an
 * honest one sends seldom, against a machine that serves (`talk serve 7777` at
 * 10.0.9.1, or at the address that it gets here, lease.h):
 *
 *     forge PORT ATTACK...
 *
 * listens on PORT (-netdev socket,connect=) and prints a line once it does.  After
 * each attack the machine must serve as ever; at the end it is told to stop.  The
 * attacks are the functions at the end of this file.  Status 0: it survived.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "test/net/forge/lease.h"
#include "test/net/talk.h"

#define ANSWER_MS   10000
#define SETTLE_MS   2500 /* two of lwIP's slow clocks, and its first repetition */
#define SLOW_MS     9000 /* so 80 s for what a window of 100 takes ten times */
#define ENDS_MS     290000
#define LEASE_MS    100000 /* lwIP looks at leases once a minute */
#define RENEWAL_MS  50000  /* less than half of a lease */
#define LATE_MS     1000   /* less than a program waits for an address */
#define NO_SCALING  65535
#define CRUMBS      20000
#define CRUMBS_KEPT 2000
#define TCP_HEADER  20
#define IPV6_LEAST  1280 /* an MTU */
#define OPTION_MSS  2

/* The next bytes in order. */
static void say(struct conversation *c, const void *data, size_t size) {
    send_segment(c, ACK | PUSH, c->seq, NULL, 0, data, size);
    c->seq += (uint32_t)size;
}

static void acknowledge(const struct conversation *c) {
    send_segment(c, ACK, c->seq, NULL, 0, NULL, 0);
}

static void see_segment(struct conversation *c, const struct packet *p) {
    const uint8_t *tcp = p->payload;
    if (p->protocol != PROTOCOL_TCP || p->ipv6 != c->ipv6 || get16(tcp + 2) != c->port)
        return;
    size_t header = (size_t)(tcp[12] >> 4) * 4, size = p->size - header;
    uint32_t seq = get32(tcp + 4);
    c->acked = get32(tcp + 8);
    c->its_window = get16(tcp + 14);
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
    if (c->ended && size && (int32_t)(seq + (uint32_t)size - c->end) > 0)
        give_up("bytes behind the end");
    if (tcp[13] & FIN) {
        c->ended = true;
        c->end = seq + (uint32_t)size;
    }
    c->probes += !(tcp[13] & SYN) && seq == c->ack - 1 && !size;
    if (p->size > c->longest)
        c->longest = p->size;
    c->hops = p->hops;
    c->class = p->class;
}

/* Listens for `ms`, or until so many bytes were said in all, or it is open (bytes: 0). */
static void listen_for(struct conversation *c, size_t bytes, long ms) {
    struct packet p;
    bool was_open = c->open;
    for (long end = now_ms() + ms; take_packet(&p, end - now_ms());) {
        see_segment(c, &p);
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
static struct conversation open_over(bool ipv6, uint16_t window, const uint8_t *options,
                                     size_t size) {
    static const uint8_t mss[] = { OPTION_MSS, 4, SEGMENT >> 8, SEGMENT & 255 };
    static uint16_t port = 20000;
    for (int tries = 0; tries < 100; tries++) { /* at first nobody listens */
        struct conversation c = {
            .ipv6 = ipv6, .port = port++, .seq = 1000000u * port, .window = window
        };
        send_segment(&c, SYN, c.seq, mss, sizeof mss, NULL, 0);
        c.seq++;
        listen_for(&c, 0, ANSWER_MS);
        if (c.open) {
            send_segment(&c, ACK, c.seq, options, size, NULL, 0);
            return c;
        }
        let_pass(&c, 100);
    }
    give_up("no answer to a SYN");
}

static struct conversation open_with(uint16_t window, const uint8_t *options, size_t size) {
    return open_over(false, window, options, size);
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

/* A closed window is probed with nothing.  Then all is acknowledged that was sent before it was
 * closed, so that nothing is left to probe for (net/tcp_timers.c). */
static void probe(void) {
    struct conversation c = open_plain(WORD);
    say(&c, "w000000", WORD);
    listen_for(&c, WORD, ANSWER_MS);
    c.window = 0;
    c.ack -= WORD;
    say(&c, "w", 1);
    let_pass(&c, 2 * SETTLE_MS);
    c.ack += WORD;
    acknowledge(&c);
    let_pass(&c, SETTLE_MS);
    break_off(&c);

    c = open_plain(0);
    say(&c, "w000000", WORD);
    for (long end = now_ms() + ANSWER_MS; !c.probes && now_ms() < end;)
        let_pass(&c, 100);
    if (!c.probes || c.size)
        give_up("the window is not probed as it should be");
    c.window = NO_SCALING;
    acknowledge(&c);
    listen_for(&c, WORD, ANSWER_MS);
    if (c.size != WORD)
        give_up("the machine does not go on");
    acknowledge(&c);
    break_off(&c);
}

/* Says more than the server can echo, until its window is closed as well. */
static void fill_both(struct conversation *c) {
    static const uint8_t block[SEGMENT] = "c";
    long end = now_ms() + ANSWER_MS;
    say(c, block, SEGMENT);
    let_pass(c, SETTLE_MS);
    for (unsigned left; (left = c->acked + c->its_window - c->seq) > 0;) {
        if (now_ms() > end)
            give_up("the server's window does not close");
        say(c, block, left < SEGMENT ? left : SEGMENT);
        c->size = 0; /* whatever it was */
        let_pass(c, left > 20 * SEGMENT ? 0 : 200);
    }
}

/* Two that do not read: what acknowledges after a probe with a byte lies beyond the window. */
static void behind_probe(void) {
    struct conversation c = open_plain(100);
    fill_both(&c);
    let_pass(&c, SETTLE_MS);
    c.size = 0;
    c.window = NO_SCALING;
    c.seq++;
    acknowledge(&c);
    listen_for(&c, 1, ANSWER_MS);
    if (!c.size)
        give_up("the machine does not go on");
    c.seq--; /* the byte was never sent */
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

/* Ends that are none: a reset that is out of place makes no room behind a window that is full. */
static void resets_with_end(struct conversation *c) {
    static const uint8_t bytes[16];
    for (unsigned i = 1; i <= sizeof bytes; i++)
        send_segment(c, ACK | RESET | FIN, c->seq - 1, NULL, 0, bytes, i);
    send_segment(c, ACK, c->seq, NULL, 0, bytes, sizeof bytes);
    let_pass(c, 300);
    if (c->acked != c->seq)
        give_up("the window has more room than was offered");
}

/* All of the window, and the end with its last byte or behind it: that takes no room. */
static void end_of_window(void) {
    static const uint8_t bytes[SEGMENT];
    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        struct conversation c = fill_window(535);
        unsigned left = c.acked + c.its_window - c.seq;
        if (!with_bytes) {
            say(&c, bytes, left);
            let_pass(&c, 300);
            resets_with_end(&c);
        }
        send_segment(&c, ACK | FIN, c.seq, NULL, 0, bytes, with_bytes ? left : 0);
        c.seq += (with_bytes ? left : 0) + 1;
        let_pass(&c, 300);
        if (c.acked != c.seq)
            give_up("the end has to be said again");
        break_off(&c);
    }
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

/* What is said again, with a closed window, acknowledges all: no more comes. */
static void said_again(void) {
    static const uint8_t block[1000] = "c";
    struct conversation c = open_plain(2000);
    for (int i = 0; i < 3; i++)
        say(&c, block, sizeof block);
    let_pass(&c, 500);
    size_t before = c.size;
    c.window = 0;
    send_segment(&c, ACK | PUSH, c.seq - sizeof block, NULL, 0, block, sizeof block);
    let_pass(&c, SETTLE_MS);
    if (before == 0 || c.size != before)
        give_up("the machine says more than the window takes");
    break_off(&c);
}

/* An echo of `size` bytes over IPv6 comes back; in how many pieces. */
static unsigned ping(size_t size) {
    uint8_t body[1400] = { 0, 7 };
    struct packet p;
    for (int tries = 0; tries < 10; tries++) { /* its address may be new */
        send_icmp6(ICMP6_ECHO, body, size);
        for (long end = now_ms() + 1000; take_packet(&p, end - now_ms());)
            if (p.protocol == PROTOCOL_ICMP6 && p.payload[0] == ICMP6_ECHO_REPLY &&
                p.size == size + 4)
                return p.pieces;
    }
    give_up("no answer to an echo");
}

/* A path so narrow that no byte would fit behind the headers of a piece. */
static void narrow_path(void) {
    ping(100);
    send_too_big(48);
    ping(1300);
    send_too_big(0);
    ping(1300);
}

/* A path that is narrower than it was: packets are cut, and a connection's segments are shorter. */
static void narrower_path(void) {
    static const uint8_t block[1300] = "c";
    ping(100);
    struct conversation c = open_over(true, NO_SCALING, NULL, 0);
    for (unsigned i = 0; i < 3; i++) {
        c.longest = 0;
        say(&c, block, sizeof block);
        listen_for(&c, (i + 1) * sizeof block - 1, ANSWER_MS);
        acknowledge(&c);
        if (c.size != (i + 1) * sizeof block - 1)
            give_up("the machine does not go on");
        if (i == 0 && c.longest <= IPV6_LEAST - 40)
            give_up("segments are short from the start");
        if (i == 0)
            send_too_big(IPV6_LEAST);
        if (i == 0 && ping(1390) < 2)
            give_up("a packet that is too big was not cut");
    }
    if (c.longest > IPV6_LEAST - 40)
        give_up("segments are as long as before");
    break_off(&c);
}

static void check_mark(bool ipv6, unsigned hops, unsigned class) {
    if (hops != (ipv6 ? MARK_HOPS6 : MARK_HOPS) || class != (ipv6 ? MARK_CLASS6 : MARK_CLASS))
        give_up("its packets do not carry what its sockets were told");
}

/* `once`: its answer is to be marked by itself. */
static void check_datagram(bool ipv6, uint16_t port, bool once) {
    const uint8_t question[NUMBER] = { once ? 'o' : 0 };
    struct packet p;
    send_datagram(ipv6, port, question, sizeof question);
    for (long end = now_ms() + ANSWER_MS; take_packet(&p, end - now_ms());) {
        if (p.ipv6 != ipv6 || p.protocol != PROTOCOL_UDP || get16(p.payload + 2) != port)
            continue;
        if (!once)
            check_mark(ipv6, p.hops, p.class);
        else if (p.hops != MARK_ONCE_HOPS || p.class != MARK_ONCE_CLASS)
            give_up("a datagram does not carry what it was sent with");
        return;
    }
    give_up("no answer to a datagram");
}

/* Each packet of the server's carries what its socket was told (serve.c), the first of a connection
 * and those of one that it has accepted. */
static void marked(void) {
    for (int ipv6 = 0; ipv6 <= 1; ipv6++) {
        if (ipv6)
            ping(100);
        struct conversation c = open_over(ipv6, NO_SCALING, NULL, 0);
        check_mark(ipv6, c.hops, c.class);
        c.hops = 0;
        say(&c, "w000000", WORD);
        listen_for(&c, WORD, ANSWER_MS);
        check_mark(ipv6, c.hops, c.class);
        break_off(&c);
        for (unsigned i = 0; i < 3; i++)
            check_datagram(ipv6, 30000, i == 1);
    }
}

/* The server has closed a connection, and the window takes what is left in two parts: the end comes
 * with the second. */
static void end_in_parts(void) {
    static uint8_t block[1000];
    struct conversation c = open_plain(NO_SCALING);
    say(&c, "c", 1);
    c.window = 0; /* lwIP narrows it only with a new byte */
    say(&c, block, sizeof block);
    let_pass(&c, 500);
    send_segment(&c, ACK | FIN, c.seq++, NULL, 0, NULL, 0);
    let_pass(&c, 500);
    c.window = 600;
    for (long end = now_ms() + ANSWER_MS; c.size < sizeof block && now_ms() < end;) {
        acknowledge(&c);
        let_pass(&c, 200);
    }
    if (c.size != sizeof block || !c.ended)
        give_up("the answer was cut off");
    break_off(&c);
}

/* The server has closed two connections with an answer in its queue.  One peer takes that slowly,
 * and gets all of it; the other acknowledges for ever and takes nothing, and is given up. */
static void slow_ends(void) {
    static uint8_t block[1000] = "c";
    struct conversation slow = open_plain(100), never = open_plain(0);
    struct packet p;
    say(&slow, block, sizeof block);
    say(&never, "e", 1);
    let_pass(&slow, 500);
    send_segment(&slow, ACK | FIN, slow.seq++, NULL, 0, NULL, 0);
    for (long end = now_ms() + ENDS_MS, next = 0; now_ms() < end && !never.reset;) {
        if (take_packet(&p, 100)) {
            see_segment(&slow, &p);
            see_segment(&never, &p);
            if (p.protocol == PROTOCOL_TCP && get16(p.payload + 2) == never.port && !never.reset)
                acknowledge(&never);
        }
        if (now_ms() > next && slow.size < sizeof block - 1) {
            next = now_ms() + SLOW_MS;
            acknowledge(&slow);
        }
    }
    if (slow.size != sizeof block - 1 || slow.reset)
        give_up("the answer was cut off");
    if (!never.reset)
        give_up("the connection stays for ever");
}

/* Until `count` is no longer `was`. */
static void wait_for(const unsigned *count, unsigned was, struct conversation *c,
                     const char *else_what) {
    for (long end = now_ms() + LEASE_MS; *count == was;) {
        if (now_ms() > end)
            give_up(else_what);
        let_pass(c, 100);
    }
}

/* The machine has its address by DHCP: it renews it, keeping its connections, until it is refused,
 * and goes on at the address that it is given then. */
static void moves(void) {
    struct conversation c = open_plain(NO_SCALING);
    if (!lease.given)
        give_up("the machine has an address that nobody gave it");
    long begin = now_ms();
    wait_for(&lease.renewed, 0, &c, "the lease is not renewed");
    if (now_ms() - begin < RENEWAL_MS)
        give_up("the lease is renewed before half its time is over");
    say(&c, "w000000", WORD);
    listen_for(&c, WORD, ANSWER_MS);
    if (c.size != WORD)
        give_up("a connection ends with the renewal");
    acknowledge(&c);
    lease.host++;
    wait_for(&lease.given, lease.given, &c, "the machine keeps an address that it was refused");
    if (!lease.refused)
        give_up("the machine gave up its address before it was refused");
}

/* The machine gets its address late (main), and what it does then is another's to see. */
static void late_address(void) {
    struct conversation nobody = { 0 };
    while (true)
        let_pass(&nobody, 1000);
}

static const struct {
    const char *name;
    void (*run)(void);
} attacks[] = {
    { "probe", probe },
    { "behind-probe", behind_probe },
    { "said-again", said_again },
    { "late-mss", late_mss },
    { "late-mss-hidden", late_mss_hidden },
    { "small-window", small_window },
    { "beyond-window", beyond_window },
    { "end-beyond-window", end_beyond_window },
    { "end-of-window", end_of_window },
    { "crumbs", crumbs },
    { "narrow-path", narrow_path },
    { "narrower-path", narrower_path },
    { "marked", marked },
    { "end-in-parts", end_in_parts },
    { "slow-ends", slow_ends },
    { "moves", moves },
    { "late-address", late_address },
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

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 3) {
        fprintf(stderr, "usage: forge PORT ATTACK...\n");
        return 2;
    }
    if (!strcmp(argv[2], "late-address"))
        lease.late_ms = LATE_MS; /* from the first question on, which plug_in() hears */
    plug_in(atoi(argv[1]));
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
