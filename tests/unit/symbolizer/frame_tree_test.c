/* SPDX-License-Identifier: Apache-2.0 */
/* Trees that change while they are read, and such as no libgcc has. The real ones:
 * frame_lists_test. */
#include "symbolizer/frame_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NODES	  4096
#define TREE	  0x1000u
#define NODE(i)	  (0x10000u + (uint64_t)(i) * sizeof(struct frame_node))
#define FOUND_MAX 4096

/* Of another process: what lies elsewhere can not be read. */
static struct memory {
	struct frame_tree tree;
	struct frame_node nodes[NODES];
	size_t reads;
	void (*on_read)(struct memory *m);
} memory;

static bool read_memory(void *data, uint64_t address, void *to, size_t n)
{
	struct memory *m = data;

	m->reads++;
	if (m->on_read)
		m->on_read(m);
	if (address >= TREE && address - TREE + n <= sizeof(m->tree)) {
		memcpy(to, (const uint8_t *)&m->tree + (address - TREE), n);
		return true;
	}
	if (address < NODE(0) || address + n < n || address + n > NODE(NODES))
		return false;
	memcpy(to, (const uint8_t *)m->nodes + (address - NODE(0)), n);
	return true;
}

static int reset(void **state)
{
	memset(&memory, 0, sizeof(memory));
	memory.tree.root = NODE(0);
	return 0;
}

static void inner(size_t i, size_t first, uint32_t n)
{
	memory.nodes[i].type = FRAME_NODE_INNER;
	memory.nodes[i].count = n;
	for (uint32_t k = 0; k < n; k++)
		memory.nodes[i].children[k].node = NODE(first + k);
}

static void leaf(size_t i, uint64_t first, uint32_t n)
{
	memory.nodes[i].type = FRAME_NODE_LEAF;
	memory.nodes[i].count = n;
	for (uint32_t k = 0; k < n; k++)
		memory.nodes[i].entries[k].object = first + k;
}

static struct frame_tree_found collect(uint64_t *objects, size_t max)
{
	struct frame_tree_found f = {.objects = objects, .n = SIZE_MAX, .max = max};

	assert_int_equal(frame_tree_read(read_memory, &memory, TREE, &f), 0);
	assert_true(f.n <= max);
	return f;
}

/* A tree that rests, with all that is in it. */
static size_t collect_whole(uint64_t *objects)
{
	struct frame_tree_found f = collect(objects, FOUND_MAX);

	assert_false(f.cut);
	assert_false(f.changed);
	return f.n;
}

static void objects_come_by_address(void **state)
{
	uint64_t found[FOUND_MAX];

	inner(0, 1, 3);
	leaf(1, 100, 10);
	leaf(2, 110, 5);
	leaf(3, 115, 7);
	assert_int_equal(collect_whole(found), 22);
	for (uint64_t i = 0; i < 22; i++)
		assert_int_equal(found[i], 100 + i);
}

static void what_there_is_no_room_for_is_left_out(void **state)
{
	uint64_t found[FOUND_MAX];
	struct frame_tree_found f;

	inner(0, 1, 2);
	leaf(1, 100, 10);
	leaf(2, 110, 5);
	assert_int_equal(collect(found, 15).cut, false);
	for (size_t max = 0; max < 15; max++) {
		f = collect(found, max);
		assert_int_equal(f.n, max);
		assert_true(f.cut);
	}
}

static void a_tree_may_be_empty_or_gone(void **state)
{
	uint64_t found[FOUND_MAX];
	struct frame_tree_found f = {.objects = found, .max = FOUND_MAX};

	memory.tree.root = 0;
	assert_int_equal(collect_whole(found), 0);
	memory.tree.root = 16;
	f = collect(found, FOUND_MAX);
	assert_int_equal(f.n, 0);
	assert_true(f.cut);
	assert_int_equal(frame_tree_read(read_memory, &memory, 64, &f), 0);
	assert_int_equal(f.n, 0);
	assert_true(f.cut);
}

/* Between the read of the first leaf and that of the second, what they have is moved to the first.
 */
static void merge_later(struct memory *m)
{
	if (m->reads != 4)
		return;
	leaf(1, 100, 10);
	leaf(2, 0, 0);
	m->nodes[2].type = FRAME_NODE_FREE;
	m->nodes[0].count = 1;
	for (size_t i = 0; i < 3; i++)
		m->nodes[i].lock += 4;
}

