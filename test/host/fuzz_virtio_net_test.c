/* SPDX-License-Identifier: MIT */
/* tests: dev/virtio_net.c dev/virtio_net_rx.c dev/virtio_net_tx.c dev/virtio_net_header.c */
/* tests: dev/virtio.c dev/virtq.c base/string.c kernel/random.c kernel/lock.c */
/* tests: test/host/net_device.c */
/* tests: test/host/shim/shim.c test/host/shim/memory.c */
/* The network card's fuzzer over its kept corpus. */
#include "test/fuzz/virtio_net_fuzz.c"
#define CORPUS "test/fuzz/corpus/virtio_net"
#include "test/host/fuzz_corpus.h"
