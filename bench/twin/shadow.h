/* The relay of src/relay/shadow-virtqueue.ts: the same checks, the same lookup, the same private books. */
#ifndef SHADOW_H
#define SHADOW_H
#include "gpa_map.h"
#include "vring.h"

enum { READS = 1, WRITES = 2 };
enum { FAULT_HEAD = 1, FAULT_OUTSTANDING, FAULT_NEXT, FAULT_LONG, FAULT_ORDER, FAULT_PIECES, FAULT_BYTES, FAULT_EMPTY };

/* Columns of the relay's part of an input (bench/inputs/relay-input.ts). */
enum { QUEUE_SIZE, CHAIN, MAPPINGS, BATCH, LOG, QUEUES, TABLES, AVAIL, USED, STRIDE, LOG_BYTES, IOVA_HIGH, CHAINS };
enum { HEADER_WORDS = 16 };

/* One shadow descriptor in the private books. */
struct row {
	int32_t next, count, head;
	uint32_t writable;
	int32_t avail_idx, page;
	uint32_t offset, length;
};

struct queue {
	struct ring guest, shadow;
	uint16_t last_avail_idx, shadow_avail_idx, last_used_idx, guest_used_idx;
	int32_t free_head, free_count, used_gpa;
	struct row *rows;
	uint8_t *outstanding;
};

/* What all queues of a relay have in common; whole pairs of cache lines, since other threads have statics too. */
static struct __attribute__((aligned(128))) {
	struct gpa_map map;
	uint32_t iova_high;
	uint32_t *dirty_log;
	/* Whether anybody logs. */
	int32_t log_on;
	uint64_t chains, descs, batches, marks, signals;
} relay;

static void make_relay(const int32_t *input)
{
	map_load(&relay.map, input + HEADER_WORDS, input[MAPPINGS]);
	relay.iova_high = input[IOVA_HIGH];
	relay.dirty_log = zeroed(input[LOG_BYTES]);
	relay.log_on = input[LOG];
}

static void make_shadow(struct queue *q, struct ring guest, struct ring shadow, int32_t used_gpa)
{
	*q = (struct queue){ .guest = guest, .shadow = shadow, .used_gpa = used_gpa, .free_count = shadow.num };
	q->rows = zeroed(shadow.num * sizeof(struct row));
	q->outstanding = zeroed(guest.num);
	for (int32_t i = 0; i < shadow.num; i++)
		q->rows[i].next = i + 1;
}

