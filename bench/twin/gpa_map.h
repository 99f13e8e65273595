/* The lookup of src/iova/gpa-map.ts: first row of the bucket or the one after it, else binary search. */
#ifndef GPA_MAP_H
#define GPA_MAP_H
#include "twin.h"

struct map_row {
	int32_t start, last, delta, perm;
};

struct gpa_map {
	int32_t size, shift, buckets;
	int32_t *first;
	struct map_row *rows;
};

static inline int row_covers(const struct map_row *row, int32_t page)
{
	return row->start <= page && page <= row->last;
}

static inline const struct map_row *search_bucket(const struct gpa_map *map, int32_t page, int32_t bucket)
{
	const struct map_row *row = map->rows + map->first[bucket];
	int32_t count = map->first[bucket + 1] - map->first[bucket] + 1;
	while (count > 1) {
		int32_t half = count >> 1;
		row = row[half].start <= page ? row + half : row;
		count -= half;
	}
	return row_covers(row, page) ? row : map->rows + map->size;
}

/* The row of a page; the closing row, which gives no rights, when it is not mapped. */
static inline const struct map_row *map_row_of(const struct gpa_map *map, int32_t page)
{
	int32_t bucket = page >> map->shift;
	if (page < 0 || bucket + 1 >= map->buckets)
		return map->rows + map->size;
	const struct map_row *row = map->rows + map->first[bucket];
	row += row[1].start <= page;
	return row_covers(row, page) ? row : search_bucket(map, page, bucket);
}

static inline void fill_buckets(struct gpa_map *map)
{
	int32_t cheap = 16 * map->size < 65536 ? 16 * map->size : 65536;
	int32_t wanted = 1024;
	if (2 * map->size > wanted)
		wanted = 2 * map->size;
	if (cheap > wanted)
		wanted = cheap;
	int32_t last = map->rows[map->size - 1].last;
	while (last >> map->shift >= wanted)
		map->shift++;
	map->buckets = (last >> map->shift) + 2;
	map->first = zeroed(map->buckets * sizeof(int32_t));
	int32_t row = 0;
	for (int64_t bucket = 0; bucket < map->buckets; bucket++) {
		while (row + 1 < map->size && map->rows[row + 1].start <= bucket << map->shift)
			row++;
		map->first[bucket] = row;
	}
}

/* Takes rows of first page, pages, page of IOVA, rights; by page, without overlap. */
static inline void map_load(struct gpa_map *map, const int32_t *rows, int32_t size)
{
	memset(map, 0, sizeof *map);
	map->size = size;
	map->rows = zeroed((size + 1) * sizeof(struct map_row));
	for (int32_t row = 0; row < size; row++)
		map->rows[row] = (struct map_row){
			.start = rows[4 * row],
			.last = rows[4 * row] + rows[4 * row + 1] - 1,
			.delta = rows[4 * row + 2] - rows[4 * row],
			.perm = rows[4 * row + 3],
		};
	map->rows[size] = (struct map_row){ .start = INT32_MAX, .last = -1 };
	fill_buckets(map);
}
#endif
