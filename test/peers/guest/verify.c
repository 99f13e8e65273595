/*
 * verify DISK MIB SEED: writes a pattern over the first MIB of the disk in pieces of mixed sizes, flushes, reads it back in
 * pieces of other sizes, and counts the words that differ. The host compares the image as well.
 */
#include "disk.h"

/* Sizes in pages; the sums of the two lists have no common factor, so pieces never line up. */
static const unsigned WRITE_PAGES[] = { 1, 16, 2, 64, 3, 128, 1, 256, 7 };
static const unsigned READ_PAGES[] = { 5, 256, 1, 32, 1, 100, 2 };
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static size_t piece(unsigned pages, uint64_t left)
{
	return (uint64_t)pages * PAGE < left ? (size_t)pages * PAGE : left;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		fail("usage");
	int fd = disk_open(argv[1]);
	uint64_t total = strtoull(argv[2], NULL, 0) * MIB, at, bad = 0, requests = 0;
	uint32_t seed = strtoul(argv[3], NULL, 0);
	uint32_t *buffer = disk_buffer(256 * PAGE);
	size_t bytes;

	for (at = 0; at < total; at += bytes, requests++) {
		bytes = piece(WRITE_PAGES[requests % COUNT(WRITE_PAGES)], total - at);
		for (size_t i = 0; i < bytes / 4; i++)
			buffer[i] = pattern(at / 4 + i, seed);
		disk_write(fd, buffer, bytes, at);
	}
	if (fsync(fd))
		fail("flush");
	for (at = 0; at < total; at += bytes, requests++) {
		bytes = piece(READ_PAGES[requests % COUNT(READ_PAGES)], total - at);
		memset(buffer, 0xee, bytes);
		disk_read(fd, buffer, bytes, at);
		for (size_t i = 0; i < bytes / 4; i++)
			bad += buffer[i] != pattern(at / 4 + i, seed);
	}
	printf("RESULT ok=%d bad_words=%llu requests=%llu bytes=%llu\n", bad == 0, (unsigned long long)bad,
	       (unsigned long long)requests, (unsigned long long)total);
	return bad != 0;
}
