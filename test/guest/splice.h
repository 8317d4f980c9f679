/* SPDX-License-Identifier: MIT */
/* What the tests of splice share. */
#ifndef TEST_GUEST_SPLICE_H
#define TEST_GUEST_SPLICE_H

#define PIPE_BYTES 65536

static unsigned char pattern(size_t at) {
    return (unsigned char)(at * 7 + at / 251);
}

__attribute__((unused)) static void fill(char *to, size_t from, size_t size) {
    for (size_t i = 0; i < size; i++)
        to[i] = (char)pattern(from + i);
}

__attribute__((unused)) static int is_pattern(const char *bytes, size_t from, size_t size) {
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)bytes[i] != pattern(from + i))
            return 0;
    return 1;
}

static void close_both(const int ends[2]) {
    close(ends[0]);
    close(ends[1]);
}

#endif
