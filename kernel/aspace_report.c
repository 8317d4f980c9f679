/* SPDX-License-Identifier: MIT */
/* What an address space says of itself: /proc/self/maps, figures, the report when memory is out. */
#include <asm/errno.h>
#include <asm/mman.h>

#include "base/format.h"
#include "base/string.h"
#include "kernel/aspace_impl.h"
#include "kernel/log.h"

#define NAME_COLUMN 73 /* where Linux prints names */
#define LARGEST     5

static uint64_t name_of(const struct region *r, char *to, size_t size) {
    to[0] = 0;
    if (r->tag)
        string_copy(to, r->tag, size);
    else if (r->object && r->object->ops->name)
        return r->object->ops->name(r->object, to, size);
    return 0;
}

static size_t format_region(const struct region *r, char *to, size_t size) {
    char name[160];
    uint64_t inode = name_of(r, name, sizeof(name));
    int n =
        format(to, size, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu", r->start, r->end,
               r->prot & PROT_READ ? 'r' : '-', r->prot & PROT_WRITE ? 'w' : '-',
               r->prot & PROT_EXEC ? 'x' : '-', r->flags & REGION_SHARED ? 's' : 'p',
               (unsigned long)(r->object ? r->offset : 0), 0, inode ? 1 : 0, (unsigned long)inode);
    size_t at = (size_t)n;
    if (name[0]) {
        while (at < NAME_COLUMN && at < size)
            to[at++] = ' ';
        if (at < size)
            at += (size_t)format(to + at, size - at, "%s", name);
    }
    if (at < size)
        to[at++] = '\n';
    return at;
}

size_t aspace_format_maps(struct aspace *as, uint64_t *cursor, char *to, size_t size) {
    size_t done = 0;
    char line[320];
    mutex_lock(&as->mutex);
    struct region *r = region_find_above(&as->tree, *cursor);
    for (; r; r = region_next(&as->tree, r)) {
        size_t n = format_region(r, line, sizeof(line));
        if (n > size - done)
            break;
        memcpy(to + done, line, n);
        done += n;
        *cursor = r->end;
    }
    mutex_unlock(&as->mutex);
    return done;
}

static bool is_kind(const struct region *r, enum mapped_kind kind) {
    if (kind == MAPPED)
        return true;
    return !(r->flags & (REGION_SHARED | REGION_STACK)) &&
           !(r->prot & PROT_WRITE) == (kind == MAPPED_NOT_DATA);
}

uint64_t aspace_mapped_bytes(struct aspace *as, uintptr_t addr, size_t length,
                             enum mapped_kind kind) {
    uintptr_t end;
    uint64_t sum = 0;
    if (!aspace_range(addr, length, &end))
        return 0;
    mutex_lock(&as->mutex);
    const struct region *r = region_find_above(&as->tree, addr);
    for (; r && r->start < end; r = region_next(&as->tree, r))
        if (is_kind(r, kind))
            sum += MIN(r->end, end) - MAX(r->start, addr);
    mutex_unlock(&as->mutex);
    return sum;
}

void aspace_stats(struct aspace *as, struct aspace_stats *out) {
    const struct region *r;
    *out = (struct aspace_stats){
        .shootdowns = atomic_load_explicit(&as->shootdowns, memory_order_relaxed),
        .shootdown_ipis = atomic_load_explicit(&as->shootdown_ipis, memory_order_relaxed),
    };
    mutex_lock(&as->mutex);
    list_for_each(r, &as->tree.list, link) {
        uint64_t bytes = r->end - r->start;
        if (r->flags & REGION_LOCKED)
            out->locked_bytes += bytes;
        if (r->flags & REGION_STACK)
            out->stack_bytes += bytes;
        else if (is_kind(r, MAPPED_DATA))
            out->data_bytes += bytes;
        else if ((r->prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC)
            out->text_bytes += bytes;
    }
    out->mapped_bytes = as->tree.bytes;
    out->peak_mapped_bytes = as->tree.peak_bytes;
    uint64_t resident = aspace_resident_frames(as);
    as->peak_resident = MAX(as->peak_resident, resident);
    out->resident_bytes = resident << PAGE_SHIFT;
    out->peak_resident_bytes = as->peak_resident << PAGE_SHIFT;
    mutex_unlock(&as->mutex);
    for (unsigned n = 0; n < cpu_count; n++) {
        out->faults += as->cpus[n].faults;
        out->faults_huge += as->cpus[n].faults_huge;
        out->faults_copied += as->cpus[n].faults_copied;
    }
}

static void report_region(const char *what, const struct region *r, uint64_t frames) {
    char name[64];
    (void)name_of(r, name, sizeof(name));
    report("mimosa:   %s%012lx-%012lx %c%c%c %s%s: %lu KiB of %lu KiB in memory\n", what, r->start,
           r->end, r->prot & PROT_READ ? 'r' : '-', r->prot & PROT_WRITE ? 'w' : '-',
           r->prot & PROT_EXEC ? 'x' : '-',
           name[0]     ? name
           : r->object ? "shared"
                       : "anonymous",
           r->flags & REGION_STACK ? " (stack)" : "", (unsigned long)(frames << (PAGE_SHIFT - 10)),
           (unsigned long)((r->end - r->start) >> 10));
}

void aspace_report_largest(struct aspace *as, uintptr_t fault_addr) {
    struct pages_stats pages;
    struct {
        struct region r;
        uint64_t frames;
    } largest[LARGEST] = { 0 }, fault = { 0 };
    struct region *r;
    pages_stats(&pages);
    mutex_lock(&as->mutex);
    list_for_each(r, &as->tree.list, link) {
        uint64_t frames = table_count(as, r->start, r->end);
        if (fault_addr >= r->start && fault_addr < r->end) {
            fault.r = *r;
            fault.frames = frames;
        }
        unsigned i = LARGEST;
        while (i > 0 && largest[i - 1].frames < frames)
            i--;
        if (i == LARGEST)
            continue;
        for (unsigned k = LARGEST - 1; k > i; k--)
            largest[k] = largest[k - 1];
        largest[i].r = *r;
        largest[i].frames = frames;
    }
    uint64_t resident = aspace_resident_frames(as);
    /* Names need the objects, which the regions' references keep: report under the mutex. */
    report("mimosa: out of memory: the program holds %lu KiB of %lu KiB, %lu KiB are free\n",
           (unsigned long)(resident << (PAGE_SHIFT - 10)),
           (unsigned long)(pages.total << (PAGE_SHIFT - 10)),
           (unsigned long)(pages.free << (PAGE_SHIFT - 10)));
    if (fault.r.end)
        report_region("touched: ", &fault.r, fault.frames);
    for (unsigned i = 0; i < LARGEST && largest[i].frames; i++)
        report_region("", &largest[i].r, largest[i].frames);
    mutex_unlock(&as->mutex);
}
