/* DirtyLog.take of src/dirty/dirty-log.ts: look, exchange with zero, add to a bitmap, count pages. */
#include "twin.h"

enum { HEADER_WORDS = 16, BLOCK_WORDS = 16 };

static int32_t *marks;
static uint32_t *dirty_log, *bitmap;
static size_t words;
static uint32_t dirty_pages;

static inline uint32_t take_word(size_t word)
{
	uint32_t bits = __atomic_exchange_n(&dirty_log[word], 0, __ATOMIC_SEQ_CST);
	bitmap[word] |= bits;
	return __builtin_popcount(bits);
}

typedef uint64_t line_part __attribute__((vector_size(32), may_alias));

/* A cache line is looked at together, in two vectors. */
static inline int line_is_clear(const uint32_t *line)
{
	const line_part *parts = (const line_part *)line;
	line_part any = parts[0] | parts[1];
	return (any[0] | any[1] | any[2] | any[3]) == 0;
}

__attribute__((noinline)) static uint32_t take(void)
{
	uint32_t pages = 0;
	for (size_t block = 0; block < words; block += BLOCK_WORDS) {
		if (line_is_clear(dirty_log + block))
			continue;
		for (size_t i = 0; i < BLOCK_WORDS; i++)
			if (dirty_log[block + i])
				pages += take_word(block + i);
	}
	return pages;
}

static double slice(void)
{
	if (dirty_pages)
		memcpy(dirty_log, marks, words * 4);
	double start = now_ns();
	uint32_t pages = take();
	double spent_ns = now_ns() - start;
	check(pages == dirty_pages, "every page was taken once");
	return spent_ns;
}

static double window(double ns)
{
	return median_of_slices(ns, slice);
}

int main(int argc, char **argv)
{
	check(argc == 3, "usage: bitmap INPUT OUTPUT");
	int32_t *input = read_input(argv[1]);
	words = input[0] / 4;
	marks = input + HEADER_WORDS;
	dirty_log = zeroed(words * 4);
	bitmap = zeroed(words * 4);
	for (size_t word = 0; word < words; word++)
		dirty_pages += __builtin_popcount(marks[word]);
	memcpy(dirty_log, marks, words * 4);
	uint32_t pages = take();
	FILE *output = open_output(argv[2]);
	put(output, bitmap, words * 4);
	put(output, dirty_log, words * 4);
	put(output, &pages, 4);
	fclose(output);
	serve_windows(window);
	return 0;
}
