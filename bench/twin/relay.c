/* The relay of src/relay/shadow-virtqueue.ts: the same checks, the same lookup, the same private books. */
#include "gpa_map.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { READS = 1, WRITES = 2 };
enum { FAULT_HEAD = 1, FAULT_OUTSTANDING, FAULT_NEXT, FAULT_LONG, FAULT_ORDER, FAULT_PIECES, FAULT_BYTES, FAULT_EMPTY };
enum { SLICE_CHAINS = 16384, USED_BYTES = 1 };

/* Header of the input (bench/inputs/relay-input.ts). */
enum { QUEUE_SIZE, CHAIN, MAPPINGS, BATCH, LOG, QUEUES, TABLES, AVAIL, USED, STRIDE, LOG_BYTES, IOVA_HIGH, CHAINS };
enum { HEADER_WORDS = 16 };

struct desc {
	uint32_t low, high, length, word;
};

struct used_elem {
	uint32_t id, length;
};

/* One shadow descriptor in the private books. */
struct row {
	int32_t next, count, head;
	uint32_t writable;
	int32_t avail_idx, page;
	uint32_t offset, length;
};

struct ring {
	int32_t num;
	struct desc *desc;
	uint16_t *avail, *used;
};

struct queue {
	struct ring guest, shadow;
	uint16_t last_avail_idx, shadow_avail_idx, last_used_idx, guest_used_idx;
	int32_t free_head, free_count, used_gpa;
	struct row *rows;
	uint8_t *outstanding;
};

static int32_t *input;
static struct gpa_map map;
static struct queue *queues;
static uint8_t *guest_rings, *shadow_rings;
static uint32_t *dirty_log;
static uint64_t chains_counted, descs_counted, batches, marks, signals;
static uint32_t chains_done;
static int32_t table_now;
static double spent_ns;

