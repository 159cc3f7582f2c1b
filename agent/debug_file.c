/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/debug_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/debuginfod.h"
#include "agent/tables.h"
#include "symbolizer/objfile.h"
#include "symbolizer/table.h"

struct debug_file *debug_file_free(struct debug_file *d)
{
	if (!d)
		return NULL;
	if (d->state == DEBUG_LOADING)
		tables_cancel(d->tables, d);
	if (d->state == DEBUG_FETCHING)
		debuginfod_cancel(d->debuginfod, d);
	for (size_t i = 0; i < d->n_split; i++)
		close(d->split[i]);
	if (d->fd >= 0)
		close(d->fd);
	if (d->alt_fd >= 0)
		close(d->alt_fd);
	if (d->root_fd >= 0)
		close(d->root_fd);
	table_free(d->names);
	free(d->path);
	free(d);
	return NULL;
}

static void refuse(struct debug_file *d, const char *why)
{
	log_debug("'%s' is not used: %s", d->path, why);
	d->state = DEBUG_REFUSED;
	if (d->fd >= 0)
		close(TAKE_FD(d->fd));
	d->names = table_free(d->names);
}

static void find_alt(struct debug_file *d, const struct debug_search *s,
		     const struct table_info *info, const char *path)
{
	struct debug_found found;

	if (debug_search_alt(s, info, path, &found) == 0)
		d->alt_fd = found.fd;
}

static void on_names(void *data, int r, struct table *table)
{
	struct debug_file *d = data;
	const struct table_info *info = r < 0 ? NULL : table_get_info(table);

	d->names = r < 0 ? NULL : table;
	d->state = DEBUG_READY;
	if (!info)
		refuse(d, "it cannot be read");
	else if (d->check_crc && info->file_crc != d->crc)
		refuse(d,
		       "its checksum is not that of .gnu_debuglink: it belongs to another build");
	d->done(d->data);
}

/* The separate file: its names first, and that tells whether it is the right one. */
static int load_names(struct debug_file *d)
{
	int fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	d->state = DEBUG_LOADING;
	r = tables_load(d->tables, fd, BUILD_DEBUG, on_names, d);
	if (r < 0)
		d->state = DEBUG_NONE;
	return r;
}

static int take_fetched(struct debug_file *d, int fd)
{
	d->fd = fd;
	d->path = strdup("debuginfod");
	return d->path ? load_names(d) : -ENOMEM;
}

static void on_fetched(void *data, int fd)
{
	struct debug_file *d = data;

	d->state = DEBUG_NONE;
	if (fd < 0 || take_fetched(d, fd) < 0)
		d->done(d->data);
}

/* What no directory has, a server may. */
static int fetch(struct debug_file *d, const struct table_info *info)
{
	int r;

	if (!d->debuginfod || !info->build_id_bytes)
		return 0;
	r = debuginfod_get(d->debuginfod, info->build_id, info->build_id_bytes, on_fetched, d);
	if (r >= 0)
		return take_fetched(d, r);
	if (r == -EINPROGRESS)
		d->state = DEBUG_FETCHING;
	return r == -ENOMEM ? r : 0;
}

static int find(struct debug_file *d, const struct debug_search *s)
{
	struct debug_found found;
	int r;

	/* A Go program has it all in its own table, stripped or not. */
	if (s->info->flags & (TABLE_HAS_DEBUG | TABLE_IS_GO)) {
		d->state = DEBUG_READY;
		if (s->info->flags & TABLE_HAS_DEBUG)
			find_alt(d, s, s->info, s->path);
		return 0;
	}
	close(TAKE_FD(d->fd));
	r = debug_search_file(s, &found);
	if (r < 0 && (r != -ESTALE || (d->debuginfod && s->info->build_id_bytes)))
		return fetch(d, s->info);
	d->path = strdup(found.path);
	if (!d->path) {
		if (r >= 0)
			close(found.fd);
		return -ENOMEM;
	}
	if (r == -ESTALE) {
		refuse(d, "its build id is not that of the file: it belongs to another build");
		return 0;
	}
	d->fd = found.fd;
	d->check_crc = found.match == DEBUG_CHECK_CRC;
	d->crc = s->info->debuglink_crc;
	return load_names(d);
}

int debug_file_new(const struct debug_file_options *o, int fd, int root_fd, const char *path,
		   const struct table_info *info, void (*done)(void *data), void *data,
		   struct debug_file **ret)
{
	_cleanup_(debug_file_freep) struct debug_file *d = calloc(1, sizeof(*d));
	const struct debug_search s = {
		.root_fd = root_fd,
		.path = path,
		.info = info,
		.dirs = &o->dirs,
	};
	int r;

	if (!d) {
		close(fd);
		if (root_fd >= 0)
			close(root_fd);
		return -ENOMEM;
	}
	*d = (struct debug_file){
		.fd = fd,
		.alt_fd = -1,
		.root_fd = root_fd,
		.tables = o->tables,
		.debuginfod = o->debuginfod,
		.done = done,
		.data = data,
	};
	r = find(d, &s);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

bool debug_file_is_pending(const struct debug_file *d)
{
	return d && (d->state == DEBUG_FETCHING || d->state == DEBUG_LOADING);
}

bool debug_file_has_lines(const struct debug_file *d)
{
	return d && d->state == DEBUG_READY && d->fd >= 0;
}

int debug_file_add_split(struct debug_file *d, const char *comp_dir, const char *name)
{
	const struct debug_search s = {.root_fd = d->root_fd, .path = ""};
	struct debug_found found;
	int r;

	if (d->n_split == DEBUG_SPLIT_MAX)
		return -ENOSPC;
	r = debug_search_path(&s, comp_dir, name, &found);
	if (r == 0)
		d->split[d->n_split++] = found.fd;
	return r;
}

const char *debug_file_describe(const struct debug_file *d)
{
	if (!d || d->state == DEBUG_NONE || d->state == DEBUG_FETCHING)
		return "no debug file";
	if (d->state == DEBUG_REFUSED)
		return "debug file of another build";
	return d->path ? d->path : "in the file";
}
