/* SPDX-License-Identifier: MIT */
/* The host's terminal while a program uses it through the wire. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "base/wire.h"

/* Remembers the settings of the terminal on standard input, if it is one. */
void terminal_save(void);

/* Applies what the program set with TCSETS; without a terminal, does nothing. */
void terminal_apply(const struct wire_termios *settings);

/* Puts the remembered settings back, if the program changed them. */
void terminal_restore(void);

/* The terminal's size; 0, or -1 when neither input nor output is one. */
int terminal_size(struct wire_winsize *size);

#endif
