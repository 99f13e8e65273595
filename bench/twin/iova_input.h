/* The recorded input of allocator kernels (bench/inputs/iova-input.ts) and the work that all of them do with it. */
#ifndef IOVA_INPUT_H
#define IOVA_INPUT_H
#include "twin.h"

enum { LIVE, REQUESTS, VERIFIED, END_PAGE, IOVA_HEADER_WORDS = 16, BATCH = 16 };

static int32_t *input, *requests, live, request, slice_batches;
/* By number: where each mapping is now. */
static double *where;
static double iova_spent_ns;
static double (*allocate_pages)(double size);
static int (*free_page)(double page);

static int32_t recorded_start(int32_t slot)
{
	return input[IOVA_HEADER_WORDS + 2 * slot];
}

static int32_t recorded_pages(int32_t slot)
{
	return input[IOVA_HEADER_WORDS + 2 * slot + 1];
}

static void load_iova_input(const char *name)
{
	input = read_input(name);
	live = input[LIVE];
	requests = input + IOVA_HEADER_WORDS + 2 * (size_t)live;
	where = zeroed(live * sizeof *where);
	for (int32_t slot = 0; slot < live; slot++)
		where[slot] = recorded_start(slot);
}

static void put_mapping(FILE *output, double start, double size)
{
	int32_t words[2] = { (int32_t)start, (int32_t)size };
	put(output, words, sizeof words);
}

/* Frees the mappings that a batch of requests names, then allocates in their place, which alone is timed. */
static void run_batch(void)
{
	int32_t first = request;
	for (int32_t i = first; i < first + BATCH; i++) {
		int32_t slot = requests[2 * i];
		if (where[slot] < 0)
			continue;
		check(free_page(where[slot]), "what is freed was there");
		where[slot] = -1;
	}
	double start = now_ns();
	for (int32_t i = first; i < first + BATCH; i++) {
		int32_t slot = requests[2 * i];
		if (where[slot] >= 0)
			continue;
		where[slot] = allocate_pages(requests[2 * i + 1]);
	}
	iova_spent_ns += now_ns() - start;
	request = (first + BATCH) % input[REQUESTS];
}

static double iova_slice(void)
{
	iova_spent_ns = 0;
	for (int32_t batch = 0; batch < slice_batches; batch++)
		run_batch();
	return iova_spent_ns / ((double)slice_batches * BATCH);
}

static double iova_window(double ns)
{
	return median_of_slices(ns, iova_slice);
}

static void run_iova(const char *name, double (*allocate)(double), int (*free_at)(double), void (*put_map)(FILE *),
		     int32_t batches)
{
	allocate_pages = allocate;
	free_page = free_at;
	slice_batches = live / BATCH < batches ? live / BATCH : batches;
	for (int32_t done = 0; done < input[VERIFIED]; done += BATCH)
		run_batch();
	FILE *output = open_output(name);
	put_map(output);
	fclose(output);
	serve_windows(iova_window);
}
#endif
