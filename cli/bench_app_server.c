/* SPDX-License-Identifier: MIT */
/* A server under measurement, always by way of `mimosa run`, and its RESP protocol. */
#include "cli/bench_app_impl.h"

#include "cli/commands.h"
#include "cli/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REDIS_PORT  6379u
#define CONNECT_MS  10    /* a packet may be lost before the machine is there: ask anew */
#define ANSWER_MS   1000  /* of a server that took the connection */
#define COMMAND_MS  60000 /* scripts under emulation take their time */
#define LOOK_MS     200   /* between two looks whether it still lives */
#define STOP_TENTHS 50
#define REPLY_MOST  65536u
#define LOG_TEXT    4096

/* ---- the network ---- */

static int tap_network(struct app *app) {
    struct ifreq address = { 0 }, mask = { 0 };
    struct sockaddr_in in;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(address.ifr_name, sizeof(address.ifr_name), "%s", app->tap);
    snprintf(mask.ifr_name, sizeof(mask.ifr_name), "%s", app->tap);
    bool found = fd >= 0 && !ioctl(fd, SIOCGIFADDR, &address) && !ioctl(fd, SIOCGIFNETMASK, &mask);
    if (fd >= 0) {
        close(fd);
    }
    if (!found) {
        return cli_fail("--net tap:%s: that interface has no IPv4 address; `mimosa run --help` "
                        "says how to make one",
                        app->tap);
    }
    memcpy(&in, &address.ifr_addr, sizeof(in));
    app->tap_address = ntohl(in.sin_addr.s_addr);
    memcpy(&in, &mask.ifr_netmask, sizeof(in));
    uint32_t bits = ntohl(in.sin_addr.s_addr);
    app->prefix = (unsigned)__builtin_popcount(bits);
    /* The next address, or the one before where that is the network's last. */
    app->guest_address = app->tap_address + 1;
    if ((app->guest_address | bits) == UINT32_MAX) {
        app->guest_address = app->tap_address - 1;
    }
    return 0;
}

int server_network(struct app *app, const char *net) {
    if (!strncmp(net, "tap:", 4) && net[4]) {
        app->tap = net + 4;
        return tap_network(app);
    }
    return strcmp(net, "user") ? cli_usage("bench", "--net is user or tap:IFNAME, not '%s'", net)
                               : 0;
}

/* A port of this host that is free now. */
static unsigned free_port(void) {
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) ||
        getsockname(fd, (struct sockaddr *)&in, &size)) {
        exit(cli_fail("no free port: %s", strerror(errno)));
    }
    close(fd);
    return ntohs(in.sin_port);
}

/* ---- the protocol ---- */

/* A connection, or -1; not within `wait_ms`. */
static int dial(const struct server *server, int wait_ms) {
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)server->port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    socklen_t size = sizeof(error);
    struct pollfd wait = { fd, POLLOUT, 0 };

    inet_pton(AF_INET, server->host, &in.sin_addr);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof(in)) &&
        (errno != EINPROGRESS || poll(&wait, 1, wait_ms) <= 0 ||
         getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) || error)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Whether a whole reply is there; *begin and *length: its text. */
static bool reply_complete(const char *text, size_t *begin, size_t *length) {
    const char *end = strstr(text, "\r\n");

    if (!end) {
        return false;
    }
    *begin = *text == '$' ? (size_t)(end - text) + 2 : 1;
    *length = *text == '$' ? (size_t)strtoul(text + 1, NULL, 10) : (size_t)(end - text) - 1;
    return *text != '$' || strlen(text) >= *begin + *length + 2;
}

/* Whether it never was, or has ended; server_stop() is still to reap it. */
static bool has_ended(const struct server *server) {
    siginfo_t end = { 0 };

    return server->pid <= 0 ||
           (!waitid(P_PID, (id_t)server->pid, &end, WEXITED | WNOHANG | WNOWAIT) && end.si_pid);
}

/* Waits for something to read, while the server lives: a machine that ended says nothing more. */
static bool wait_reply(const struct server *server, int fd, int wait_ms) {
    struct pollfd wait = { fd, POLLIN, 0 };

    for (; wait_ms > 0; wait_ms -= LOOK_MS) {
        int ready = poll(&wait, 1, wait_ms < LOOK_MS ? wait_ms : LOOK_MS);
        if (ready) {
            return ready > 0; /* or somebody interrupts */
        }
        if (has_ended(server)) {
            return false;
        }
    }
    return false;
}

