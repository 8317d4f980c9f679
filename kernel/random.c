/* SPDX-License-Identifier: MIT */
/*
 * Random bytes: ChaCha20 (RFC 8439) in counter mode with fast key erasure
 * (Bernstein, 2017): each request first replaces the key, so that what was
 * handed out cannot be recomputed from the state.  What is mixed in goes over the
 * next key by exclusive or: whoever chose the bytes but does not know the key
 * knows no more of the one after it.  random_lock guards the state.
 */
#include "arch/x86_64/cpu.h"
#include "base/string.h"
#include "kernel/lock.h"
#include "kernel/machine.h"
#include "kernel/random.h"

#define ROTL(x, n) ((x) << (n) | (x) >> (32 - (n)))

static struct spinlock random_lock = SPINLOCK_INIT(RANK_LOG);
static uint32_t key[8];
static bool keyed;
static bool seeded; /* all of it repeats */

static void quarter(uint32_t *s, int a, int b, int c, int d) {
    s[a] += s[b], s[d] = ROTL(s[d] ^ s[a], 16);
    s[c] += s[d], s[b] = ROTL(s[b] ^ s[c], 12);
    s[a] += s[b], s[d] = ROTL(s[d] ^ s[a], 8);
    s[c] += s[d], s[b] = ROTL(s[b] ^ s[c], 7);
}

static void block(uint32_t out[16], uint64_t counter) {
    uint32_t in[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
    memcpy(in + 4, key, sizeof(key));
    in[12] = (uint32_t)counter;
    in[13] = (uint32_t)(counter >> 32);
    memcpy(out, in, sizeof(in));
    for (int i = 0; i < 10; i++) {
        quarter(out, 0, 4, 8, 12), quarter(out, 1, 5, 9, 13);
        quarter(out, 2, 6, 10, 14), quarter(out, 3, 7, 11, 15);
        quarter(out, 0, 5, 10, 15), quarter(out, 1, 6, 11, 12);
        quarter(out, 2, 7, 8, 13), quarter(out, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++)
        out[i] += in[i];
}

static void key_from_hardware(void) {
    for (int i = 0; i < 8; i += 2) {
        uint64_t v = cpu_random();
        memcpy(&key[i], &v, 8);
    }
    keyed = true;
}

void random_seed(uint64_t seed) {
    uint64_t flags = spin_lock_irqsave(&random_lock);
    memset(key, 0, sizeof(key));
    memcpy(key, &seed, sizeof(seed));
    keyed = seeded = true;
    spin_unlock_irqrestore(&random_lock, flags);
}

void random_bytes(void *to, size_t size) {
    uint32_t out[16];
    uint8_t *p = to;
    uint64_t flags = spin_lock_irqsave(&random_lock);
    if (!keyed)
        key_from_hardware();
    block(out, 0);
    uint32_t next[8];
    memcpy(next, out, sizeof(next));
    size_t n = MIN(size, sizeof(out) - sizeof(next));
    memcpy(p, out + 8, n);
    for (uint64_t counter = 1; n < size; counter++) {
        size_t part = MIN(size - n, sizeof(out));
        block(out, counter);
        memcpy(p + n, out, part);
        n += part;
    }
    memcpy(key, next, sizeof(key));
    spin_unlock_irqrestore(&random_lock, flags);
    memset(out, 0, sizeof(out));
}

bool random_mix(const void *bytes, size_t size) {
    const uint8_t *from = bytes;
    uint32_t out[16];
    uint64_t flags = spin_lock_irqsave(&random_lock);
    bool mixes = !seeded;
    if (!keyed)
        key_from_hardware();
    for (size_t n = 0; mixes && n < size;) {
        size_t part = MIN(size - n, sizeof(key));
        block(out, 0);
        for (size_t i = 0; i < part; i++)
            ((uint8_t *)out)[i] ^= from[n + i];
        memcpy(key, out, sizeof(key));
        n += part;
    }
    spin_unlock_irqrestore(&random_lock, flags);
    memset(out, 0, sizeof(out));
    return mixes;
}

uint64_t random_u64(void) {
    uint64_t v;
    random_bytes(&v, sizeof(v));
    return v;
}
