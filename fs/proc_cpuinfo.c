/* SPDX-License-Identifier: MIT */
/* /proc/cpuinfo: what CPUID says, less what the kernel does not let the program use. */
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/percpu.h"
#include "fs/proc.h"
#include "kernel/timer.h"

/* Features that the kernel has looked for itself. */
static const struct {
    size_t offset;
    const char *name;
} known[] = {
    { offsetof(struct cpu_features, fsgsbase), "fsgsbase" },
    { offsetof(struct cpu_features, smep), "smep" },
    { offsetof(struct cpu_features, smap), "smap" },
    { offsetof(struct cpu_features, umip), "umip" },
    { offsetof(struct cpu_features, xsave), "xsave" },
    { offsetof(struct cpu_features, xsaveopt), "xsaveopt" },
    { offsetof(struct cpu_features, x2apic), "x2apic" },
    { offsetof(struct cpu_features, pdpe1gb), "pdpe1gb" },
    { offsetof(struct cpu_features, rdrand), "rdrand" },
    { offsetof(struct cpu_features, rdtscp), "rdtscp" },
    { offsetof(struct cpu_features, rdpid), "rdpid" },
    { offsetof(struct cpu_features, nx), "nx" },
    { offsetof(struct cpu_features, erms), "erms" },
    { offsetof(struct cpu_features, hypervisor), "hypervisor" },
};

/* Features that are the program's alone. */
enum { LEAF_1_C, LEAF_7_B, LEAF_EXTENDED_C, WORDS };
enum needs { NOTHING, AVX, AVX512 };
static const struct {
    uint8_t word, bit, needs; /* enum needs: extended state that is saved */
    const char *name;
} others[] = {
    { LEAF_1_C, 0, NOTHING, "pni" },        { LEAF_1_C, 1, NOTHING, "pclmulqdq" },
    { LEAF_1_C, 9, NOTHING, "ssse3" },      { LEAF_1_C, 12, AVX, "fma" },
    { LEAF_1_C, 13, NOTHING, "cx16" },      { LEAF_1_C, 19, NOTHING, "sse4_1" },
    { LEAF_1_C, 20, NOTHING, "sse4_2" },    { LEAF_1_C, 22, NOTHING, "movbe" },
    { LEAF_1_C, 23, NOTHING, "popcnt" },    { LEAF_1_C, 25, NOTHING, "aes" },
    { LEAF_1_C, 28, AVX, "avx" },           { LEAF_1_C, 29, AVX, "f16c" },
    { LEAF_7_B, 3, NOTHING, "bmi1" },       { LEAF_7_B, 5, AVX, "avx2" },
    { LEAF_7_B, 8, NOTHING, "bmi2" },       { LEAF_7_B, 16, AVX512, "avx512f" },
    { LEAF_7_B, 17, AVX512, "avx512dq" },   { LEAF_7_B, 18, NOTHING, "rdseed" },
    { LEAF_7_B, 19, NOTHING, "adx" },       { LEAF_7_B, 28, AVX512, "avx512cd" },
    { LEAF_7_B, 29, NOTHING, "sha_ni" },    { LEAF_7_B, 30, AVX512, "avx512bw" },
    { LEAF_7_B, 31, AVX512, "avx512vl" },   { LEAF_EXTENDED_C, 0, NOTHING, "lahf_lm" },
    { LEAF_EXTENDED_C, 5, NOTHING, "abm" },
};

static void put_flags(struct proc_buffer *b) {
    const bool saved[] = { true, cpu_features.xcr0 & 4, cpu_features.avx512 };
    uint32_t words[WORDS] = { 0 }, r[4];
    cpuid(0, 0, r);
    uint32_t max = r[0];
    cpuid(1, 0, r);
    words[LEAF_1_C] = r[2];
    cpuid(7, 0, r);
    words[LEAF_7_B] = max >= 7 ? r[1] : 0;
    cpuid(0x80000001, 0, r);
    words[LEAF_EXTENDED_C] = r[2];
    proc_printf(b, "flags\t\t: fpu tsc msr apic cx8 sep cmov mmx fxsr sse sse2 syscall lm");
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
        if ((words[others[i].word] >> others[i].bit & 1) && saved[others[i].needs])
            proc_printf(b, " %s", others[i].name);
    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (*((const bool *)&cpu_features + known[i].offset))
            proc_printf(b, " %s", known[i].name);
    proc_printf(b, "\n");
}

/* Family and model lie in two parts each. */
static void put_model(struct proc_buffer *b) {
    uint32_t r[4];
    cpuid(1, 0, r);
    uint32_t family = r[0] >> 8 & 15, model = r[0] >> 4 & 15;
    if (family == 6 || family == 15)
        model |= r[0] >> 12 & 0xf0;
    if (family == 15)
        family += r[0] >> 20 & 255;
    proc_printf(b, "vendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n",
                cpu_features.vendor, family, model, cpu_features.model);
    proc_printf(b, "stepping\t: %u\n", r[0] & 15);
}

void proc_cpuinfo(struct proc_buffer *b) {
    uint64_t khz = clock_tsc_khz();
    for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
        proc_printf(b, "processor\t: %u\n", cpu);
        put_model(b);
        proc_printf(b, "cpu MHz\t\t: %lu.%03lu\n", khz / 1000, khz % 1000);
        proc_printf(b, "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\n",
                    cpu_count, cpu, cpu_count);
        proc_printf(b, "apicid\t\t: %u\nfpu\t\t: yes\n", irq_apic_id(cpu));
        put_flags(b);
        proc_printf(
            b, "cache_alignment\t: 64\naddress sizes\t: 48 bits physical, 48 bits virtual\n\n");
    }
}
