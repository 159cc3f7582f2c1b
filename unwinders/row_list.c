/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks are kept sorted by merging each sealed source into those before it. */
#include "unwinders/row_list.h"

#include <errno.h>

#include "bpf/types.h"

#define OFFSET_MAX ((UINT64_C(1) << (64 - ROW_LIST_RULE_BITS)) - 1)

void row_list_init(struct row_list *l)
{
	uint64_t invalid = RULE_INVALID;

	*l = (struct row_list){
		.rows = BUF_INIT(ROW_LIST_ROWS_MAX * sizeof(uint64_t)),
		.blocks = BUF_INIT(ROW_LIST_BLOCKS_MAX * sizeof(struct row_block)),
		.rules = BUF_INIT(sizeof(uint64_t) << ROW_LIST_RULE_BITS),
		.last_rule = invalid,
	};
	buf_add(&l->rules, &invalid, sizeof(invalid));
}

void row_list_done(struct row_list *l)
{
	buf_done(&l->rows);
	buf_done(&l->blocks);
	buf_done(&l->rules);
	hash_done(&l->rule_index);
}

static uint32_t rule_intern(struct row_list *l, uint64_t rule)
{
	uint64_t i;

	if (rule == l->last_rule)
		return l->last_index;
	if (rule == RULE_INVALID)
		return 0;
	i = hash_get(&l->rule_index, rule);
	if (i == HASH_NONE) {
		i = l->rules.len / sizeof(rule);
		/* A file with a million different rules is no honest file: call them unknown. */
		if (i >> ROW_LIST_RULE_BITS)
			return 0;
		buf_add(&l->rules, &rule, sizeof(rule));
		if (l->rules.failed || hash_put(&l->rule_index, rule, i) < 0)
			return 0;
	}
	l->last_rule = rule;
	l->last_index = (uint32_t)i;
	return (uint32_t)i;
}

void row_list_begin(struct row_list *l, uint64_t start, uint64_t end)
{
	l->open = (struct row_block){
		.start = start,
		.end = MIN(end, OFFSET_MAX),
		.first = (uint32_t)(l->rows.len / sizeof(uint64_t)),
	};
}

int row_list_add(struct row_list *l, uint64_t at, uint64_t rule)
{
	uint64_t *last = l->open.n_rows ? (uint64_t *)(l->rows.data + l->rows.len) - 1 : NULL;
	uint64_t index = rule_intern(l, rule);

	if (at >= l->open.end)
		return l->rules.failed;
	if (last && (*last & ((1u << ROW_LIST_RULE_BITS) - 1)) == index)
		return l->rules.failed;
	at = at << ROW_LIST_RULE_BITS | index;
	if (last && (*last ^ at) >> ROW_LIST_RULE_BITS == 0) {
		*last = at;
		return 0;
	}
	buf_add(&l->rows, &at, sizeof(at));
	l->open.n_rows++;
	return l->rows.failed ? l->rows.failed : l->rules.failed;
}

int row_list_end(struct row_list *l)
{
	if (l->open.start < l->open.end)
		buf_add(&l->blocks, &l->open, sizeof(l->open));
	l->open = (struct row_block){0};
	return l->rows.failed ? l->rows.failed : l->blocks.failed;
}

int row_list_block(struct row_list *l, uint64_t start, uint64_t end, uint64_t rule)
{
	int r;

	row_list_begin(l, start, end);
	r = row_list_add(l, start, rule);
	return r < 0 ? r : row_list_end(l);
}

static int block_cmp(const void *a, const void *b)
{
	const struct row_block *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	/* The rows that came first, whatever qsort does with equals. */
	return x->first < y->first ? -1 : x->first > y->first;
}

static void sort_blocks(struct row_block *b, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (block_cmp(&b[i - 1], &b[i]) > 0) {
			qsort(b, n, sizeof(*b), block_cmp);
			return;
		}
}

/* Adds the parts of b from *from on that no block of old[] covers; *i moves along old[]. */
static void add_uncovered(struct buf *out, struct row_block b, const struct row_block *old,
			  size_t n_old, size_t *i)
{
	while (b.start < b.end) {
		struct row_block piece = b;

		while (*i < n_old && old[*i].end <= b.start)
			buf_add(out, &old[(*i)++], sizeof(*old));
		if (*i == n_old || old[*i].start >= b.end) {
			buf_add(out, &b, sizeof(b));
			return;
		}
		if (old[*i].start > b.start) {
			piece.end = old[*i].start;
			buf_add(out, &piece, sizeof(piece));
		}
		b.start = old[*i].end;
	}
}

int row_list_seal(struct row_list *l)
{
	struct row_block *b = (struct row_block *)l->blocks.data;
	size_t n = l->blocks.len / sizeof(*b), i = 0;
	struct buf out = BUF_INIT(l->blocks.max);
	uint64_t covered = 0;

	if (l->blocks.failed || l->rows.failed || l->rules.failed)
		return l->blocks.failed ? l->blocks.failed
		       : l->rows.failed ? l->rows.failed
					: l->rules.failed;
	if (n == l->n_sealed)
		return 0;
	sort_blocks(b + l->n_sealed, n - l->n_sealed);
	for (size_t k = l->n_sealed; k < n; k++) {
		struct row_block x = b[k];

		x.start = MAX(x.start, covered);
		if (x.start >= x.end)
			continue;
		covered = x.end;
		add_uncovered(&out, x, b, l->n_sealed, &i);
	}
	if (i < l->n_sealed)
		buf_add(&out, b + i, (l->n_sealed - i) * sizeof(*b));
	if (out.failed)
		return out.failed;
	buf_done(&l->blocks);
	l->blocks = out;
	l->n_sealed = out.len / sizeof(*b);
	return 0;
}

bool row_list_gap(const struct row_list *l, size_t *block, uint64_t *start, uint64_t limit,
		  uint64_t *ret_end)
{
	const struct row_block *b = row_list_blocks(l);

	while (*block < l->n_sealed && b[*block].start <= *start) {
		*start = MAX(*start, b[*block].end);
		(*block)++;
	}
	if (*start >= limit)
		return false;
	*ret_end = *block < l->n_sealed ? MIN(b[*block].start, limit) : limit;
	return true;
}

bool row_list_covers(const struct row_list *l, uint64_t offset)
{
	const struct row_block *b = row_list_blocks(l);
	size_t at = PARTITION_POINT(mid, 0, l->n_sealed, b[mid].end <= offset);

	return at < l->n_sealed && b[at].start <= offset;
}
