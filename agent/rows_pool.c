/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rows_pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/base/clock.h"

#define BLOCK_BYTES	 1024u
#define BLOCKS_PER_CHUNK (ROWS_CHUNK_BYTES / BLOCK_BYTES)
#define REST_MS		 1000

struct page {
	struct page_key key;
	uint32_t block, n_blocks;
	uint64_t free_at_ms; /* 0: in use; else evicted, its blocks rest until then */
};

struct rows_pool {
	struct rows_pool_options o;
	uint8_t *used; /* one byte a block */
	struct page *pages;
	size_t n_pages, cap_pages, hand;
	struct hash by_key;
	uint32_t resting; /* blocks of evicted pages */
	struct rows_pool_stats stats;
};

static uint64_t key_word(uint32_t file, uint32_t page)
{
	return (uint64_t)file << 32 | page;
}

int rows_pool_new(const struct rows_pool_options *o, struct rows_pool **ret)
{
	struct rows_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->o = *o;
	p->used = calloc(o->n_chunks, BLOCKS_PER_CHUNK);
	if (!p->used) {
		free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

struct rows_pool *rows_pool_free(struct rows_pool *p)
{
	if (!p)
		return NULL;
	hash_done(&p->by_key);
	free(p->used);
	free(p->pages);
	free(p);
	return NULL;
}

/* First fit; a page never crosses a chunk. -ENOSPC when there is no such run. */
static int64_t find_blocks(const struct rows_pool *p, uint32_t n)
{
	for (uint32_t chunk = 0; chunk < p->o.n_chunks; chunk++) {
		uint32_t run = 0;

		for (uint32_t i = 0; i < BLOCKS_PER_CHUNK; i++) {
			run = p->used[chunk * BLOCKS_PER_CHUNK + i] ? 0 : run + 1;
			if (run == n)
				return (int64_t)chunk * BLOCKS_PER_CHUNK + i + 1 - n;
		}
	}
	return -ENOSPC;
}

static void drop_entry(struct rows_pool *p, size_t i)
{
	struct page *page = &p->pages[i];

	memset(p->used + page->block, 0, page->n_blocks);
	if (page->free_at_ms)
		p->resting -= page->n_blocks;
	*page = p->pages[--p->n_pages];
	if (i < p->n_pages && !page->free_at_ms)
		(void)hash_put(&p->by_key, key_word(page->key.file, page->key.page), i);
}

static void release_rested(struct rows_pool *p)
{
	uint64_t now = clock_ms();

	for (size_t i = 0; i < p->n_pages;) {
		if (p->pages[i].free_at_ms && p->pages[i].free_at_ms <= now)
			drop_entry(p, i);
		else
			i++;
	}
}

/* Whether the kernel searched the page since it was last asked. */
static bool page_was_used(struct rows_pool *p, const struct page *page)
{
	struct page_value v;

	if (bpf_map_lookup_elem(p->o.pages_fd, &page->key, &v) < 0 || !v.used)
		return false;
	v.used = 0;
	(void)bpf_map_update_elem(p->o.pages_fd, &page->key, &v, BPF_EXIST);
	return true;
}

static void evict(struct rows_pool *p, struct page *page)
{
	(void)bpf_map_delete_elem(p->o.pages_fd, &page->key);
	(void)hash_del(&p->by_key, key_word(page->key.file, page->key.page));
	page->free_at_ms = clock_ms() + REST_MS;
	p->resting += page->n_blocks;
	p->stats.evicted++;
	p->stats.pages--;
	p->stats.bytes -= page->n_blocks * BLOCK_BYTES;
}

/* Evicts pages worth at least `n` blocks, a sixteenth of the pool at least: evicting one by one
 * would cost a sweep for each. What rests already will be room soon: no more is evicted then, else
 * the whole pool would go in the time of a rest. */
static void make_room(struct rows_pool *p, uint32_t n)
{
	uint32_t goal = MAX(n, p->o.n_chunks * BLOCKS_PER_CHUNK / 16), got = 0;

	if (p->resting >= goal && p->stats.pages < p->o.max_pages)
		return;
	for (size_t i = 0; i < 2 * p->n_pages && got < goal; i++) {
		struct page *page = &p->pages[p->hand++ % p->n_pages];

		if (page->free_at_ms || (i < p->n_pages && page_was_used(p, page)))
			continue;
		got += page->n_blocks;
		evict(p, page);
	}
}

static struct page *add_entry(struct rows_pool *p)
{
	if (p->n_pages == p->cap_pages) {
		size_t cap = p->cap_pages ? p->cap_pages * 2 : 64;
		struct page *pages = realloc(p->pages, cap * sizeof(*pages));

		if (!pages)
			return NULL;
		p->pages = pages;
		p->cap_pages = cap;
	}
	return &p->pages[p->n_pages];
}

/* Only the part that is written is mapped, and for the moment only: the kernel fills in all page
 * tables of such a mapping at once, and mapped pages count as the agent's memory. */
static int write_pool(struct rows_pool *p, uint32_t block, const struct rows_page *rows)
{
	uint64_t at = (uint64_t)block * BLOCK_BYTES;
	uint64_t start = at & ~((uint64_t)sysconf(_SC_PAGESIZE) - 1);
	size_t bytes = (size_t)(at - start) + rows->bytes;
	uint8_t *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->o.pool_fd, (off_t)start);

	if (memory == MAP_FAILED)
		return -errno;
	memcpy(memory + (at - start), rows, rows->bytes);
	munmap(memory, bytes);
	return 0;
}

int rows_pool_load(struct rows_pool *p, uint32_t file, uint32_t page, const struct rows_page *rows)
{
	uint32_t n = (rows->bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct page_key key = {.file = file, .page = page};
	struct page_value value;
	struct page *entry;
	int64_t block;
	int r;

	if (hash_get(&p->by_key, key_word(file, page)) != HASH_NONE)
		return 0;
	if (n > BLOCKS_PER_CHUNK)
		return -E2BIG;
	release_rested(p);
	block = p->stats.pages < p->o.max_pages ? find_blocks(p, n) : -ENOSPC;
	if (block < 0) {
		/* The memory becomes free when it has rested; until then the page's samples are
		 * finished in user space. */
		make_room(p, n);
		return -EAGAIN;
	}
	entry = add_entry(p);
	if (!entry)
		return -ENOMEM;
	*entry = (struct page){.key = key, .block = (uint32_t)block, .n_blocks = n};
	if (hash_put(&p->by_key, key_word(file, page), p->n_pages) < 0)
		return -ENOMEM;
	r = write_pool(p, (uint32_t)block, rows);
	if (r < 0) {
		(void)hash_del(&p->by_key, key_word(file, page));
		return r;
	}
	value = (struct page_value){.offset = (uint32_t)block * BLOCK_BYTES,
				    .n_rows = rows->n_rows};
	if (bpf_map_update_elem(p->o.pages_fd, &key, &value, BPF_ANY) < 0) {
		r = -errno;
		(void)hash_del(&p->by_key, key_word(file, page));
		return r;
	}
	memset(p->used + block, 1, n);
	p->n_pages++;
	p->stats.loaded++;
	p->stats.pages++;
	p->stats.bytes += n * BLOCK_BYTES;
	return 0;
}

void rows_pool_forget(struct rows_pool *p, uint32_t file)
{
	for (size_t i = 0; i < p->n_pages; i++) {
		if (p->pages[i].key.file == file && !p->pages[i].free_at_ms)
			evict(p, &p->pages[i]);
	}
}

void rows_pool_get_stats(const struct rows_pool *p, struct rows_pool_stats *ret)
{
	*ret = p->stats;
}
