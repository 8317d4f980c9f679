/* SPDX-License-Identifier: MIT */
/* Output that waits without blocking. */
#include "cli/output.h"

#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES (1u << 16)
#define SMALL_BYTES 4096u

struct output_chunk {
    struct output_chunk *next;
    unsigned stream;
    size_t start, end;
    char bytes[CHUNK_BYTES];
};

void output_open(struct output *output, int fd) {
    struct stat info;
    char path[32];

    *output = (struct output){ .fd = fd, .most = SSIZE_MAX };
    if (fstat(fd, &info) || S_ISREG(info.st_mode)) {
        return; /* a regular file never makes its writer wait */
    }
    if (S_ISSOCK(info.st_mode)) {
        output->is_socket = true;
        return;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (again >= 0) {
        output->fd = again;
        output->own_fd = true;
    } else {
        /* What a pipe or terminal takes for certain once poll() says it can be written to. */
        output->most = S_ISFIFO(info.st_mode) ? PIPE_BUF : 256;
    }
}

void output_close(struct output *output) {
    while (output->first) {
        struct output_chunk *next = output->first->next;
        free(output->first);
        output->first = next;
    }
    if (output->own_fd) {
        close(output->fd);
    }
    *output = (struct output){ .fd = -1 };
}

/* Writes once; the number of bytes taken, 0 when it would have to wait or is broken. */
static size_t write_some(struct output *output, const char *bytes, size_t length) {
    ssize_t written;

    do {
        written = output->is_socket ? send(output->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL)
                                    : write(output->fd, bytes, length);
    } while (written < 0 && errno == EINTR);
    if (written < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        output->broken = true;
    }
    return written < 0 ? 0 : (size_t)written;
}

static void keep(struct output *output, unsigned stream, const char *bytes, size_t length) {
    output->waiting += length;
    while (length) {
        struct output_chunk *chunk = output->last;
        if (!chunk || chunk->stream != stream || chunk->end == CHUNK_BYTES) {
            chunk = xmalloc(sizeof(*chunk));
            chunk->next = NULL;
            chunk->stream = stream;
            chunk->start = chunk->end = 0;
            *(output->last ? &output->last->next : &output->first) = chunk;
            output->last = chunk;
        }
        size_t part = CHUNK_BYTES - chunk->end < length ? CHUNK_BYTES - chunk->end : length;
        memcpy(chunk->bytes + chunk->end, bytes, part);
        chunk->end += part;
        bytes += part;
        length -= part;
    }
}

/* Drops all that waits, as if it had been written: a reader that left wants no more. */
static void drop_all(struct output *output) {
    while (output->first) {
        struct output_chunk *chunk = output->first;
        output->consumed[chunk->stream] += chunk->end - chunk->start;
        output->first = chunk->next;
        free(chunk);
    }
    output->last = NULL;
    output->waiting = 0;
}

void output_put(struct output *output, unsigned stream, const void *bytes, size_t length) {
    const char *from = bytes;
    size_t written = 0;

    /* Straight to the file, unless others wait, it could block, or more such bits may come. */
    while (length >= SMALL_BYTES && !output->first && !output->broken &&
           output->most == SSIZE_MAX && written < length) {
        size_t part = write_some(output, from + written, length - written);
        if (!part) {
            break;
        }
        written += part;
    }
    if (output->broken) { /* nobody will read it */
        written = length;
        drop_all(output);
    }
    output->consumed[stream] += written;
    keep(output, stream, from + written, length - written);
}

void output_flush(struct output *output) {
    while (output->first && !output->broken) {
        struct output_chunk *chunk = output->first;
        size_t part = chunk->end - chunk->start;
        size_t written = write_some(output, chunk->bytes + chunk->start,
                                    part < output->most ? part : output->most);
        if (!written) {
            break;
        }
        chunk->start += written;
        output->waiting -= written;
        output->consumed[chunk->stream] += written;
        if (chunk->start == chunk->end) {
            output->first = chunk->next;
            output->last = output->first ? output->last : NULL;
            free(chunk);
        }
        if (output->most != SSIZE_MAX) {
            return; /* the next write could block: ask poll() again */
        }
    }
    if (output->broken) {
        drop_all(output);
    }
}

uint64_t output_take_consumed(struct output *output, unsigned stream) {
    uint64_t bytes = output->consumed[stream];

    output->consumed[stream] = 0;
    return bytes;
}

void output_flush_now(struct output *output) {
    if (output->most == SSIZE_MAX) {
        output_flush(output);
    }
}

bool output_is_same(int one, int other) {
    struct stat a, b;

    return !fstat(one, &a) && !fstat(other, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
