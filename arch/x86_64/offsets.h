/* SPDX-License-Identifier: MIT */
/* Offsets that assembly needs; static asserts in trap.c hold them against the structs. */
#ifndef ARCH_OFFSETS_H
#define ARCH_OFFSETS_H

#define FRAME_RAX  80
#define FRAME_CS   144
#define FRAME_SIZE 176

#define THREAD_WORK 0

#endif
