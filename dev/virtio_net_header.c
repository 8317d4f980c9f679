/* SPDX-License-Identifier: MIT */
/* Virtio network headers: reading those of received frames, writing those of frames to send. */
#include "dev/virtio_net_header.h"
#include <asm-generic/errno.h>

#define FLAG_NEEDS_CHECKSUM 1
#define FLAG_CHECKSUM_VALID 2

#define SEGMENTS_NONE 0
#define SEGMENTS_TCP4 1
#define SEGMENTS_TCP6 4

unsigned virtio_net_header_buffers(const struct virtio_net_header *h, uint64_t features) {
    if (!(features & VIRTIO_NET_F_MRG_RXBUF))
        return 1;
    return h->buffers <= VIRTIO_NET_MAX_BUFFERS ? h->buffers : 0;
}

static int parse_checksum(const struct virtio_net_header *h, uint64_t features, size_t frame_bytes,
                          struct netdev_offload *out) {
    /* Other flags belong to features that we do not know: not ours to look at. */
    if (!(h->flags & (FLAG_NEEDS_CHECKSUM | FLAG_CHECKSUM_VALID)))
        return 0;
    if (!(features & VIRTIO_NET_F_GUEST_CSUM))
        return -EPROTO;
    out->checksum_valid = h->flags & FLAG_CHECKSUM_VALID;
    if (!(h->flags & FLAG_NEEDS_CHECKSUM))
        return 0;
    if (h->checksum_start < VIRTIO_NET_ETHERNET_BYTES ||
        (size_t)h->checksum_start + h->checksum_offset + sizeof(uint16_t) > frame_bytes)
        return -EPROTO;
    out->needs_checksum = true;
    out->checksum_start = h->checksum_start;
    out->checksum_offset = h->checksum_offset;
    return 0;
}

static int parse_segments(const struct virtio_net_header *h, uint64_t features,
                          struct netdev_offload *out) {
    uint64_t needed;

    switch (h->segment_kind) {
    case SEGMENTS_NONE:
        return 0; /* and the size means nothing */
    case SEGMENTS_TCP4:
        needed = VIRTIO_NET_F_GUEST_TSO4;
        break;
    case SEGMENTS_TCP6:
        needed = VIRTIO_NET_F_GUEST_TSO6;
        break;
    default:
        return -EPROTO;
    }
    if (!(features & needed) || h->segment_bytes == 0)
        return -EPROTO;
    out->segment_bytes = h->segment_bytes;
    out->is_ipv6 = h->segment_kind == SEGMENTS_TCP6;
    return 0;
}

int virtio_net_header_parse(const struct virtio_net_header *h, uint64_t features,
                            size_t frame_bytes, struct netdev_offload *out) {
    int err;

    *out = (struct netdev_offload){ 0 };
    if (frame_bytes < VIRTIO_NET_ETHERNET_BYTES || frame_bytes > VIRTIO_NET_MAX_FRAME)
        return -EPROTO;
    err = parse_checksum(h, features, frame_bytes, out);
    return err ? err : parse_segments(h, features, out);
}

void virtio_net_header_build(struct virtio_net_header *h, const struct netdev_offload *offload) {
    *h = (struct virtio_net_header){ 0 };
    if (offload->needs_checksum) {
        h->flags = FLAG_NEEDS_CHECKSUM;
        h->checksum_start = offload->checksum_start;
        h->checksum_offset = offload->checksum_offset;
    }
    if (offload->segment_bytes) {
        h->segment_kind = offload->is_ipv6 ? SEGMENTS_TCP6 : SEGMENTS_TCP4;
        h->segment_bytes = offload->segment_bytes;
        h->header_bytes = offload->header_bytes;
    }
}