/* The reply to what was sent, to be freed; NULL where none came in time. */
static char *take_reply(const struct server *server, int fd, int wait_ms, bool *is_error) {
    char *text = xmalloc(REPLY_MOST);
    size_t used = 0, begin, length;

    while (used < REPLY_MOST - 1 && wait_reply(server, fd, wait_ms)) {
        ssize_t got = read(fd, text + used, REPLY_MOST - 1 - used);
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
        text[used] = '\0';
        if (reply_complete(text, &begin, &length)) {
            *is_error = *text == '-';
            memmove(text, text + begin, length);
            text[length] = '\0';
            return text;
        }
    }
    free(text);
    return NULL;
}

static char *ask_within(const struct server *server, const char *const *words, int connect_ms,
                        int answer_ms, bool *is_error) {
    int fd = dial(server, connect_ms);
    unsigned count = 0;
    char *reply = NULL;

    if (fd < 0) {
        return NULL;
    }
    while (words[count]) {
        count++;
    }
    /* Small enough for the socket's buffer: it does not block. */
    bool sent = dprintf(fd, "*%u\r\n", count) > 0;
    for (unsigned i = 0; i < count; i++) {
        sent = sent && dprintf(fd, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]) > 0;
    }
    if (sent) {
        reply = take_reply(server, fd, answer_ms, is_error);
    }
    close(fd);
    return reply;
}

/* What was said of its end: the last line of Mimosa's, behind which lists and backtraces may
 * follow, or the last of all. */
static char *last_words(const struct server *server) {
    char text[LOG_TEXT + 1], *last = NULL, *rest = text;
    off_t size = lseek(server->log, 0, SEEK_END);
    ssize_t got = pread(server->log, text, LOG_TEXT, size > LOG_TEXT ? size - LOG_TEXT : 0);
    bool is_ours = false;

    text[got > 0 ? got : 0] = '\0';
    for (char *line; (line = strsep(&rest, "\r\n"));) {
        bool ours = !strncmp(line, "mimosa: ", 8) && line[8] != ' '; /* not a list's entry */
        if (*line && (ours || !is_ours)) {
            last = line;
            is_ours = ours;
        }
    }
    return xstrdup(last ? last : "it ended without a word");
}

char *server_ask(const struct server *server, const char *const *words, char **error) {
    bool is_error = false;
    char *reply = ask_within(server, words, ANSWER_MS, COMMAND_MS, &is_error);

    if (reply && !is_error) {
        return reply;
    }
    if (reply) {
        *error = xasprintf("%s: %s", words[0], reply);
    } else if (has_ended(server)) {
        *error = last_words(server);
    } else {
        *error = xasprintf("no answer to %s any more", words[0]);
    }
    free(reply);
    return NULL;
}

/* ---- its life ---- */

static void push_pair(struct word_list *list, const char *option, char *value) {
    words_push(list, xstrdup(option));
    words_push(list, value);
}

