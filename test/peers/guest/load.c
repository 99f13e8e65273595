/*
 * load DISK SECONDS SEED: writes and reads pieces all over the disk without a pause, and checks each word that it reads.
 * Once a second it prints PROGRESS with its counters. It ends when its time is over or when the host writes the stop word
 * into the last page of the disk.
 */
#include "disk.h"

#define PIECE_PAGES 16
#define PIECE_WORDS (PIECE_PAGES * PAGE / 4)
/* How often each piece was written; 0 means never, so that its words are not known. */
#define PIECES_MAX 65536

static uint32_t writes_of[PIECES_MAX];

int main(int argc, char **argv)
{
	if (argc != 4)
		fail("usage");
	int fd = disk_open(argv[1]);
	double start = seconds_now(), limit = strtod(argv[2], NULL), told = 0, now, worst = 0;
	uint32_t seed = strtoul(argv[3], NULL, 0), state = seed | 1;
	uint64_t size = disk_bytes(fd), pieces = (size - PAGE) / (PIECE_PAGES * PAGE), reads = 0, writes = 0, bad = 0;
	uint32_t *buffer = disk_buffer(PIECE_PAGES * PAGE), *page = disk_buffer(PAGE);

	if (pieces > PIECES_MAX)
		pieces = PIECES_MAX;
	for (now = 0; now < limit;) {
		double before = seconds_now(), took;

		state = mixed(state + 0x9e3779b9u);
		uint64_t piece = state % pieces, at = piece * PIECE_PAGES * PAGE;
		uint32_t first = piece * PIECE_WORDS;

		if (writes_of[piece] == 0 || (state & 0x80000000u)) {
			writes_of[piece]++;
			for (uint32_t i = 0; i < PIECE_WORDS; i++)
				buffer[i] = pattern(first + i, seed + writes_of[piece]);
			disk_write(fd, buffer, PIECE_PAGES * PAGE, at);
			writes++;
		} else {
			memset(buffer, 0xee, PIECE_PAGES * PAGE);
			disk_read(fd, buffer, PIECE_PAGES * PAGE, at);
			for (uint32_t i = 0; i < PIECE_WORDS; i++)
				bad += buffer[i] != pattern(first + i, seed + writes_of[piece]);
			reads++;
		}
		now = seconds_now() - start;
		took = now + start - before;
		if (took > worst)
			worst = took;
		if (now < told)
			continue;
		told = now + 1;
		printf("PROGRESS reads=%llu writes=%llu bad_words=%llu worst_ms=%.0f\n", (unsigned long long)reads,
		       (unsigned long long)writes, (unsigned long long)bad, worst * 1e3);
		if (told_to_stop(fd, size, page))
			break;
	}
	printf("RESULT ok=%d bad_words=%llu reads=%llu writes=%llu worst_ms=%.0f\n", bad == 0, (unsigned long long)bad,
	       (unsigned long long)reads, (unsigned long long)writes, worst * 1e3);
	return bad != 0;
}