static void a_tree_that_changed_is_read_again(void **state)
{
	uint64_t found[FOUND_MAX];

	inner(0, 1, 2);
	leaf(1, 100, 5);
	leaf(2, 105, 5);
	memory.on_read = merge_later;
	assert_int_equal(collect_whole(found), 10);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(found[i], 100 + i);
}

/* The writer is done when the node is read for the third time. */
static void unlock_later(struct memory *m)
{
	if (m->reads == 6) {
		leaf(0, 100, 6);
		m->nodes[0].lock = 8;
	}
}

static void a_node_that_is_written_to_is_waited_for(void **state)
{
	uint64_t found[FOUND_MAX];

	leaf(0, 100, 3);
	memory.nodes[0].lock = 5;
	memory.on_read = unlock_later;
	assert_int_equal(collect_whole(found), 6);
}

static void always_change(struct memory *m)
{
	m->tree.lock += 4;
}

static void a_tree_that_never_rests_ends(void **state)
{
	uint64_t found[FOUND_MAX];
	struct frame_tree_found f;

	leaf(0, 100, 3);
	memory.on_read = always_change;
	f = collect(found, FOUND_MAX);
	assert_int_equal(f.n, 3);
	assert_true(f.changed);
	assert_true(memory.reads < 20);
	/* Nor one whose lock is held for ever. */
	reset(state);
	leaf(0, 100, 3);
	memory.nodes[0].lock = 3;
	f = collect(found, FOUND_MAX);
	assert_int_equal(f.n, 3);
	assert_true(f.changed);
	assert_true(memory.reads < 20);
}

static void check_cut(uint64_t *found, size_t n)
{
	struct frame_tree_found f = collect(found, FOUND_MAX);

	assert_int_equal(f.n, n);
	assert_true(f.cut);
	assert_false(f.changed);
}

static void trees_that_lie_end(void **state)
{
	uint64_t found[FOUND_MAX];

	/* A circle. */
	inner(0, 0, 15);
	inner(1, 0, 15);
	leaf(2, 100, 10);
	check_cut(found, 10);
	/* More entries than a node has room for. */
	inner(0, 1, 2);
	leaf(1, 90, 10);
	memory.nodes[2].count = UINT32_MAX;
	check_cut(found, 20);
	memory.nodes[0].count = UINT32_MAX;
	memory.nodes[2].count = 10;
	check_cut(found, 20);
	/* A node of no type. */
	inner(0, 1, 2);
	memory.nodes[1].type = 77;
	check_cut(found, 10);
	/* Children that are nowhere. */
	inner(0, 2, 1);
	memory.nodes[0].count = 4;
	memory.nodes[0].children[1].node = UINT64_MAX;
	memory.nodes[0].children[2].node = 1;
	memory.nodes[0].children[3].node = 0;
	check_cut(found, 10);
	/* As many as there is memory for, one below the other. */
	for (size_t i = 0; i < NODES; i++)
		inner(i, i + 1, 1);
	memory.reads = 0;
	check_cut(found, 0);
	assert_true(memory.reads < 4096);
}

/* As sparse as removing makes them. */
static void there_is_room_for_all_objects(void **state)
{
	uint64_t found[FOUND_MAX];
	size_t leaves = FOUND_MAX / 4, below = leaves, first = 1, nodes = 1;

	/* From the leaves up: each level is put behind the one below. */
	for (size_t i = 0; i < leaves; i++)
		leaf(nodes++, 100 + i * 4, 4);
	while (below > FRAME_TREE_INNER_MAX) {
		size_t n = below / 6, next = nodes;

		for (size_t i = 0; i < n; i++)
			inner(nodes++, first + i * 6, (uint32_t)(i == n - 1 ? below - i * 6 : 6));
		first = next;
		below = n;
	}
	inner(0, first, (uint32_t)below);
	assert_int_equal(collect_whole(found), FOUND_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(objects_come_by_address, reset),
		cmocka_unit_test_setup(what_there_is_no_room_for_is_left_out, reset),
		cmocka_unit_test_setup(a_tree_may_be_empty_or_gone, reset),
		cmocka_unit_test_setup(a_tree_that_changed_is_read_again, reset),
		cmocka_unit_test_setup(a_node_that_is_written_to_is_waited_for, reset),
		cmocka_unit_test_setup(a_tree_that_never_rests_ends, reset),
		cmocka_unit_test_setup(trees_that_lie_end, reset),
		cmocka_unit_test_setup(there_is_room_for_all_objects, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
