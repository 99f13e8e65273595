/*
 * migtest DISK SECONDS BUFFER_MIB: finds pages that a migration left behind.
 *
 * The buffer is written by the device only, so the hypervisor learns of its changes from the dirty log or not at all. A
 * test that copies with the CPU proves nothing: its stores are tracked in another way, and carry the missed pages along.
 *
 * Page p of the disk starts with the word p. Round r reads the disk from page r % 61 on: page i of the buffer then has to
 * hold i + r % 61. A page that was not copied after its last change holds the number of an earlier round. 61 different
 * rounds, so that two rounds rarely look alike.
 *
 * All pages are checked after each round, since the next round writes over what a migration left behind. The host ends the
 * test by the stop word in the last page, after which one more round is checked.
 */
#include "disk.h"

#define ROUNDS 61
#define PIECE MIB

static uint64_t stale_pages(const uint32_t *buffer, uint64_t pages, unsigned shift, int64_t *oldest)
{
	uint64_t stale = 0;

	for (uint64_t i = 0; i < pages; i++) {
		int64_t age = (int64_t)(i + shift) - buffer[i * PAGE / 4];

		if (age == 0)
			continue;
		stale++;
		if (age > *oldest)
			*oldest = age;
	}
	return stale;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		fail("usage");
	int fd = disk_open(argv[1]), stop = 0;
	double start = seconds_now(), limit = strtod(argv[2], NULL), told = 0;
	uint64_t size = disk_bytes(fd), bytes = strtoull(argv[3], NULL, 0) * MIB, stale = 0, round = 0, first_stale = 0;
	uint32_t *buffer = disk_buffer(bytes), *page = disk_buffer(PAGE);
	int64_t oldest = 0;

	if (size < bytes + (ROUNDS + 1) * PAGE)
		fail("small");
	while (!stop && seconds_now() - start < limit) {
		unsigned shift = round % ROUNDS;
		uint64_t found;

		stop = told_to_stop(fd, size, page);
		for (uint64_t at = 0; at < bytes; at += PIECE)
			disk_read(fd, (char *)buffer + at, PIECE, at + (uint64_t)shift * PAGE);
		found = stale_pages(buffer, bytes / PAGE, shift, &oldest);
		if (found != 0 && stale == 0)
			first_stale = round;
		stale += found;
		round++;
		if (seconds_now() < told)
			continue;
		told = seconds_now() + 0.5;
		printf("PROGRESS round=%llu stale=%llu\n", (unsigned long long)round, (unsigned long long)stale);
	}
	printf("RESULT ok=%d stale=%llu rounds=%llu pages=%llu first_stale=%llu oldest=%lld stopped=%d\n", stale == 0,
	       (unsigned long long)stale, (unsigned long long)round, (unsigned long long)(bytes / PAGE),
	       (unsigned long long)first_stale, (long long)oldest, stop);
	return stale != 0;
}
