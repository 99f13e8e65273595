/* The allocator of src/iova: the same B+tree of mappings with gaps, in the same columns, entry for entry. */
#include "iova_input.h"

enum { NODE_SHIFT = 4, NODE_ENTRIES = 1 << NODE_SHIFT, FILL_MIN = NODE_ENTRIES / 4, JOIN_MAX = NODE_ENTRIES * 3 / 4 };
enum { LEVELS_MAX = 18, SLICE_BATCHES = 64 };

/* Nodes in four columns: node n owns the entries n * 16 ... n * 16 + 15. */
static double *starts, *pages;
/* END_PAGE is below 2^31: no gap is too large for its column. */
static int32_t *gaps, *links, *counts, *spares;
static int32_t node_room, node_count, spare_count;
static int32_t path[LEVELS_MAX], root, height;
static double end_page;
static int32_t *spare_handles, spare_handle_count, handle_count, live_count;

static int32_t add_node(void)
{
	int32_t node = spare_count ? spares[--spare_count] : node_count++;
	check(node < node_room, "nodes");
	counts[node] = 0;
	return node;
}

static int32_t last_start(int32_t node, double page)
{
	int32_t entry = node << NODE_SHIFT, end = entry + counts[node];
	while (entry + 1 < end && starts[entry + 1] <= page)
		entry++;
	return entry;
}

static int32_t first_gap(int32_t node, int32_t wanted)
{
	int32_t first = node << NODE_SHIFT, end = first + counts[node];
	for (int32_t entry = first; entry < end; entry++)
		if (gaps[entry] >= wanted)
			return entry;
	return -1;
}

static int32_t largest_gap(int32_t node)
{
	int32_t first = node << NODE_SHIFT, end = first + counts[node];
	int32_t largest = 0;
	for (int32_t entry = first; entry < end; entry++)
		if (gaps[entry] > largest)
			largest = gaps[entry];
	return largest;
}

static int describe(int32_t entry)
{
	int32_t child = links[entry];
	double start = starts[child << NODE_SHIFT];
	int32_t gap = largest_gap(child);
	if (starts[entry] == start && gaps[entry] == gap)
		return 0;
	starts[entry] = start;
	gaps[entry] = gap;
	return 1;
}

static void write_entry(int32_t entry, double start, double size, double gap, int32_t link)
{
	starts[entry] = start;
	pages[entry] = size;
	gaps[entry] = gap;
	links[entry] = link;
}

static void copy_entries(int32_t from, int32_t to, int32_t count)
{
	memmove(starts + to, starts + from, count * sizeof *starts);
	memmove(pages + to, pages + from, count * sizeof *pages);
	memmove(gaps + to, gaps + from, count * sizeof *gaps);
	memmove(links + to, links + from, count * sizeof *links);
}

static void open_entry(int32_t entry)
{
	int32_t node = (entry - 1) >> NODE_SHIFT;
	int32_t end = (node << NODE_SHIFT) + counts[node]++;
	copy_entries(entry, entry + 1, end - entry);
}

static void close_entry(int32_t entry)
{
	int32_t node = entry >> NODE_SHIFT;
	int32_t end = (node << NODE_SHIFT) + counts[node]--;
	copy_entries(entry + 1, entry, end - entry - 1);
}

static void move_left(int32_t left, int32_t right, int32_t count)
{
	int32_t first = right << NODE_SHIFT;
	copy_entries(first, (left << NODE_SHIFT) + counts[left], count);
	copy_entries(first + count, first, counts[right] - count);
	counts[left] += count;
	counts[right] -= count;
}

static void move_right(int32_t left, int32_t right, int32_t count)
{
	int32_t first = right << NODE_SHIFT;
	copy_entries(first, first + count, counts[right]);
	copy_entries((left << NODE_SHIFT) + counts[left] - count, first, count);
	counts[left] -= count;
	counts[right] += count;
}

static int32_t seek(double page)
{
	int32_t node = root, entry = 0;
	for (int32_t level = height; level >= 0; level--) {
		entry = last_start(node, page);
		path[level] = entry;
		node = links[entry];
	}
	return entry;
}

static int32_t seek_gap(double wanted)
{
	int32_t node = root, entry = 0;
	for (int32_t level = height; level >= 0; level--) {
		entry = first_gap(node, wanted);
		if (entry < 0)
			return -1;
		path[level] = entry;
		node = links[entry];
	}
	return entry;
}

static void grow_root(void)
{
	int32_t node = add_node(), entry = node << NODE_SHIFT;
	write_entry(entry, -1, 0, largest_gap(root), root);
	counts[node] = 1;
	root = node;
	path[++height] = entry;
}

static void split(int32_t level)
{
	int32_t entry = path[level], node = entry >> NODE_SHIFT, slot = entry & (NODE_ENTRIES - 1);
	int32_t right = add_node();
	int32_t kept = slot == NODE_ENTRIES - 1 ? JOIN_MAX : NODE_ENTRIES / 2;
	move_right(node, right, NODE_ENTRIES - kept);
	int32_t parent = path[level + 1];
	open_entry(parent + 1);
	write_entry(parent + 1, starts[right << NODE_SHIFT], 0, largest_gap(right), right);
	gaps[parent] = largest_gap(node);
	if (slot < kept)
		return;
	path[level] = (right << NODE_SHIFT) + slot - kept;
	path[level + 1] = parent + 1;
}

