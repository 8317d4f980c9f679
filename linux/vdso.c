/* SPDX-License-Identifier: MIT */
/*
 * Maps the clock page and, right behind it, the vDSO, at a random place.
 *
 * Their frames belong to the kernel's image: they are described like any other
 * memory but were never handed out, so this file holds a reference on each for
 * ever, and unmapping one never frees it.
 */
#include <asm-generic/errno.h>
#include <linux/mman.h>

#include "base/string.h"
#include "kernel/aspace.h"
#include "kernel/log.h"
#include "kernel/pages.h"
#include "kernel/panic.h"
#include "kernel/timer.h"
#include "linux/exec.h"
#include "linux/process.h"
#include "linux/vdso/vdso.h"

extern const char vdso_image[], vdso_image_end[];

static int vdso_get_page(struct vm_object *o, uint64_t index, bool write, struct page **out);
static void vdso_release(struct vm_object *o);
static uint64_t vdso_name(struct vm_object *o, char *to, size_t size);

static const struct vm_object_ops vdso_ops = {
    .get_page = vdso_get_page,
    .release = vdso_release,
    .name = vdso_name,
};
static struct vm_object vdso_object = { .ops = &vdso_ops, .refs = 1 };

static size_t image_pages(void) {
    return ((size_t)(vdso_image_end - vdso_image) + PAGE_SIZE - 1) / PAGE_SIZE;
}

/* Page 0 is the clock's, the image follows. */
static struct page *page_at(uint64_t index) {
    uintptr_t at =
        index == 0 ? (uintptr_t)clock_page : (uintptr_t)vdso_image + (index - 1) * PAGE_SIZE;

    return phys_to_page(PADDR(at - KERNEL_IMAGE));
}

static int vdso_get_page(struct vm_object *o, uint64_t index, bool write, struct page **out) {
    (void)o;
    if (write || index > image_pages())
        return -EIO;
    *out = page_at(index);
    page_get(*out);
    return 0;
}

static void vdso_release(struct vm_object *o) {
    (void)o; /* static */
}

static uint64_t vdso_name(struct vm_object *o, char *to, size_t size) {
    (void)o;
    string_copy(to, "", size);
    return 0;
}

uintptr_t vdso_map(struct process *p) {
    size_t size = image_pages() * PAGE_SIZE;
    uintptr_t clock = 0, image;
    int err;

    assert(clock_page->shift == VDSO_SHIFT);
    for (uint64_t i = 0; i <= image_pages(); i++)
        atomic_store(&page_at(i)->refs, 1);
    err = aspace_map(p->aspace, &clock, PAGE_SIZE + size, PROT_READ, REGION_SHARED | REGION_SPECIAL,
                     &vdso_object, 0, "[vvar]");
    if (err)
        return 0;
    vm_object_get(&vdso_object);
    image = clock + PAGE_SIZE;
    vm_object_get(&vdso_object);
    err = aspace_map(p->aspace, &image, size, PROT_READ | PROT_EXEC,
                     REGION_FIXED | REGION_SHARED | REGION_SPECIAL, &vdso_object, PAGE_SIZE,
                     "[vdso]");
    if (err) {
        log_info("no vDSO: error %d", err);
        return 0;
    }
    return image;
}
