/* SPDX-License-Identifier: MIT */
/*
 * The header in front of every frame of a virtio network card (virtio 1.x, 5.1.6).
 * Pure: no state, no memory but its arguments.  What the card writes is not trusted.
 */
#ifndef DEV_VIRTIO_NET_HEADER_H
#define DEV_VIRTIO_NET_HEADER_H

#include "dev/netdev.h"

/* Features that decide what a header may say. */
#define VIRTIO_NET_F_CSUM       (1ul << 0) /* it completes checksums of what we send */
#define VIRTIO_NET_F_GUEST_CSUM (1ul << 1) /* and may leave that of what it gives to us */
#define VIRTIO_NET_F_GUEST_TSO4 (1ul << 7) /* it may give us segments in one piece */
#define VIRTIO_NET_F_GUEST_TSO6 (1ul << 8)
#define VIRTIO_NET_F_HOST_TSO4  (1ul << 11) /* it cuts what we send into segments */
#define VIRTIO_NET_F_HOST_TSO6  (1ul << 12)
#define VIRTIO_NET_F_MRG_RXBUF  (1ul << 15) /* a frame may fill several buffers */

#define VIRTIO_NET_ETHERNET_BYTES 14 /* of a frame's first header; no frame is shorter */
#define VIRTIO_NET_MAX_FRAME      (VIRTIO_NET_ETHERNET_BYTES + 4 + 65535u) /* one VLAN tag */
#define VIRTIO_NET_MAX_BUFFERS    64 /* of one received frame; ours need 34 for the longest */

struct virtio_net_header {
    uint8_t flags, segment_kind;
    uint16_t header_bytes, segment_bytes, checksum_start, checksum_offset;
    uint16_t buffers; /* received: that the frame fills */
};
_Static_assert(sizeof(struct virtio_net_header) == NETDEV_HEADER_BYTES, "virtio 1.x, 5.1.6");

/* How many buffers a received frame fills; 0 where the header says nonsense. */
unsigned virtio_net_header_buffers(const struct virtio_net_header *h, uint64_t features);

/*
 * What the header of a received frame says; `frame_bytes` is the frame's length
 * without it.  Returns 0, or -EPROTO where it breaks the rules or asks for what
 * was not agreed upon.
 */
must_check int virtio_net_header_parse(const struct virtio_net_header *h, uint64_t features,
                                       size_t frame_bytes, struct netdev_offload *out);

/* The header of a frame to send. */
void virtio_net_header_build(struct virtio_net_header *h, const struct netdev_offload *offload);

#endif