static void make_room(void)
{
	int32_t full = 0;
	while (full <= height && counts[path[full] >> NODE_SHIFT] == NODE_ENTRIES)
		full++;
	if (full > height)
		grow_root();
	for (int32_t level = full - 1; level >= 0; level--)
		split(level);
}

static void insert_after_path(double start, double size, int32_t handle)
{
	make_room();
	int32_t before = path[0];
	double end = starts[before] + pages[before], next = end + gaps[before];
	gaps[before] = start - end;
	open_entry(before + 1);
	write_entry(before + 1, start, size, next - start - size, handle);
	for (int32_t level = 0; level < height; level++) {
		int32_t gap = largest_gap(path[level] >> NODE_SHIFT), above = path[level + 1];
		if (gaps[above] == gap)
			return;
		gaps[above] = gap;
	}
}

static void widen(int32_t entry, double size)
{
	double gap = gaps[entry] += size;
	for (int32_t level = 1; level <= height; level++) {
		if (gaps[path[level]] >= gap)
			return;
		gaps[path[level]] = gap;
	}
}

static void refill(int32_t entry)
{
	int32_t left_entry = entry & (NODE_ENTRIES - 1) ? entry - 1 : entry;
	int32_t left = links[left_entry], right = links[left_entry + 1];
	int32_t excess = counts[right] - counts[left];
	if (counts[left] + counts[right] <= JOIN_MAX) {
		move_left(left, right, counts[right]);
		close_entry(left_entry + 1);
		spares[spare_count++] = right;
	} else {
		if (excess > 0)
			move_left(left, right, excess >> 1);
		else
			move_right(left, right, -excess >> 1);
		describe(left_entry + 1);
	}
	describe(left_entry);
}

static void repair(void)
{
	for (int32_t level = 0; level < height; level++) {
		if (counts[path[level] >> NODE_SHIFT] < FILL_MIN)
			refill(path[level + 1]);
		else if (!describe(path[level + 1]))
			return;
	}
	if (height > 0 && counts[root] == 1) {
		spares[spare_count++] = root;
		root = links[root << NODE_SHIFT];
		height--;
	}
}

static void insert_mapping(double page, double size)
{
	insert_after_path(page, size, spare_handle_count ? spare_handles[--spare_handle_count] : handle_count++);
	live_count++;
}

static int insert_at(double page, double size)
{
	int32_t before = seek(page);
	double room = starts[before] + pages[before];
	if (page < room || page + size > room + gaps[before])
		return 0;
	insert_mapping(page, size);
	return 1;
}

static double allocate(double size)
{
	int32_t before = seek_gap(size);
	if (before < 0)
		return -1;
	double page = starts[before] + pages[before];
	insert_mapping(page, size);
	return page;
}

static int free_at(double start)
{
	int32_t entry = seek(start);
	if (starts[entry] != start)
		return 0;
	int32_t handle = links[entry];
	double freed = pages[entry] + gaps[entry];
	if ((entry & (NODE_ENTRIES - 1)) == 0) {
		widen(seek(start - 1), freed);
		close_entry(seek(start));
		repair();
	} else {
		widen(entry - 1, freed);
		close_entry(entry);
		if (counts[entry >> NODE_SHIFT] < FILL_MIN)
			repair();
	}
	spare_handles[spare_handle_count++] = handle;
	live_count--;
	return 1;
}

static void make_tree(void)
{
	node_room = live / 2 + 64;
	size_t entries = (size_t)node_room * NODE_ENTRIES;
	starts = zeroed(entries * sizeof *starts);
	pages = zeroed(entries * sizeof *pages);
	gaps = zeroed(entries * sizeof *gaps);
	links = zeroed(entries * sizeof *links);
	counts = zeroed(node_room * sizeof *counts);
	spares = zeroed(node_room * sizeof *spares);
	spare_handles = zeroed((live + 64) * sizeof *spare_handles);
	end_page = input[END_PAGE];
	root = add_node();
	write_entry(0, -1, 2, end_page - 1, -1);
	counts[0] = 1;
}

static void put_tree(FILE *output)
{
	int32_t entry = seek(-1);
	for (double page = starts[entry] + pages[entry] + gaps[entry]; page < end_page;) {
		entry = seek(page);
		put_mapping(output, starts[entry], pages[entry]);
		page = starts[entry] + pages[entry] + gaps[entry];
	}
}

int main(int argc, char **argv)
{
	check(argc == 3, "usage: iova INPUT OUTPUT");
	load_iova_input(argv[1]);
	make_tree();
	for (int32_t slot = 0; slot < live; slot++)
		check(insert_at(recorded_start(slot), recorded_pages(slot)), "the recorded mappings are disjoint");
	run_iova(argv[2], allocate, free_at, put_tree, SLICE_BATCHES);
	check(live_count == live, "as many mappings live as before");
	return 0;
}
