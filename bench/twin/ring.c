/* Driver and device of src/ring on two pinned threads that poll, with sequentially consistent stores of indices. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
/* The relay, where there is one, and the device it drives share a thread. */
#define SHADOW_IS_LOCAL 1
#include "shadow.h"

enum { SLICE_ALONE = 200, SLICE_DEEP = 8192, USED_BYTES = 1 };

/* Header of the input (bench/inputs/ring-input.ts); the relay's stands behind it. */
enum { RELAYED, OUTSTANDING, OFFERED_BATCH, NUM, ROUNDS, RING_HEADER_WORDS = 16 };

/* What one thread writes shares no cache line with what another one uses: so these types are whole pairs of lines. */
#define OWN_LINES __attribute__((aligned(128)))

struct OWN_LINES driver {
	struct ring ring;
	uint32_t signals;
	uint16_t avail_idx, published_avail_idx, last_used_idx, used_idx;
	int32_t free_head, free_count, outstanding, next;
	int32_t *next_free, *count;
	struct used_elem taken;
};

struct OWN_LINES device {
	struct ring ring;
	/* The relay's queue, where there is one. */
	struct queue queue;
	uint32_t signals;
	/* Whether its driver is the relay on its own thread. */
	int32_t relayed;
	uint16_t last_avail_idx, avail_idx, used_idx, published_used_idx;
	int32_t *outstanding;
	/* The chain taken last. */
	int32_t head, count, readable_count;
	uint64_t *addresses, writable_bytes, readable_bytes;
	uint32_t *lengths;
};

static struct driver driver;
static struct device device;
static int32_t *input, *buffers;
static uint32_t stop, window_number;
static double window_ns, result;

static void publish_seq_cst(uint16_t *at, uint16_t value)
{
	__atomic_store_n(at, value, __ATOMIC_SEQ_CST);
}

static void add_chain(struct driver *d, const int32_t *buffer)
{
	int32_t head = d->free_head;
	check(d->free_count > 0, "a free descriptor");
	struct desc *to = &d->ring.desc[head];
	to->low = buffer[0];
	to->high = buffer[1];
	to->length = buffer[2];
	to->word = DESC_WRITE;
	d->ring.avail[2 + (d->avail_idx & (d->ring.num - 1))] = head;
	d->count[head] = 1;
	d->free_head = d->next_free[head];
	d->free_count--;
	d->outstanding++;
	d->avail_idx++;
}

static void publish_avail(struct driver *d)
{
	uint16_t old_idx = d->published_avail_idx;
	if (old_idx == d->avail_idx)
		return;
	publish_seq_cst(&d->ring.avail[1], d->avail_idx);
	d->published_avail_idx = d->avail_idx;
	d->signals += need_event(observe(avail_event(&d->ring)), d->avail_idx, old_idx);
}

static int observe_used_idx(struct driver *d)
{
	uint16_t used_idx = observe(&d->ring.used[1]);
	uint16_t waiting = used_idx - d->last_used_idx;
	check(waiting <= d->ring.num, "used idx");
	d->used_idx = used_idx;
	return waiting != 0;
}

static int take_used(struct driver *d)
{
	if (d->last_used_idx == d->used_idx && !observe_used_idx(d))
		return 0;
	d->taken = used_ring(&d->ring)[d->last_used_idx & (d->ring.num - 1)];
	d->last_used_idx++;
	uint32_t head = d->taken.id;
	check(head < (uint32_t)d->ring.num && d->count[head] != 0, "used id");
	int32_t count = d->count[head], tail = head;
	d->count[head] = 0;
	for (int32_t i = 1; i < count; i++)
		tail = d->next_free[tail];
	d->next_free[tail] = d->free_head;
	d->free_head = head;
	d->free_count += count;
	d->outstanding--;
	return 1;
}

static void load_chain(struct device *d, int32_t head)
{
	uint32_t flags_seen = 0;
	int32_t index = head;
	d->head = head;
	d->count = d->readable_count = 0;
	d->writable_bytes = d->readable_bytes = 0;
	for (;;) {
		check(index < d->ring.num, "next");
		struct desc from = *(volatile struct desc *)&d->ring.desc[index];
		check(!(from.word & DESC_INDIRECT), "indirect");
		check(d->count < d->ring.num, "chain length");
		check(!(flags_seen & DESC_WRITE) || (from.word & DESC_WRITE), "order");
		flags_seen |= from.word & DESC_WRITE;
		d->addresses[d->count] = (uint64_t)from.high << 32 | from.low;
		d->lengths[d->count++] = from.length;
		if (from.word & DESC_WRITE) {
			d->writable_bytes += from.length;
		} else {
			d->readable_count++;
			d->readable_bytes += from.length;
		}
		if (!(from.word & DESC_NEXT))
			return;
		index = from.word >> 16;
	}
}

static int observe_avail_idx(struct device *d)
{
	uint16_t avail_idx = observe(&d->ring.avail[1]);
	uint16_t waiting = avail_idx - d->last_avail_idx;
	check(waiting <= d->ring.num, "avail idx");
	d->avail_idx = avail_idx;
	return waiting != 0;
}

static int take_avail(struct device *d)
{
	if (d->last_avail_idx == d->avail_idx && !observe_avail_idx(d))
		return 0;
	int32_t head = d->ring.avail[2 + (d->last_avail_idx & (d->ring.num - 1))];
	check(head < d->ring.num && !d->outstanding[head], "head");
	load_chain(d, head);
	d->outstanding[head] = 1;
	d->last_avail_idx++;
	return 1;
}

