/* SPDX-License-Identifier: MIT */
/* Pages from mmap: see heaps/pages.h. */
#include "heaps/pages.h"

#include "heaps/heap.h"

#include <errno.h>
#include <sys/mman.h>

static void *map(size_t bytes, int protection, int flags) {
    void *pages = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}

/*
 * Maps more than is needed and gives back both ends.  The surplus is reserved
 * without access, so that it never counts against the system's memory.
 */
static void *map_trimmed(size_t bytes, size_t align) {
    size_t room = bytes + align - HEAP_PAGE;

    if (room < bytes) {
        return NULL;
    }
    char *pages = map(room, PROT_NONE, MAP_NORESERVE);
    if (!pages) {
        return NULL;
    }
    char *start = pages + (-(uintptr_t)pages & (align - 1));
    if (start > pages) {
        munmap(pages, (size_t)(start - pages));
    }
    if (start + bytes < pages + room) {
        munmap(start + bytes, (size_t)(pages + room - (start + bytes)));
    }
    /* Mapped afresh, not mprotected: then it is accounted as any mapping is. */
    if (mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
             0) == MAP_FAILED) {
        munmap(start, bytes);
        return NULL;
    }
    return start;
}

void *heap_map_pages(size_t bytes, size_t align) {
    int saved = errno;
    char *pages = map(bytes, PROT_READ | PROT_WRITE, 0);

    if (pages && (uintptr_t)pages & (align - 1)) {
        munmap(pages, bytes);
        pages = map_trimmed(bytes, align);
    }
    errno = saved;
    return pages;
}

void heap_unmap_pages(void *pages, size_t bytes) {
    int saved = errno;

    munmap(pages, bytes);
    errno = saved;
}

bool heap_discard_pages(void *pages, size_t bytes) {
    int saved = errno;
    bool done = !madvise(pages, bytes, MADV_DONTNEED);

    errno = saved;
    return done;
}

void *heap_resize_pages(void *pages, size_t old_bytes, size_t new_bytes) {
    int saved = errno;
    void *moved = mremap(pages, old_bytes, new_bytes, MREMAP_MAYMOVE);

    errno = saved;
    return moved == MAP_FAILED ? NULL : moved;
}
