/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct rows_pool: which pages of rows lie where in the kernel's pool. First fit over blocks of
 * 1 KiB within chunks; when it is full, pages the kernel has not searched since the last sweep are
 * evicted (second chance). An evicted page's memory rests for a while before it is used again:
 * a program that just found it may still be reading.
 */
#pragma once

#include "agent/base/hash.h"
#include "bpf/types.h"

struct rows_pool;

struct rows_pool_options {
	int pages_fd; /* borrowed: struct page_key -> struct page_value */
	int pool_fd;  /* borrowed: the pool, an array of struct rows_chunk */
	uint32_t n_chunks;
	uint32_t max_pages; /* of the pages map */
};

int rows_pool_new(const struct rows_pool_options *o, struct rows_pool **ret);
struct rows_pool *rows_pool_free(struct rows_pool *p);
/*
 * 0: the kernel has the page now, or had it. -EAGAIN: there is no room, others were evicted for it
 * and their memory is free in a moment. -E2BIG: a page that can never fit; -ENOMEM, or what the
 * map said.
 */
int rows_pool_load(struct rows_pool *p, uint32_t file, uint32_t page, const struct rows_page *rows);
/* Evicts the pages of a file. */
void rows_pool_forget(struct rows_pool *p, uint32_t file);

struct rows_pool_stats {
	uint64_t loaded, evicted, bytes, pages;
};
void rows_pool_get_stats(const struct rows_pool *p, struct rows_pool_stats *ret);
