/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of rows: the writer, and the reader that trusts nothing of what was written. */
#include "unwinders/rows_page.h"

#include <errno.h>
#include <string.h>

struct rows_pager *rows_pager_new(struct table_writer *w, const uint64_t *rules, size_t n_rules,
				  struct rows_stats *stats)
{
	_cleanup_(rows_pager_freep) struct rows_pager *p = malloc(sizeof(*p));

	if (!p)
		return NULL;
	/* The arrays are written before they are read. */
	memset(p, 0, offsetof(struct rows_pager, starts));
	p->pages = &w->sections[TABLE_ROWS];
	p->index = &w->sections[TABLE_ROWS_INDEX];
	p->rules = rules;
	p->stats = stats;
	p->seen = calloc(n_rules, sizeof(*p->seen));
	return p->seen ? TAKE_PTR(p) : NULL;
}

struct rows_pager *rows_pager_free(struct rows_pager *p)
{
	if (p)
		free(p->seen);
	free(p);
	return NULL;
}

static uint32_t local_rule(struct rows_pager *p, uint32_t rule)
{
	/* Pages are 20 bits (file offsets have 36), so plus 1 can not wrap. */
	uint32_t page = (uint32_t)p->page + 1;

	if (p->seen[rule].page != page) {
		p->seen[rule].page = page;
		p->seen[rule].local = p->n_rules;
		p->page_rules[p->n_rules++] = p->rules[rule];
	}
	return p->seen[rule].local;
}

static void push_row(struct rows_pager *p, uint16_t start, uint32_t rule)
{
	/* The last place says that the rest is not known. */
	if (p->n_rows == ROWS_MAX)
		return;
	if (p->n_rows == ROWS_MAX - 1)
		rule = 0;
	p->starts[p->n_rows] = start;
	p->indices[p->n_rows++] = (uint16_t)local_rule(p, rule);
}

static void count_rows(struct rows_pager *p)
{
	p->stats->pages++;
	p->stats->rows += p->n_rows;
	for (uint32_t i = 0; i < p->n_rows; i++) {
		uint64_t rule = p->page_rules[p->indices[i]];
		uint32_t end = i + 1 < p->n_rows ? p->starts[i + 1] : ROWS_PAGE_SIZE;

		p->stats->kinds[RULE_KIND(rule)]++;
		if (RULE_KIND(rule) != RULE_INVALID)
			p->stats->covered_bytes += end - p->starts[i];
	}
}

static void flush(struct rows_pager *p)
{
	struct rows_page head = {.n_rows = (uint16_t)p->n_rows, .n_rules = (uint16_t)p->n_rules};
	struct rows_index index = {.page = (uint32_t)p->page};
	uint8_t *out;

	if (!p->n_rows || (p->n_rules == 1 && p->page_rules[0] == RULE_INVALID)) {
		p->n_rows = p->n_rules = 0;
		return;
	}
	head.bytes = ROWS_RULES(0, p->n_rows) + 8 * p->n_rules;
	index.offset = (uint32_t)(p->pages->len / 8);
	out = buf_grow(p->pages, head.bytes);
	if (!out)
		return;
	memset(out, 0, ROWS_RULES(0, p->n_rows));
	memcpy(out, &head, sizeof(head));
	memcpy(out + ROWS_STARTS(0), p->starts, 2 * p->n_rows);
	memcpy(out + ROWS_INDICES(0, p->n_rows), p->indices, 2 * p->n_rows);
	memcpy(out + ROWS_RULES(0, p->n_rows), p->page_rules, 8 * p->n_rules);
	buf_add(p->index, &index, sizeof(index));
	count_rows(p);
	p->n_rows = p->n_rules = 0;
}

/* Ends the page; those between it and `page` consist of the rule that holds. */
static void move_to(struct rows_pager *p, uint64_t page)
{
	if (p->page == page)
		return;
	flush(p);
	/* Without a rule there is nothing to write until then. */
	while (p->rule && !p->pages->failed && ++p->page < page) {
		push_row(p, 0, p->rule);
		flush(p);
	}
	p->page = page;
}

void rows_pager_add(struct rows_pager *p, uint64_t offset, uint32_t rule)
{
	if (offset > FILE_OFFSET_MASK || rule == p->rule)
		return;
	move_to(p, offset >> ROWS_PAGE_SHIFT);
	if (!p->n_rows && (uint16_t)offset)
		push_row(p, 0, p->rule);
	push_row(p, (uint16_t)offset, rule);
	p->rule = rule;
}

