/* SPDX-License-Identifier: MIT */
/* Entropy from the host, where the machine has a virtio entropy device. */
#ifndef DEV_VIRTIO_RNG_H
#define DEV_VIRTIO_RNG_H

/*
 * Mixes bytes of the host's into kernel/random.h, now and once a minute; does
 * nothing without a device, or when all randomness shall repeat.  Boot, thread
 * context, after virtio_init().
 */
void virtio_rng_init(void);

#endif
