/* SPDX-License-Identifier: MIT */
/* expect: 139 SIGSEGV
 * address 0x0000000000000010
 * text ended by SIGSEGV: NULL pointer$
 * text ^  there: nothing is mapped$ */
/* A static PIE: its names must be found wherever it was put. */
#include "test/errors/null_deref.c"

/* deliberate( is in the other file; test/run-errors looks for the word here. */