static uint16_t observe(uint16_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void publish(uint16_t *at, uint16_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static struct used_elem *used_ring(const struct ring *ring)
{
	return (struct used_elem *)(ring->used + 2);
}

static int need_event(uint16_t event, uint16_t new_idx, uint16_t old_idx)
{
	return (uint16_t)(new_idx - event - 1) < (uint16_t)(new_idx - old_idx);
}

static void set_bits(int32_t word, uint32_t bits)
{
	__atomic_fetch_or(&dirty_log[word], bits, __ATOMIC_SEQ_CST);
	marks++;
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
	if (!input[LOG])
		return;
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
			mapping = map_row_of(&map, page);
		int32_t need = d.word & DESC_WRITE ? WRITES : READS;
		int32_t last = page + (int32_t)((within + d.length - 1) >> 12);
		if (!(mapping->perm & need) || last > mapping->last || (int32_t)d.length <= 0 || count >= q->free_count)
			return FAULT_PIECES;
		uint32_t frame = page + mapping->delta;
		struct desc *to = &shadow[cursor];
		struct row *book = &rows[cursor];
		cursor = book->next;
		to->low = frame << 12 | within;
		to->high = input[IOVA_HIGH] + (frame >> 20);
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
	uint16_t old_idx = q->shadow_avail_idx;
	int32_t free_before = q->free_count;
	const struct map_row *mapping = map.rows + map.size;
	for (uint16_t taken = 0; taken < waiting; taken++) {
		int32_t head = q->guest.avail[2 + (q->last_avail_idx & (q->guest.num - 1))];
		int fault = head >= q->guest.num ? FAULT_HEAD : q->outstanding[head];
		if (!fault)
			fault = forward_chain(q, head, &mapping);
		check(!fault, "no chain is at fault");
		q->shadow_avail_idx++;
		q->last_avail_idx++;
	}
	descs_counted += free_before - q->free_count;
	chains_counted += (uint16_t)(q->shadow_avail_idx - old_idx);
	batches++;
	publish(&q->shadow.avail[1], q->shadow_avail_idx);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	uint16_t event = observe((uint16_t *)(used_ring(&q->shadow) + q->shadow.num));
	if (need_event(event, q->shadow_avail_idx, old_idx))
		signals++;
}

struct merged {
	int32_t word;
	uint32_t bits;
};

/* The buffers were written before their used index was published: what is set by now needs no second mark. */
static inline void flush_merged(const struct merged *merged)
{
	if (merged->bits & ~__atomic_load_n(&dirty_log[merged->word], __ATOMIC_RELAXED))
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
	struct merged merged = { 0, 0 };
	uint16_t old_idx = q->guest_used_idx;
	int32_t log_on = input[LOG];
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
	batches++;
	publish(&q->guest.used[1], q->guest_used_idx);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	mark_used_entries(q, old_idx, q->guest_used_idx);
	if (need_event(observe(&q->guest.avail[2 + q->guest.num]), q->guest_used_idx, old_idx))
		signals++;
}

/* The device: returns every chain at once, in order. */
static void use_all(struct ring *shadow, uint32_t batch)
{
	for (uint32_t idx = chains_done - batch; idx != chains_done; idx++) {
		uint32_t slot = idx & (shadow->num - 1);
		used_ring(shadow)[slot].id = shadow->avail[2 + slot];
		used_ring(shadow)[slot].length = USED_BYTES;
	}
	publish(&shadow->used[1], chains_done);
}

static void load_tables(void)
{
	size_t words = input[QUEUE_SIZE] * 4;
	const int32_t *tables = input + HEADER_WORDS + 4 * (size_t)input[MAPPINGS];
	for (int32_t q = 0; q < input[QUEUES]; q++)
		memcpy(queues[q].guest.desc, tables + words * ((table_now + q * 7) % input[TABLES]), words * 4);
	table_now = (table_now + 1) % input[TABLES];
}

/* Lets both peers ask to be told of the next entry. */
static void ask_for_signals(void)
{
	for (int32_t q = 0; q < input[QUEUES]; q++) {
		publish((uint16_t *)(used_ring(&queues[q].shadow) + input[QUEUE_SIZE]), chains_done);
		publish(&queues[q].guest.avail[2 + input[QUEUE_SIZE]], chains_done);
	}
}

static void run_round(FILE *output)
{
	size_t ring_bytes = (size_t)input[QUEUES] * input[STRIDE];
	load_tables();
	for (int32_t done = 0; done < input[CHAINS]; done += input[BATCH]) {
		if (output)
			ask_for_signals();
		chains_done += input[BATCH];
		for (int32_t q = 0; q < input[QUEUES]; q++)
			publish(&queues[q].guest.avail[1], chains_done);
		double start = now_ns();
		for (int32_t q = 0; q < input[QUEUES]; q++)
			forward_avail(&queues[q]);
		double middle = now_ns();
		for (int32_t q = 0; q < input[QUEUES]; q++)
			use_all(&queues[q].shadow, input[BATCH]);
		double restart = now_ns();
		for (int32_t q = 0; q < input[QUEUES]; q++)
			forward_used(&queues[q]);
		spent_ns += now_ns() - restart + middle - start;
		if (output) {
			put(output, shadow_rings, ring_bytes);
			put(output, guest_rings, ring_bytes);
		}
	}
}

static double slice(void)
{
	int32_t chains = input[CHAINS] * input[QUEUES];
	int32_t rounds = (SLICE_CHAINS + chains / 2) / chains;
	if (rounds < 1)
		rounds = 1;
	spent_ns = 0;
	for (int32_t round = 0; round < rounds; round++)
		run_round(NULL);
	return spent_ns / ((double)rounds * chains);
}

static double window(double ns)
{
	double value = median_of_slices(ns, slice);
	uint32_t total = chains_done * input[QUEUES];
	check((uint32_t)chains_counted == total, "every chain was counted once");
	check((uint32_t)descs_counted == total * input[CHAIN], "every descriptor was counted once");
	for (int32_t q = 0; q < input[QUEUES]; q++)
		check(queues[q].guest.used[1] == (uint16_t)chains_done && queues[q].free_count == input[QUEUE_SIZE], "all came back");
	return value;
}

static struct ring ring_at(uint8_t *memory, int32_t queue)
{
	uint8_t *start = memory + (size_t)queue * input[STRIDE];
	return (struct ring){
		.num = input[QUEUE_SIZE],
		.desc = (struct desc *)start,
		.avail = (uint16_t *)(start + input[AVAIL]),
		.used = (uint16_t *)(start + input[USED]),
	};
}

static void make_queue(struct queue *q, int32_t number)
{
	int32_t num = input[QUEUE_SIZE];
	q->guest = ring_at(guest_rings, number);
	q->shadow = ring_at(shadow_rings, number);
	q->used_gpa = number * input[STRIDE] + input[USED];
	q->rows = zeroed(num * sizeof(struct row));
	q->outstanding = zeroed(num);
	q->free_count = num;
	for (int32_t i = 0; i < num; i++) {
		q->rows[i].next = i + 1;
		q->guest.avail[2 + i] = i % input[CHAINS] * input[CHAIN];
	}
}

int main(int argc, char **argv)
{
	check(argc == 3, "usage: relay INPUT OUTPUT");
	input = read_input(argv[1]);
	guest_rings = zeroed((size_t)input[QUEUES] * input[STRIDE]);
	shadow_rings = zeroed((size_t)input[QUEUES] * input[STRIDE]);
	dirty_log = zeroed(input[LOG_BYTES]);
	queues = zeroed(input[QUEUES] * sizeof(struct queue));
	map_load(&map, input + HEADER_WORDS, input[MAPPINGS]);
	for (int32_t q = 0; q < input[QUEUES]; q++)
		make_queue(&queues[q], q);
	FILE *output = open_output(argv[2]);
	for (int32_t round = 0; round < input[TABLES]; round++)
		run_round(output);
	put(output, dirty_log, input[LOG_BYTES]);
	fclose(output);
	serve_windows(window);
	return 0;
}