static inline void publish(uint16_t *at, uint16_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static inline void fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Whether the device runs on the relay's own thread: what that does needs no order among its own accesses. */
#ifndef SHADOW_IS_LOCAL
#define SHADOW_IS_LOCAL 0
#endif

static void set_bits(int32_t word, uint32_t bits)
{
	__atomic_fetch_or(&relay.dirty_log[word], bits, __ATOMIC_SEQ_CST);
	relay.marks++;
}

static void mark_range(uint32_t address, uint32_t bytes)
{
	if (bytes == 0)
		return;
	uint32_t first = address >> 12, last = (address + bytes - 1) >> 12;
	for (uint32_t word = first >> 5; word <= last >> 5; word++) {
		uint32_t from = word == first >> 5 ? first & 31 : 0;
		uint32_t to = word == last >> 5 ? last & 31 : 31;
		set_bits(word, (~0u << from) & (~0u >> (31 - to)));
	}
}

static void mark_used_entries(struct queue *q, uint16_t old_idx, uint16_t new_idx)
{
	if (!relay.log_on)
		return;
	int32_t last_byte = q->used_gpa + 6 + q->guest.num * 8 - 1;
	if (q->used_gpa >> 12 == last_byte >> 12) {
		mark_range(q->used_gpa, 1);
		return;
	}
	uint32_t count = (uint16_t)(new_idx - old_idx);
	uint32_t slot = old_idx & (q->guest.num - 1);
	uint32_t straight = count < q->guest.num - slot ? count : q->guest.num - slot;
	mark_range(q->used_gpa, 4);
	mark_range(q->used_gpa + 4 + slot * 8, straight * 8);
	mark_range(q->used_gpa + 4, (count - straight) * 8);
}

/* Takes a whole chain over; gives its fault and, when there is none, moves the free list on. */
static inline int forward_chain(struct queue *q, int32_t head, const struct map_row **last_mapping)
{
	struct desc *guest = q->guest.desc, *shadow = q->shadow.desc;
	struct row *rows = q->rows;
	int32_t num = q->guest.num;
	int32_t index = head, elements = 0, cursor = q->free_head, count = 0;
	uint32_t flags_seen = 0;
	uint64_t bytes = 0, writable = 0;
	const struct map_row *mapping = *last_mapping;
	for (;;) {
		if (index >= num)
			return FAULT_NEXT;
		struct desc d = *(volatile struct desc *)&guest[index];
		if (d.word & DESC_INDIRECT)
			return FAULT_PIECES;
		if (elements == num)
			return FAULT_LONG;
		if ((flags_seen & DESC_WRITE) && !(d.word & DESC_WRITE))
			return FAULT_ORDER;
		elements++;
		flags_seen |= d.word & DESC_WRITE;
		int32_t page = (d.high & ~0x7ffu) == 0 ? (int32_t)(d.high << 20 | d.low >> 12) : -1;
		uint32_t within = d.low & 0xfff;
		if (!row_covers(mapping, page))
			mapping = map_row_of(&relay.map, page);
		int32_t need = d.word & DESC_WRITE ? WRITES : READS;
		int32_t last = page + (int32_t)((within + d.length - 1) >> 12);
		if (!(mapping->perm & need) || last > mapping->last || (int32_t)d.length <= 0 || count >= q->free_count)
			return FAULT_PIECES;
		uint32_t frame = page + mapping->delta;
		struct desc *to = &shadow[cursor];
		struct row *book = &rows[cursor];
		cursor = book->next;
		to->low = frame << 12 | within;
		to->high = relay.iova_high + (frame >> 20);
		to->length = d.length;
		to->word = (d.word & (DESC_NEXT | DESC_WRITE)) | (uint32_t)cursor << 16;
		book->page = page;
		book->offset = within;
		book->length = d.word & DESC_WRITE ? d.length : 0;
		count++;
		bytes += d.length;
		if (d.word & DESC_WRITE)
			writable += d.length;
		if (!(d.word & DESC_NEXT))
			break;
		index = d.word >> 16;
	}
	if (count == 0)
		return FAULT_EMPTY;
	if (bytes > 1ull << 32)
		return FAULT_BYTES;
	*last_mapping = mapping;
	struct row *first = &rows[q->free_head];
	first->count = count;
	first->head = head;
	first->writable = writable < 1ull << 32 ? writable : UINT32_MAX;
	first->avail_idx = q->last_avail_idx;
	q->outstanding[head] = FAULT_OUTSTANDING;
	q->shadow.avail[2 + (q->shadow_avail_idx & (q->shadow.num - 1))] = q->free_head;
	q->free_head = cursor;
	q->free_count -= count;
	return 0;
}

static void forward_avail(struct queue *q)
{
	uint16_t waiting = observe(&q->guest.avail[1]) - q->last_avail_idx;
	check(waiting <= q->guest.num, "avail idx");
	if (waiting == 0)
		return;
	uint16_t old_idx = q->shadow_avail_idx;
	int32_t free_before = q->free_count;
	const struct map_row *mapping = relay.map.rows + relay.map.size;
	for (uint16_t taken = 0; taken < waiting; taken++) {
		int32_t head = q->guest.avail[2 + (q->last_avail_idx & (q->guest.num - 1))];
		int fault = head >= q->guest.num ? FAULT_HEAD : q->outstanding[head];
		if (!fault)
			fault = forward_chain(q, head, &mapping);
		check(!fault, "no chain is at fault");
		q->shadow_avail_idx++;
		q->last_avail_idx++;
	}
	relay.descs += free_before - q->free_count;
	relay.chains += (uint16_t)(q->shadow_avail_idx - old_idx);
	relay.batches++;
	publish(&q->shadow.avail[1], q->shadow_avail_idx);
	if (!SHADOW_IS_LOCAL)
		fence();
	uint16_t event = observe(avail_event(&q->shadow));
	if (need_event(event, q->shadow_avail_idx, old_idx))
		relay.signals++;
}

struct merged {
	int32_t word;
	uint32_t bits;
};

/* The buffers were written before their used index was published: what is set by now needs no second mark. */
static inline void flush_merged(const struct merged *merged)
{
	if (merged->bits & ~__atomic_load_n(&relay.dirty_log[merged->word], __ATOMIC_RELAXED))
		set_bits(merged->word, merged->bits);
}

static inline void merge_pages(struct merged *merged, int32_t page, int32_t last)
{
	for (int32_t p = page; p <= last; p++) {
		if (p >> 5 != merged->word) {
			flush_merged(merged);
			merged->word = p >> 5;
			merged->bits = 0;
		}
		merged->bits |= 1u << (p & 31);
	}
}

static void forward_used(struct queue *q)
{
	uint16_t in_flight = q->shadow_avail_idx - q->last_used_idx;
	uint16_t waiting = observe(&q->shadow.used[1]) - q->last_used_idx;
	check(waiting <= in_flight, "used idx");
	if (waiting == 0)
		return;
	struct merged merged = { 0, 0 };
	uint16_t old_idx = q->guest_used_idx;
	int32_t log_on = relay.log_on;
	for (uint16_t taken = 0; taken < waiting; taken++) {
		struct used_elem e = *(volatile struct used_elem *)&used_ring(&q->shadow)[q->last_used_idx & (q->shadow.num - 1)];
		int32_t count = e.id < (uint32_t)q->shadow.num ? q->rows[e.id].count : 0;
		check(count != 0, "used id");
		struct row *first = &q->rows[e.id], *row = first;
		if (e.length > first->writable)
			e.length = first->writable;
		for (int32_t left = count;;) {
			if (log_on && row->length)
				merge_pages(&merged, row->page, row->page + (int32_t)((row->offset + row->length - 1) >> 12));
			if (--left == 0)
				break;
			row = &q->rows[row->next];
		}
		row->next = q->free_head;
		first->count = 0;
		q->outstanding[first->head] = 0;
		q->free_head = e.id;
		q->free_count += count;
		struct used_elem *to = &used_ring(&q->guest)[q->guest_used_idx & (q->guest.num - 1)];
		to->id = first->head;
		to->length = e.length;
		q->last_used_idx++;
		q->guest_used_idx++;
	}
	flush_merged(&merged);
	relay.batches++;
	publish(&q->guest.used[1], q->guest_used_idx);
	fence();
	mark_used_entries(q, old_idx, q->guest_used_idx);
	if (need_event(observe(used_event(&q->guest)), q->guest_used_idx, old_idx))
		relay.signals++;
}
#endif