static void add_used(struct device *d)
{
	struct used_elem *to = &used_ring(&d->ring)[d->used_idx & (d->ring.num - 1)];
	to->id = d->head;
	to->length = USED_BYTES;
	d->outstanding[d->head] = 0;
	d->used_idx++;
}

static void publish_used(struct device *d)
{
	uint16_t old_idx = d->published_used_idx;
	if (old_idx == d->used_idx)
		return;
	if (d->relayed)
		publish(&d->ring.used[1], d->used_idx);
	else
		publish_seq_cst(&d->ring.used[1], d->used_idx);
	d->published_used_idx = d->used_idx;
	d->signals += need_event(observe(used_event(&d->ring)), d->used_idx, old_idx);
}

static void offer(struct driver *d)
{
	while (d->outstanding + input[OFFERED_BATCH] <= input[OUTSTANDING]) {
		for (int32_t i = 0; i < input[OFFERED_BATCH]; i++) {
			add_chain(d, buffers + 4 * d->next);
			d->next = (d->next + 1) % input[NUM];
		}
		publish_avail(d);
	}
}

static int32_t take_all(struct driver *d)
{
	int32_t taken = 0;
	while (take_used(d))
		taken++;
	return taken;
}

static void device_step(struct device *d)
{
	if (d->relayed) {
		forward_used(&d->queue);
		forward_avail(&d->queue);
	}
	while (take_avail(d)) {
		add_used(d);
		if ((uint16_t)(d->used_idx - d->published_used_idx) == input[OFFERED_BATCH])
			publish_used(d);
	}
	publish_used(d);
}

static double slice(void)
{
	int32_t wanted = input[OUTSTANDING] == 1 ? SLICE_ALONE : SLICE_DEEP;
	int32_t done = 0;
	double start = now_ns();
	while (done < wanted) {
		offer(&driver);
		done += take_all(&driver);
	}
	return (now_ns() - start) / done;
}

static void *driver_thread(void *unused)
{
	(void)unused;
	result = median_of_slices(window_ns, slice);
	while (driver.outstanding > 0)
		take_all(&driver);
	__atomic_store_n(&stop, window_number, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *device_thread(void *unused)
{
	(void)unused;
	while (__atomic_load_n(&stop, __ATOMIC_ACQUIRE) != window_number)
		for (int turn = 0; turn < 16; turn++)
			device_step(&device);
	return NULL;
}

/* Starts a thread on the n-th CPU that this process may use. */
static pthread_t start_thread(void *(*body)(void *), int nth)
{
	cpu_set_t allowed, one;
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	sched_getaffinity(0, sizeof allowed, &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
		break;
	}
	check(pthread_create(&thread, &attributes, body, NULL) == 0, "a thread");
	return thread;
}

static double window(double ns)
{
	window_ns = ns;
	window_number++;
	pthread_t threads[] = { start_thread(device_thread, 1), start_thread(driver_thread, 0) };
	pthread_join(threads[1], NULL);
	pthread_join(threads[0], NULL);
	return result;
}

/* Begins anew, with rings that are all zero; the relay's input stands behind this one's header. */
static void reset(uint8_t *guest_memory, uint8_t *shadow_memory)
{
	const int32_t *relay_input = input + RING_HEADER_WORDS;
	int32_t num = input[NUM];
	struct ring guest = ring_at(guest_memory, num, relay_input[AVAIL], relay_input[USED]);
	struct ring shadow = ring_at(shadow_memory, num, relay_input[AVAIL], relay_input[USED]);
	driver = (struct driver){ .ring = guest, .free_count = num };
	driver.next_free = zeroed(num * sizeof(int32_t));
	driver.count = zeroed(num * sizeof(int32_t));
	for (int32_t i = 0; i < num; i++)
		driver.next_free[i] = i + 1;
	make_relay(relay_input);
	device = (struct device){ .ring = input[RELAYED] ? shadow : guest, .relayed = input[RELAYED] };
	make_shadow(&device.queue, guest, shadow, relay_input[USED]);
	device.outstanding = zeroed(num * sizeof(int32_t));
	device.addresses = zeroed(num * sizeof(uint64_t));
	device.lengths = zeroed(num * sizeof(uint32_t));
}

int main(int argc, char **argv)
{
	check(argc == 3, "usage: ring INPUT OUTPUT");
	input = read_input(argv[1]);
	const int32_t *relay_input = input + RING_HEADER_WORDS;
	int32_t bytes = relay_input[STRIDE];
	buffers = input + RING_HEADER_WORDS + HEADER_WORDS + 4 * relay_input[MAPPINGS];
	uint8_t *guest = zeroed(bytes), *shadow = zeroed(bytes);
	reset(guest, shadow);
	for (int32_t round = 0; round < input[ROUNDS]; round++) {
		offer(&driver);
		device_step(&device);
		/* A relay takes back now what the device returned after its first turn. */
		device_step(&device);
		check(take_all(&driver) == input[OUTSTANDING], "every request came back");
	}
	FILE *output = open_output(argv[2]);
	put(output, guest, bytes);
	put(output, shadow, bytes);
	put(output, relay.dirty_log, relay_input[LOG_BYTES]);
	fclose(output);
	reset(zeroed(bytes), zeroed(bytes));
	serve_windows(window);
	return 0;
}
