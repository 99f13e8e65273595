/* What every twin does alike: reads a recorded input, writes its outputs, takes a window for each line it is sent. */
#ifndef TWIN_H
#define TWIN_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static inline void check(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "the twin computed something wrong: %s\n", what);
	exit(1);
}

static inline void *zeroed(size_t bytes)
{
	/* Whole cache lines, and pages for what is large, as a SharedArrayBuffer is. */
	size_t size = (bytes + 4095) & ~(size_t)4095;
	void *memory = aligned_alloc(4096, size ? size : 4096);
	check(memory != NULL, "memory");
	memset(memory, 0, size ? size : 4096);
	return memory;
}

static inline int32_t *read_input(const char *name)
{
	FILE *file = fopen(name, "rb");
	check(file != NULL, "the input can be opened");
	fseek(file, 0, SEEK_END);
	long bytes = ftell(file);
	rewind(file);
	int32_t *words = zeroed(bytes);
	check(fread(words, 1, bytes, file) == (size_t)bytes, "the input can be read");
	fclose(file);
	return words;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

#define SAMPLES_MAX 4000000
static double *samples;

/* Repeats a short piece of work for about `ns` nanoseconds; gives the median of what the pieces say. */
static inline double median_of_slices(double ns, double (*slice)(void))
{
	size_t count = 0;
	double end = now_ns() + ns;
	if (!samples)
		samples = zeroed(SAMPLES_MAX * sizeof(double));
	do
		samples[count++] = slice();
	while (now_ns() < end && count < SAMPLES_MAX);
	qsort(samples, count, sizeof(double), compare_doubles);
	return count % 2 ? samples[count / 2] : (samples[count / 2 - 1] + samples[count / 2]) / 2;
}

/* Answers "window NS" lines until the input ends or another line comes. */
static inline void serve_windows(double (*window)(double ns))
{
	char line[64];
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		double ns;
		if (sscanf(line, "window %lf", &ns) != 1)
			break;
		printf("%.17g\n", window(ns));
		fflush(stdout);
	}
}

static inline FILE *open_output(const char *name)
{
	FILE *file = fopen(name, "wb");
	check(file != NULL, "the output can be opened");
	return file;
}

static inline void put(FILE *file, const void *bytes, size_t count)
{
	check(fwrite(bytes, 1, count, file) == count, "the output can be written");
}
#endif