void rows_pager_add_block(struct rows_pager *p, const struct row_list *l,
			  const struct row_block *block)
{
	const uint64_t *rows = (const uint64_t *)l->rows.data + block->first;
	uint64_t at = block->start;
	uint32_t rule = 0;

	/* A block that was cut begins in the middle of its rows. */
	for (uint32_t i = 0; i < block->n_rows; i++) {
		uint64_t start = rows[i] >> ROW_LIST_RULE_BITS;

		if (start >= block->end)
			break;
		if (start > at) {
			rows_pager_add(p, at, rule);
			at = start;
		}
		rule = (uint32_t)(rows[i] & ((1u << ROW_LIST_RULE_BITS) - 1));
	}
	rows_pager_add(p, at, rule);
}

int rows_pager_finish(struct rows_pager *p)
{
	flush(p);
	return p->pages->failed ? p->pages->failed : p->index->failed;
}

/* ---- reading ---- */

static const uint16_t *page_starts(const struct rows_page *p)
{
	return (const uint16_t *)((const uint8_t *)p + ROWS_STARTS(0));
}

static const uint16_t *page_indices(const struct rows_page *p)
{
	return (const uint16_t *)((const uint8_t *)p + ROWS_INDICES(0, p->n_rows));
}

static bool page_is_valid(const struct rows_page *p, size_t bytes)
{
	const uint16_t *starts, *indices;

	if (bytes < sizeof(*p) || p->bytes > bytes || !p->n_rows || p->n_rows > ROWS_MAX ||
	    !p->n_rules || p->n_rules > p->n_rows ||
	    p->bytes != ROWS_RULES(0, (uint32_t)p->n_rows) + 8u * p->n_rules)
		return false;
	starts = page_starts(p);
	indices = page_indices(p);
	if (starts[0])
		return false;
	for (uint32_t i = 0; i < p->n_rows; i++)
		if (indices[i] >= p->n_rules || (i && starts[i] <= starts[i - 1]))
			return false;
	return true;
}

/* Where the page lies; *ret_bytes: how much of the section follows. */
static const struct rows_page *page_find(const struct table *t, uint64_t page, size_t *ret_bytes)
{
	size_t index_bytes, bytes, n, at;
	const struct rows_index *index = table_section(t, TABLE_ROWS_INDEX, &index_bytes);
	const uint8_t *pages = table_section(t, TABLE_ROWS, &bytes);
	uint64_t offset;

	if (!index || !pages || ((uintptr_t)index | (uintptr_t)pages) & 7)
		return NULL;
	n = index_bytes / sizeof(*index);
	at = PARTITION_POINT(mid, 0, n, index[mid].page < page);
	if (at == n || index[at].page != page)
		return NULL;
	offset = (uint64_t)index[at].offset * 8;
	if (offset > bytes)
		return NULL;
	*ret_bytes = bytes - (size_t)offset;
	return (const struct rows_page *)(pages + offset);
}

const struct rows_page *rows_page_get(const struct table *t, uint64_t page, size_t *ret_bytes)
{
	size_t room;
	const struct rows_page *p = page_find(t, page, &room);

	if (!p || !page_is_valid(p, room))
		return NULL;
	*ret_bytes = p->bytes;
	return p;
}

const struct rows_page *rows_page_get_again(const struct table *t, uint64_t page)
{
	size_t room;

	return page_find(t, page, &room);
}

uint64_t rows_lookup(const struct rows_page *p, uint16_t offset)
{
	const uint16_t *starts = page_starts(p);
	uint32_t lo = 0, hi = p->n_rows;
	uint64_t rule;

	while (hi - lo > 1) {
		uint32_t mid = (lo + hi) / 2;

		if (starts[mid] <= offset)
			lo = mid;
		else
			hi = mid;
	}
	memcpy(&rule,
	       (const uint8_t *)p + ROWS_RULES(0, (uint32_t)p->n_rows) + 8 * page_indices(p)[lo],
	       sizeof(rule));
	return rule;
}

void rows_empty_page(void *ret_page, uint64_t rule)
{
	struct rows_page head = {.n_rows = 1, .n_rules = 1, .bytes = ROWS_EMPTY_PAGE_BYTES};

	_Static_assert(ROWS_RULES(0, 1) + 8 == ROWS_EMPTY_PAGE_BYTES, "rows_empty_page");
	memset(ret_page, 0, ROWS_EMPTY_PAGE_BYTES);
	memcpy(ret_page, &head, sizeof(head));
	memcpy((uint8_t *)ret_page + ROWS_RULES(0, 1), &rule, sizeof(rule));
}
