/* A split virtqueue as both sides see it. */
#ifndef VRING_H
#define VRING_H
#include "twin.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

/* The word behind the length: flags, and the next descriptor above them. */
struct desc {
	uint32_t low, high, length, word;
};

struct used_elem {
	uint32_t id, length;
};

struct ring {
	int32_t num;
	struct desc *desc;
	uint16_t *avail, *used;
};

static inline struct ring ring_at(uint8_t *memory, int32_t num, int32_t avail, int32_t used)
{
	return (struct ring){ num, (struct desc *)memory, (uint16_t *)(memory + avail), (uint16_t *)(memory + used) };
}

static inline struct used_elem *used_ring(const struct ring *ring)
{
	return (struct used_elem *)(ring->used + 2);
}

static inline uint16_t *used_event(const struct ring *ring)
{
	return &ring->avail[2 + ring->num];
}

static inline uint16_t *avail_event(const struct ring *ring)
{
	return (uint16_t *)(used_ring(ring) + ring->num);
}

static inline uint16_t observe(uint16_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline int need_event(uint16_t event, uint16_t new_idx, uint16_t old_idx)
{
	return (uint16_t)(new_idx - event - 1) < (uint16_t)(new_idx - old_idx);
}
#endif
