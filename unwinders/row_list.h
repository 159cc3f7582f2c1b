/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct row_list: the unwind rows of one file while they are collected. Sources (call frame
 * information, Go's tables, ...) add blocks - a range of file offsets with rows - and seal them;
 * what an earlier source covers, a later one can not change. Rules are interned, a row takes eight
 * bytes. How rows are stored in the end is rows.h's business.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/base/hash.h"

#define ROW_LIST_RULE_BITS  20 /* rules of one file; the largest file seen has about 1000 */
#define ROW_LIST_ROWS_MAX   (16u << 20)
#define ROW_LIST_BLOCKS_MAX (4u << 20)

struct row_block {
	uint64_t start, end;	/* file offsets */
	uint32_t first, n_rows; /* in `rows` */
};

struct row_list {
	struct buf rows;   /* uint64_t: file offset << ROW_LIST_RULE_BITS | rule index; by block */
	struct buf blocks; /* struct row_block: n_sealed ones sorted and disjoint, then new ones */
	struct buf rules;  /* uint64_t; index 0 is RULE_INVALID */
	struct hash rule_index;
	size_t n_sealed;
	struct row_block open; /* the block that is being added; end 0: none */
	uint64_t last_rule;
	uint32_t last_index;
};

void row_list_init(struct row_list *l);
void row_list_done(struct row_list *l);

/* Starts a block [start, end); without rows it says RULE_INVALID. */
void row_list_begin(struct row_list *l, uint64_t start, uint64_t end);
/* From `at` on, until the next row or the end; ascending. 0, or -E2BIG/-ENOMEM. */
int row_list_add(struct row_list *l, uint64_t at, uint64_t rule);
/* Stores the block. 0, or -E2BIG/-ENOMEM. */
int row_list_end(struct row_list *l);
/* A block with one rule. */
int row_list_block(struct row_list *l, uint64_t start, uint64_t end, uint64_t rule);

/* Sorts what was added since the last time and cuts off what was covered before; of two new
 * blocks that overlap the one that starts first keeps the bytes. 0 or -ENOMEM/-E2BIG. */
int row_list_seal(struct row_list *l);

/* The first gap between sealed blocks at or after *start that begins before `limit`: sets
 * [*start, *ret_end). false: none. *block is a position to start from, 0 at first. */
bool row_list_gap(const struct row_list *l, size_t *block, uint64_t *start, uint64_t limit,
		  uint64_t *ret_end);
/* Is this offset in a sealed block? */
bool row_list_covers(const struct row_list *l, uint64_t offset);

static inline const struct row_block *row_list_blocks(const struct row_list *l)
{
	return (const struct row_block *)l->blocks.data;
}

static inline uint64_t row_list_rule(const struct row_list *l, uint32_t index)
{
	return ((const uint64_t *)l->rules.data)[index];
}

static inline size_t row_list_n_rules(const struct row_list *l)
{
	return l->rules.len / sizeof(uint64_t);
}
