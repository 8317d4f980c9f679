/* SPDX-License-Identifier: MIT */
/*
 * The "newc" format: a header of 110 bytes, ASCII, thirteen fields of eight hex
 * digits behind a six-digit magic; the name with its NUL, padded to four bytes;
 * the contents, padded to four.  `mimosa` pads names with further NULs so that
 * contents begin on a page.
 */
#include "fs/cpio.h"

#include <asm-generic/errno-base.h>
#include "base/string.h"

#define HEADER_SIZE   110u
#define NAME_MAX_PART 255u
#define PATH_MAX_NAME 4095u

enum {
    FIELD_MODE = 1,
    FIELD_MTIME = 5,
    FIELD_SIZE = 6,
    FIELD_RDEV_MAJOR = 9,
    FIELD_RDEV_MINOR = 10,
    FIELD_NAME_SIZE = 11,
    FIELD_COUNT = 13
};

void cpio_start(struct cpio_reader *r, const void *data, size_t size) {
    *r = (struct cpio_reader){ .data = data, .size = size };
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_field(const char *at, uint32_t *out) {
    *out = 0;
    for (unsigned i = 0; i < 8; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return false;
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

/* Every part has 1 to 255 bytes and none is "..".  A "." in the middle does no harm. */
static bool name_is_safe(const char *name) {
    if (strlen(name) > PATH_MAX_NAME)
        return false;
    while (*name) {
        size_t length = 0;
        while (name[length] && name[length] != '/')
            length++;
        if (length == 0 || length > NAME_MAX_PART || (length == 2 && memcmp(name, "..", 2) == 0))
            return false;
        name += length;
        if (*name == '/')
            name++;
    }
    return true;
}

static const char *name_strip(const char *name) {
    for (;;) {
        if (*name == '/')
            name++;
        else if (name[0] == '.' && name[1] == '/')
            name += 2;
        else if (name[0] == '.' && name[1] == '\0')
            name++;
        else
            return name;
    }
}

int cpio_next(struct cpio_reader *r, struct cpio_entry *e) {
    uint32_t field[FIELD_COUNT];
    if (r->size - r->at < HEADER_SIZE)
        return -EINVAL;
    const char *header = r->data + r->at;
    if (memcmp(header, "070701", 6) != 0 && memcmp(header, "070702", 6) != 0)
        return -EINVAL;
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        if (!hex_field(header + 6 + 8 * i, &field[i]))
            return -EINVAL;

    /* All sums are 64 bits wide and their parts 32, so none overflows. */
    uint64_t name_at = r->at + HEADER_SIZE;
    uint64_t data_at = ALIGN_UP(name_at + field[FIELD_NAME_SIZE], 4ul);
    uint64_t end = data_at + field[FIELD_SIZE];
    if (field[FIELD_NAME_SIZE] == 0 || data_at > r->size || end > r->size)
        return -EINVAL;
    const char *name = r->data + name_at;
    if (name[field[FIELD_NAME_SIZE] - 1] != '\0')
        return -EINVAL;
    if (strcmp(name, "TRAILER!!!") == 0)
        return 0;
    name = name_strip(name);
    if (!name_is_safe(name))
        return -EINVAL;
    *e = (struct cpio_entry){ .name = name,
                              .data = r->data + data_at,
                              .size = field[FIELD_SIZE],
                              .mode = field[FIELD_MODE],
                              .mtime = field[FIELD_MTIME],
                              .rdev_major = field[FIELD_RDEV_MAJOR],
                              .rdev_minor = field[FIELD_RDEV_MINOR] };
    r->at = MIN(ALIGN_UP(end, 4ul), r->size);
    return 1;
}
