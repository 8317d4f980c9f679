/* SPDX-License-Identifier: MIT */
/* Carries the program's terminal settings to the host's terminal and back. */
#include "cli/terminal.h"

#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static bool have_saved, changed;

void terminal_save(void) {
    have_saved = !tcgetattr(STDIN_FILENO, &saved);
}

void terminal_apply(const struct wire_termios *settings) {
    struct termios wanted = saved;

    if (!have_saved) {
        return;
    }
    wanted.c_iflag = settings->iflag;
    wanted.c_oflag = settings->oflag;
    /* The speed and the like (c_cflag) stay the host's affair. */
    wanted.c_lflag = settings->lflag;
    memcpy(wanted.c_cc, settings->cc, sizeof(settings->cc));
    changed = true;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &wanted);
}

void terminal_restore(void) {
    if (changed) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
        changed = false;
    }
}

int terminal_size(struct wire_winsize *size) {
    struct winsize host;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &host) && ioctl(STDIN_FILENO, TIOCGWINSZ, &host)) {
        return -1;
    }
    *size = (struct wire_winsize){ host.ws_row, host.ws_col, host.ws_xpixel, host.ws_ypixel };
    return 0;
}
