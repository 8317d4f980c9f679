/* SPDX-License-Identifier: MIT */
/*
 * One output of the command: a file that may be slow, and the bytes that wait
 * for it.  Writing never blocks, and never changes the open file that is shared
 * with whoever started the command (a terminal or pipe is opened anew).  If
 * standard output and error are the same file, they share one output, so that
 * their order stays.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_NO_STREAM 0u /* text of our own: nobody waits for its credit */
#define OUTPUT_STREAMS   3u

struct output_chunk;

struct output {
    int fd;
    bool own_fd; /* opened by us: to be closed */
    bool is_socket;
    size_t most; /* bytes in one write: less than a whole pipe's where it could block */
    bool broken; /* its reader is gone: bytes are dropped */
    struct output_chunk *first, *last;
    size_t waiting;                    /* bytes in the chunks */
    uint64_t consumed[OUTPUT_STREAMS]; /* bytes of each stream written since last asked */
};

void output_open(struct output *output, int fd);
void output_close(struct output *output);

/*
 * Writes what can be written now and keeps the rest.  A few bytes are only
 * kept: call output_flush_now when no more follow at once.
 */
void output_put(struct output *output, unsigned stream, const void *bytes, size_t length);

/* Writes what waits, as far as the file takes it.  Call when it can be written to. */
void output_flush(struct output *output);

/* As output_flush, without having asked poll(): does nothing where a write could block. */
void output_flush_now(struct output *output);

/* The bytes of a stream that left since the last call: the credit to give back. */
uint64_t output_take_consumed(struct output *output, unsigned stream);

/* Whether two descriptors are the same terminal, pipe or file. */
bool output_is_same(int one, int other);

#endif
