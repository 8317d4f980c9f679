/* SPDX-License-Identifier: MIT */
/* Saving and restoring extended state with XSAVE, or FXSAVE where there is no XSAVE. */
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/cpu.h"
#include "base/string.h"

#define FXSAVE_FCW        0
#define FXSAVE_MXCSR      24
#define FXSAVE_MXCSR_MASK 28
#define XSAVE_HEADER      512
#define MXCSR_DEFAULT     0x1f80u
#define FCW_DEFAULT       0x37fu

static uint32_t mxcsr_mask(void) {
    static uint32_t mask; /* every CPU computes the same value */
    if (!mask) {
        _Alignas(16) uint8_t area[512] = { 0 };
        __asm__ volatile("fxsave %0" : "+m"(area));
        memcpy(&mask, area + FXSAVE_MXCSR_MASK, 4);
        if (!mask)
            mask = 0xffbf;
    }
    return mask;
}

void fpu_init_area(void *area) {
    uint8_t *p = area;
    memset(p, 0, cpu_features.xsave_size);
    *(uint16_t *)(void *)(p + FXSAVE_FCW) = FCW_DEFAULT;
    *(uint32_t *)(void *)(p + FXSAVE_MXCSR) = MXCSR_DEFAULT;
    *(uint32_t *)(void *)(p + FXSAVE_MXCSR_MASK) = mxcsr_mask();
    /* An all-zero XSTATE_BV would be right too; x87 and SSE set makes MXCSR and FCW explicit. */
    if (cpu_features.xsave)
        *(uint64_t *)(void *)(p + XSAVE_HEADER) = 3;
}

void fpu_save(void *area) {
    uint32_t lo = (uint32_t)cpu_features.xcr0, hi = (uint32_t)(cpu_features.xcr0 >> 32);
    if (cpu_features.xsaveopt)
        __asm__ volatile("xsaveopt64 (%0)" ::"r"(area), "a"(lo), "d"(hi) : "memory");
    else if (cpu_features.xsave)
        __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(lo), "d"(hi) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

void fpu_restore(const void *area) {
    uint32_t lo = (uint32_t)cpu_features.xcr0, hi = (uint32_t)(cpu_features.xcr0 >> 32);
    if (cpu_features.xsave)
        __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(lo), "d"(hi) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

bool fpu_sanitise(void *area) {
    uint8_t *p = area;
    uint32_t mxcsr;
    memcpy(&mxcsr, p + FXSAVE_MXCSR, sizeof(mxcsr));
    if (mxcsr & ~mxcsr_mask())
        return false;
    if (!cpu_features.xsave)
        return true;
    uint64_t *header = (uint64_t *)(void *)(p + XSAVE_HEADER);
    if ((header[0] & ~cpu_features.xcr0) || header[1] || header[2])
        return false;
    for (unsigned i = 3; i < 8; i++) /* XRSTOR looks at these in the compacted format only */
        header[i] = 0;
    return true;
}
