/* What the tools share: the disk opened past the page cache, aligned buffers, patterns, time, and the line of results. */
#ifndef DISK_H
#define DISK_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define MIB (1024u * 1024u)
/* Written by the host into the last page of the disk to end a test that has no other end. */
#define STOP_WORD 0x504f5453u

static inline void fail(const char *what)
{
	printf("RESULT ok=0 why=%s:%s\n", what, strerror(errno));
	exit(1);
}

static inline int disk_open(const char *path)
{
	int fd = open(path, O_RDWR | O_DIRECT);

	if (fd < 0)
		fail("open");
	return fd;
}

static inline uint64_t disk_bytes(int fd)
{
	uint64_t bytes = 0;

	if (ioctl(fd, BLKGETSIZE64, &bytes))
		fail("size");
	return bytes;
}

/* Memory that starts on a page and is there from the start, so that no CPU store follows. */
static inline void *disk_buffer(size_t bytes)
{
	void *buffer = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (buffer == MAP_FAILED)
		fail("memory");
	return buffer;
}

static inline void disk_read(int fd, void *buffer, size_t bytes, uint64_t at)
{
	if (pread(fd, buffer, bytes, at) != (ssize_t)bytes)
		fail("read");
}

static inline void disk_write(int fd, const void *buffer, size_t bytes, uint64_t at)
{
	if (pwrite(fd, buffer, bytes, at) != (ssize_t)bytes)
		fail("write");
}

static inline int told_to_stop(int fd, uint64_t size, uint32_t *page)
{
	disk_read(fd, page, PAGE, size - PAGE);
	return page[0] == STOP_WORD;
}

static inline uint32_t mixed(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x85ebca6bu;
	x ^= x >> 13;
	x *= 0xc2b2ae35u;
	return x ^ x >> 16;
}

/* Word number `index` of a disk under a seed; helpers/disk-images.ts has the same. */
static inline uint32_t pattern(uint32_t index, uint32_t seed)
{
	return mixed(index ^ mixed(seed));
}

static inline double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

#endif
