/*
 * What allocators without a tree of gaps do: walk the mappings by address until a gap is large enough.
 *
 * "tree": a balanced binary tree of nodes from malloc, inserted in an order of chance, walked in order with a callback
 * for each (as QEMU's util/iova-tree.c does it on GLib's tree). "array": the mappings side by side in one array.
 */
#include "iova_input.h"

struct node {
	double start, pages;
	struct node *left, *right;
	int height;
};

static struct node *tree;

static int height_of(const struct node *node)
{
	return node ? node->height : 0;
}

static struct node *measured(struct node *node)
{
	int left = height_of(node->left), right = height_of(node->right);
	node->height = 1 + (left > right ? left : right);
	return node;
}

static struct node *turn_right(struct node *node)
{
	struct node *up = node->left;
	node->left = up->right;
	up->right = measured(node);
	return measured(up);
}

static struct node *turn_left(struct node *node)
{
	struct node *up = node->right;
	node->right = up->left;
	up->left = measured(node);
	return measured(up);
}

static struct node *balanced(struct node *node)
{
	int lean = height_of(node->left) - height_of(node->right);
	if (lean > 1) {
		if (height_of(node->left->left) < height_of(node->left->right))
			node->left = turn_left(node->left);
		return turn_right(node);
	}
	if (lean < -1) {
		if (height_of(node->right->right) < height_of(node->right->left))
			node->right = turn_right(node->right);
		return turn_left(node);
	}
	return measured(node);
}

static struct node *with(struct node *node, struct node *added)
{
	if (!node)
		return measured(added);
	if (added->start < node->start)
		node->left = with(node->left, added);
	else
		node->right = with(node->right, added);
	return balanced(node);
}

static struct node *without_first(struct node *node, struct node **first)
{
	if (!node->left) {
		*first = node;
		return node->right;
	}
	node->left = without_first(node->left, first);
	return balanced(node);
}

static struct node *without(struct node *node, double start, int *found)
{
	if (!node)
		return NULL;
	if (start < node->start) {
		node->left = without(node->left, start, found);
	} else if (start > node->start) {
		node->right = without(node->right, start, found);
	} else {
		struct node *left = node->left, *right = node->right, *first;
		*found = 1;
		free(node);
		if (!right)
			return left;
		right = without_first(right, &first);
		first->left = left;
		first->right = right;
		node = first;
	}
	return balanced(node);
}

static void tree_insert(double start, double size)
{
	struct node *node = malloc(sizeof *node);
	*node = (struct node){ .start = start, .pages = size };
	tree = with(tree, node);
}

/* What the walk looks for, and the end of the mapping before. */
struct quest {
	double pages, end;
};

static int gap_before(double start, double size, void *data)
{
	struct quest *quest = data;
	if (start - quest->end >= quest->pages)
		return 1;
	quest->end = start + size;
	return 0;
}

static int (*volatile visit)(double start, double size, void *data) = gap_before;

static int walk(const struct node *node, int (*each)(double, double, void *), void *data)
{
	for (; node; node = node->right) {
		if (walk(node->left, each, data) || each(node->start, node->pages, data))
			return 1;
	}
	return 0;
}

static double tree_allocate(double size)
{
	struct quest quest = { size, 1 };
	walk(tree, visit, &quest);
	tree_insert(quest.end, size);
	return quest.end;
}

static int tree_free(double start)
{
	int found = 0;
	tree = without(tree, start, &found);
	return found;
}

static FILE *walk_output;

static int put_visited(double start, double size, void *data)
{
	(void)data;
	put_mapping(walk_output, start, size);
	return 0;
}

static void tree_put(FILE *output)
{
	walk_output = output;
	walk(tree, put_visited, NULL);
}

struct span {
	double start, pages;
};

static struct span *spans;
static int32_t span_count;

static int compare_spans(const void *a, const void *b)
{
	double x = ((const struct span *)a)->start, y = ((const struct span *)b)->start;
	return (x > y) - (x < y);
}

static double array_allocate(double size)
{
	double end = 1;
	int32_t i = 0;
	for (; i < span_count; i++) {
		if (spans[i].start - end >= size)
			break;
		end = spans[i].start + spans[i].pages;
	}
	memmove(spans + i + 1, spans + i, (span_count++ - i) * sizeof *spans);
	spans[i] = (struct span){ end, size };
	return end;
}

static int array_free(double start)
{
	struct span key = { start, 0 };
	struct span *at = bsearch(&key, spans, span_count, sizeof *spans, compare_spans);
	if (!at)
		return 0;
	memmove(at, at + 1, (spans + span_count-- - at - 1) * sizeof *spans);
	return 1;
}

static void array_put(FILE *output)
{
	for (int32_t i = 0; i < span_count; i++)
		put_mapping(output, spans[i].start, spans[i].pages);
}

int main(int argc, char **argv)
{
	check(argc == 4, "usage: walk INPUT OUTPUT tree|array");
	load_iova_input(argv[1]);
	int as_tree = strcmp(argv[3], "tree") == 0;
	spans = zeroed((live + BATCH) * sizeof *spans);
	for (int32_t slot = 0; slot < live; slot++) {
		if (as_tree)
			tree_insert(recorded_start(slot), recorded_pages(slot));
		else
			spans[span_count++] = (struct span){ recorded_start(slot), recorded_pages(slot) };
	}
	qsort(spans, span_count, sizeof *spans, compare_spans);
	if (as_tree)
		run_iova(argv[2], tree_allocate, tree_free, tree_put, 1);
	else
		run_iova(argv[2], array_allocate, array_free, array_put, 1);
	return 0;
}
