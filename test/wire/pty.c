/* SPDX-License-Identifier: MIT */
/*
 * pty ACTION... -- COMMAND...: runs a command at a terminal of its own (24 rows,
 * 80 columns), acts as the person at it, and prints what the terminal showed,
 * without carriage returns.  Actions, in order:
 *
 *   wait=TEXT   until the terminal has shown TEXT (behind what earlier waits found)
 *   type=TEXT   C escapes as in printf %b are the shell's business
 *   size=RxC    resizes the terminal
 *   kill=N      sends the command signal N
 *   hangup      the terminal goes away; nothing it would have shown is printed
 *   restored    afterwards the terminal's settings must be what they were, if it is still there
 *   nohup       the command starts with SIGHUP ignored
 *
 * The command dies with this program.  Exits with the command's status, 128 + signal, 98
 * when a wait took longer than 30 s, 97 when the settings are not what they were.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#define PATIENCE_MS 30000

static int master; /* -1: hung up */
static char shown[1 << 16];
static size_t length, found;

/* Takes what the terminal shows next; false when nobody has it open any more, or nothing comes. */
static bool take_more(void) {
    struct pollfd poll_master = { master, POLLIN, 0 };
    char part[4096];
    ssize_t got;

    if (master < 0 || poll(&poll_master, 1, PATIENCE_MS) <= 0) {
        return false;
    }
    got = read(master, part, sizeof(part));
    for (ssize_t i = 0; i < got; i++) {
        if (part[i] != '\r' && length < sizeof(shown) - 1) {
            shown[length++] = part[i];
        }
    }
    return got > 0;
}

static bool wait_for(const char *text) {
    for (;;) {
        char *at = strstr(shown + found, text);
        if (at) {
            found = (size_t)(at - shown) + strlen(text);
            return true;
        }
        if (!take_more()) {
            return false;
        }
    }
}

static void resize(const char *text) {
    struct winsize size = { 0 };

    if (sscanf(text, "%hux%hu", &size.ws_row, &size.ws_col) != 2 ||
        ioctl(master, TIOCSWINSZ, &size)) {
        perror("pty: size");
    }
}

/* The text behind `name=`, or NULL. */
static const char *value_of(const char *action, const char *name) {
    size_t size = strlen(name);

    return !strncmp(action, name, size) && action[size] == '=' ? action + size + 1 : NULL;
}

static int act(const char *action, pid_t child) {
    const char *text;

    if ((text = value_of(action, "wait"))) {
        return wait_for(text) ? 0 : 98;
    }
    if ((text = value_of(action, "type"))) {
        return write(master, text, strlen(text)) < 0 ? 98 : 0;
    }
    if ((text = value_of(action, "size"))) {
        resize(text);
    } else if ((text = value_of(action, "kill"))) {
        kill(child, atoi(text));
    } else if (!strcmp(action, "hangup")) {
        close(master);
        master = -1;
    }
    return 0;
}

static _Noreturn void become_command(char **argv, int slave, bool nohup) {
    close(master);
    login_tty(slave);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (nohup) {
        signal(SIGHUP, SIG_IGN);
    }
    execvp(argv[0], argv);
    _exit(127);
}

int main(int argc, char **argv) {
    struct winsize size = { .ws_row = 24, .ws_col = 80 };
    struct termios before, after;
    bool restored = false, nohup = false;
    int slave, end = 1, status, result = 0;

    while (end < argc && strcmp(argv[end], "--")) {
        nohup |= !strcmp(argv[end], "nohup");
        restored |= !strcmp(argv[end++], "restored");
    }
    if (end + 1 >= argc || openpty(&master, &slave, NULL, NULL, &size) ||
        tcgetattr(slave, &before)) {
        fprintf(stderr, "pty: no command or no terminal\n");
        return 96;
    }
    pid_t child = fork();
    if (child == 0) {
        become_command(argv + end + 1, slave, nohup);
    }
    close(slave);
    for (int i = 1; i < end && !result; i++) {
        result = act(argv[i], child);
    }
    if (result) {
        kill(child, SIGKILL);
    }
    while (take_more()) {
    }
    fwrite(shown, 1, length, stdout);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (result) {
        return result;
    }
    if (restored && master >= 0 &&
        (tcgetattr(master, &after) || before.c_lflag != after.c_lflag ||
         before.c_iflag != after.c_iflag || before.c_oflag != after.c_oflag)) {
        return 97;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
