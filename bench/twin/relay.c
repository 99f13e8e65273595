/* The relay alone: a driver and a device that cost nothing, and the time between them. */
#include "shadow.h"

enum { SLICE_CHAINS = 16384, USED_BYTES = 1 };

static int32_t *input;
static struct queue *queues;
static uint8_t *guest_rings, *shadow_rings;
static uint32_t chains_done;
static int32_t table_now;
static double spent_ns;

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
		publish(avail_event(&queues[q].shadow), chains_done);
		publish(used_event(&queues[q].guest), chains_done);
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
	check((uint32_t)relay.chains == total, "every chain was counted once");
	check((uint32_t)relay.descs == total * input[CHAIN], "every descriptor was counted once");
	for (int32_t q = 0; q < input[QUEUES]; q++)
		check(queues[q].guest.used[1] == (uint16_t)chains_done && queues[q].free_count == input[QUEUE_SIZE], "all came back");
	return value;
}

static struct ring ring_of(uint8_t *memory, int32_t queue)
{
	return ring_at(memory + (size_t)queue * input[STRIDE], input[QUEUE_SIZE], input[AVAIL], input[USED]);
}

static void make_queue(struct queue *q, int32_t number)
{
	make_shadow(q, ring_of(guest_rings, number), ring_of(shadow_rings, number), number * input[STRIDE] + input[USED]);
	for (int32_t i = 0; i < input[QUEUE_SIZE]; i++)
		q->guest.avail[2 + i] = i % input[CHAINS] * input[CHAIN];
}

int main(int argc, char **argv)
{
	check(argc == 3, "usage: relay INPUT OUTPUT");
	input = read_input(argv[1]);
	guest_rings = zeroed((size_t)input[QUEUES] * input[STRIDE]);
	shadow_rings = zeroed((size_t)input[QUEUES] * input[STRIDE]);
	queues = zeroed(input[QUEUES] * sizeof(struct queue));
	make_relay(input);
	for (int32_t q = 0; q < input[QUEUES]; q++)
		make_queue(&queues[q], q);
	FILE *output = open_output(argv[2]);
	for (int32_t round = 0; round < input[TABLES]; round++)
		run_round(output);
	put(output, relay.dirty_log, input[LOG_BYTES]);
	fclose(output);
	serve_windows(window);
	return 0;
}