/* The file through which lab/vm/count.c tells: 0, or -1 with *error set. */
static int open_counts(struct server *server, struct word_list *more, char **error) {
    char *plugin = xasprintf("%s/lab/count.so", cli_home());

    server->counts_path = xstrdup("/tmp/mimosa-count-XXXXXX");
    int fd = mkstemp(server->counts_path);
    void *counts = MAP_FAILED;
    if (fd >= 0 && !ftruncate(fd, sizeof(struct app_counts))) {
        counts = mmap(NULL, sizeof(struct app_counts), PROT_READ, MAP_SHARED, fd, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (counts != MAP_FAILED) {
        server->counts = counts;
    }
    push_pair(more, "--accel", xstrdup("tcg"));
    push_pair(more, "--qemu", xasprintf("-plugin %s,counts=%s", plugin, server->counts_path));
    if (!server->counts || access(plugin, R_OK)) {
        *error = server->counts ? xasprintf("there is no %s; type `make lab`", plugin)
                                : xasprintf("%s: %s", server->counts_path, strerror(errno));
    }
    free(plugin);
    return *error ? -1 : 0;
}

/* Options of `run` between those of every boot and the program. */
static void push_network(const struct app *app, const struct server *server, bool is_process,
                         struct word_list *more) {
    if (is_process) {
        return;
    }
    if (app->tap) {
        push_pair(more, "--net", xasprintf("tap:%s", app->tap));
        push_pair(more, "--ip",
                  xasprintf("%s/%u,%s", net_address(app->guest_address), app->prefix,
                            net_address(app->tap_address)));
    } else {
        push_pair(more, "--port", xasprintf("%u:%u", server->port, REDIS_PORT));
    }
}

static void become_server(const struct server *server, char *const *argv) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    /* An interrupt at the terminal is ours; and our end is the machine's too. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(null, 0);
    dup2(server->log, 1);
    dup2(server->log, 2);
    execv(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Until it answers for the first time. */
static int await(const struct app *app, struct server *server, uint64_t begin_ns, char **error) {
    static const char *const ping[] = { "PING", NULL };

    for (;;) {
        bool is_error;
        char *reply = ask_within(server, ping, CONNECT_MS, ANSWER_MS, &is_error);
        uint64_t now_ns = bench_now_ns();

        if (reply) {
            server->first_ms = (double)(now_ns - begin_ns) / 1e6;
            free(reply);
            return 0;
        }
        if (has_ended(server)) {
            *error = last_words(server);
            return -1;
        }
        if (app_interrupted() || now_ns - begin_ns > app->bench->timeout_s * 1000000000ull) {
            *error = app_interrupted() ? xstrdup("interrupted")
                                       : xasprintf("no answer in %u s", app->bench->timeout_s);
            return -1;
        }
        usleep(1000);
    }
}

/* The server's own words: open to the other side of its network, nothing on a disk. */
static void push_server_words(const struct server *server, bool is_process,
                              struct word_list *list) {
    push_pair(list, "--protected-mode", xstrdup("no"));
    push_pair(list, "--save", xstrdup(""));
    push_pair(list, "--port", xasprintf("%u", is_process ? server->port : REDIS_PORT));
    push_pair(list, "--loglevel", xstrdup("warning"));
}

int server_start(struct app *app, unsigned system, unsigned cpus, const char *heap,
                 struct server *server, char **error) {
    bool is_process = !strcmp(app->bench->results.systems[system], "linux");
    bool on_tap = app->tap && !is_process;
    struct word_list more = { 0 }, list = { 0 };

    *server = (struct server){ .log = memfd_create("mimosa-server", MFD_CLOEXEC) };
    *error = NULL;
    snprintf(server->host, sizeof(server->host), "%s",
             on_tap ? net_address(app->guest_address) : "127.0.0.1");
    server->port = on_tap ? REDIS_PORT : free_port();
    push_network(app, server, is_process, &more);
    if (app->counting && open_counts(server, &more, error)) {
        words_release(&more);
        return -1;
    }
    app->bench->more_options = more.items;
    boot_command(app->bench, system, cpus, heap, &list);
    app->bench->more_options = NULL;
    push_server_words(server, is_process, &list);
    uint64_t begin_ns = bench_now_ns();
    server->pid = fork();
    if (!server->pid) {
        become_server(server, list.items);
    }
    int status = await(app, server, begin_ns, error);
    words_release(&more);
    words_release(&list);
    return status;
}

void server_stop(struct server *server) {
    if (server->pid > 0) {
        kill(server->pid, SIGTERM); /* `mimosa run` hands it to the server */
        for (int i = 0; i < STOP_TENTHS && !has_ended(server); i++) {
            usleep(100000);
        }
    }
    if (!has_ended(server)) {
        kill(server->pid, SIGKILL); /* its machine dies with it */
    }
    if (server->pid > 0) {
        waitpid(server->pid, NULL, 0);
    }
    if (server->log >= 0) {
        close(server->log);
    }
    if (server->counts) {
        munmap((void *)(uintptr_t)server->counts, sizeof(*server->counts));
    }
    if (server->counts_path) {
        unlink(server->counts_path);
        free(server->counts_path);
    }
    *server = (struct server){ .log = -1 };
}
