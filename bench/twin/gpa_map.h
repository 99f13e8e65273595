/* The lookup of src/iova/gpa-map.ts: last row found, first row of the bucket or the one after it, binary search. */
#ifndef GPA_MAP_H
#define GPA_MAP_H
#include "twin.h"

struct gpa_map {
	int32_t size, shift, hit, buckets;
	int32_t *starts, *lasts, *deltas, *first;
	uint8_t *perms;
};

static inline int row_covers(const struct gpa_map *map, int32_t row, int32_t page)
{
	return map->starts[row] <= page && page <= map->lasts[row];
}

static inline int32_t search_bucket(const struct gpa_map *map, int32_t page, int32_t bucket)
{
	int32_t row = map->first[bucket];
	int32_t count = map->first[bucket + 1] - row + 1;
	while (count > 1) {
		int32_t half = count >> 1;
		row = map->starts[row + half] <= page ? row + half : row;
		count -= half;
	}
	return row;
}

static inline int32_t map_index_of(struct gpa_map *map, int32_t page)
{
	if (page < 0)
		return -1;
	if (row_covers(map, map->hit, page))
		return map->hit;
	int32_t bucket = page >> map->shift;
	if (bucket + 1 >= map->buckets)
		return -1;
	int32_t row = map->first[bucket];
	row += map->starts[row + 1] <= page;
	if (!row_covers(map, row, page)) {
		row = search_bucket(map, page, bucket);
		if (!row_covers(map, row, page))
			return -1;
	}
	map->hit = row;
	return row;
}

static inline void fill_buckets(struct gpa_map *map)
{
	int32_t cheap = 16 * map->size < 65536 ? 16 * map->size : 65536;
	int32_t wanted = 1024;
	if (2 * map->size > wanted)
		wanted = 2 * map->size;
	if (cheap > wanted)
		wanted = cheap;
	int32_t last = map->lasts[map->size - 1];
	while (last >> map->shift >= wanted)
		map->shift++;
	map->buckets = (last >> map->shift) + 2;
	map->first = zeroed(map->buckets * sizeof(int32_t));
	int32_t row = 0;
	for (int64_t bucket = 0; bucket < map->buckets; bucket++) {
		while (row + 1 < map->size && map->starts[row + 1] <= bucket << map->shift)
			row++;
		map->first[bucket] = row;
	}
}

/* Takes rows of first page, pages, page of IOVA, rights; by page, without overlap. */
static inline void map_load(struct gpa_map *map, const int32_t *rows, int32_t size)
{
	memset(map, 0, sizeof *map);
	map->size = size;
	map->hit = size;
	map->starts = zeroed((size + 1) * sizeof(int32_t));
	map->lasts = zeroed((size + 1) * sizeof(int32_t));
	map->deltas = zeroed((size + 1) * sizeof(int32_t));
	map->perms = zeroed(size + 1);
	for (int32_t row = 0; row < size; row++) {
		map->starts[row] = rows[4 * row];
		map->lasts[row] = rows[4 * row] + rows[4 * row + 1] - 1;
		map->deltas[row] = rows[4 * row + 2] - rows[4 * row];
		map->perms[row] = rows[4 * row + 3];
	}
	map->starts[size] = INT32_MAX;
	map->lasts[size] = -1;
	fill_buckets(map);
}
#endif
