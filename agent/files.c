/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/files.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "agent/base/hash.h"
#include "agent/base/log.h"
#include "agent/regular_file.h"
#include "agent/runtimes.h"
#include "agent/tables.h"
#include "symbolizer/objfile.h"
#include "symbolizer/table.h"
#include "unwinders/rows.h"

/* Below the first number all files are kept, above the second only those just used: each has a
 * mapping, and a process may have 65,530 of these (vm.max_map_count). */
#define FILES_FEW  1024
#define FILES_MANY 8192

struct files {
	struct files_options o;
	struct hash by_id;	 /* id -> pointer to struct file */
	struct hash by_key;	 /* hash of the key -> pointer */
	struct hash valid_pages; /* file id << 32 | page: rows_page_get() has given it out */
	uint32_t interval;
	struct files_stats stats;
	size_t loading, loading_debug;
};

int files_new(const struct files_options *o, struct files **ret)
{
	struct files *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->o = *o;
	*ret = f;
	return 0;
}

static void close_fds(struct file *file)
{
	if (file->fd >= 0)
		close(TAKE_FD(file->fd));
	if (file->root_fd >= 0)
		close(TAKE_FD(file->root_fd));
}

static void file_free(struct file *file)
{
	if (file->debug) {
		file->files->loading_debug -= debug_file_is_pending(file->debug);
		line_cache_forget(file->files->o.lines, file->debug);
		debug_file_free(file->debug);
	}
	close_fds(file);
	table_free(file->table);
	free(file->path);
	free(file);
}

struct files *files_free(struct files *f)
{
	if (!f)
		return NULL;
	HASH_FOREACH (s, &f->by_id)
		file_free((struct file *)(uintptr_t)s->value);
	hash_done(&f->by_id);
	hash_done(&f->by_key);
	hash_done(&f->valid_pages);
	free(f);
	return NULL;
}

static struct file *file_get(const struct files *f, uint32_t id)
{
	uint64_t v = hash_get(&f->by_id, id);

	return v == HASH_NONE ? NULL : (struct file *)(uintptr_t)v;
}

const struct file *files_get(const struct files *f, uint32_t id)
{
	struct file *file = file_get(f, id);

	if (!file)
		return NULL;
	file->last_interval = f->interval;
	if (file->alias)
		file = file_get(f, file->alias);
	if (file)
		file->last_interval = f->interval;
	return file;
}

static struct file *file_add(struct files *f, uint32_t id, const struct file_key *key, char *path)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file || !path)
		goto fail;
	file->files = f;
	file->id = id;
	file->fd = file->root_fd = -1;
	file->last_interval = f->interval;
	file->key = *key;
	file->path = path;
	file->name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	if (hash_put(&f->by_id, id, (uintptr_t)file) < 0)
		goto fail;
	f->stats.files++;
	return file;
fail:
	free(file);
	free(path);
	return NULL;
}

/* `table` is that of another entry for the same file when the kernel numbered it again. */
static void tell_kernel(struct files *f, const struct file *file, const struct table *table)
{
	const struct table_info *info = table ? table_get_info(table) : NULL;
	enum range_state state = RANGE_BAD;
	uint32_t runtime = RUNTIME_NONE;

	if (info)
		state = info->flags & TABLE_HAS_ROWS ? RANGE_ROWS : RANGE_FP;
	if (table && f->o.runtimes)
		runtime = runtimes_file(f->o.runtimes, file->id, table);
	(void)profiler_set_file(f->o.profiler, &file->key, file->id, state, runtime);
}

void files_tell_kernel(struct files *f)
{
	HASH_FOREACH (s, &f->by_id) {
		const struct file *file = (const struct file *)(uintptr_t)s->value;
		const struct file *owner = file->alias ? file_get(f, file->alias) : file;

		if (file->id >= FILE_ID_FIRST && file->state == FILE_READY && owner)
			tell_kernel(f, file, owner->table);
	}
	profiler_forget_ranges(f->o.profiler);
}

/* Tells the kernel and whoever waits. */
static void file_done(struct files *f, struct file *file, int r)
{
	if (r < 0) {
		file->state = FILE_FAILED;
		file->error = r;
		f->stats.failed++;
		log_debug_errno(r, "cannot read '%s': its frames will have no names", file->path);
	} else {
		file->state = FILE_READY;
		f->stats.ready++;
	}
	if (file->id >= FILE_ID_FIRST)
		tell_kernel(f, file, file->table);
	f->o.ready(f->o.data, file);
}

static void on_debug(void *data)
{
	struct file *file = data;

	file->files->loading_debug--;
	/* Stacks that came before have frames in it. */
	file->files->o.ready(file->files->o.data, file);
}

/* Looks for the debug information while the process is there. */
static void find_debug(struct files *f, struct file *file)
{
	int fd = TAKE_FD(file->fd), root_fd = TAKE_FD(file->root_fd);

	if (fd < 0)
		return;
	if (debug_file_new(&f->o.debug, fd, root_fd, file->path, file->info, on_debug, file,
			   &file->debug) < 0)
		return;
	f->loading_debug += debug_file_is_pending(file->debug);
}

static void on_table(void *data, int r, struct table *table)
{
	struct file *file = data;

	file->files->loading--;
	if (r >= 0) {
		file->table = table;
		file->info = table_get_info(table);
		if (!file->info) {
			file->table = table_free(table);
			r = -EBADMSG;
		}
	}
	for (uint32_t i = 0; r >= 0 && i < file->info->build_id_bytes; i++)
		(void)snprintf(file->build_id + 2 * i, 3, "%02x", file->info->build_id[i]);
	if (r >= 0)
		find_debug(file->files, file);
	close_fds(file);
	file_done(file->files, file, r);
}

/* fd is taken. */
static void file_load(struct files *f, struct file *file, int fd)
{
	int r;

	file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r = tables_load(f->o.tables, fd, BUILD_FILE, on_table, file);

	if (r < 0)
		file_done(f, file, r);
	else
		f->loading++;
}

/* A path below a root that cannot be left, not even through links; must be the announced inode. */
static int open_below(const char *root, const char *path, const struct event_file *e)
{
	_cleanup_close_ int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (dir < 0)
		return -errno;
	fd = regular_file_open(dir, path, &st);
	if (fd < 0)
		return fd;
	if (st.st_ino != e->key.ino || (uint64_t)st.st_size != e->size)
		return -ESTALE;
	return TAKE_FD(fd);
}

/*
 * The mapping itself first: it is the file even when the path leads elsewhere by now. Then the
 * path in the process's root, then in ours; these must prove to be the same inode.
 */
static int open_file(const struct event_file *e, const char *path)
{
	_cleanup_close_ int mapping = -1;
	char name[128];
	struct stat st;
	int fd;

	(void)snprintf(name, sizeof(name), "/proc/%u/map_files/%llx-%llx", e->tgid, e->vm_start,
		       e->vm_end);
	mapping = open(name, O_PATH | O_CLOEXEC);
	if (mapping >= 0)
		return regular_file_reopen(mapping, &st);
	if (path[0] != '/')
		return -ENOENT;
	(void)snprintf(name, sizeof(name), "/proc/%u/root", e->tgid);
	fd = open_below(name, path + 1, e);
	if (fd < 0)
		fd = open_below("/", path + 1, e);
	return fd < 0 ? -ENOENT : fd;
}

/* Where a directory is: the mount tells a root in another namespace from ours, the inode one made
 * by chroot(2). Before Linux 5.8 stx_mnt_id is 0. */
static int read_place(int dir_fd, const char *path, struct statx *ret)
{
	*ret = (struct statx){0};
	return statx(dir_fd, path, AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, ret) < 0 ? -errno : 0;
}

static bool is_same_place(const struct statx *a, const struct statx *b)
{
	return a->stx_mnt_id == b->stx_mnt_id && a->stx_ino == b->stx_ino &&
	       a->stx_dev_major == b->stx_dev_major && a->stx_dev_minor == b->stx_dev_minor;
}

/* Makes path, which the kernel tells from the root of the mounts, what a process below `root` calls
 * it. */
static void path_below(const char *root, size_t n, char *path)
{
	if (n > 1 && !strncmp(path, root, n) && path[n] == '/')
		memmove(path, path + n, strlen(path + n) + 1);
}

/* The root of a process that has another one than we; -1: ours, or it is gone. The path becomes one
 * in that root. */
static int open_root(uint32_t tgid, char *path)
{
	_cleanup_close_ int fd = -1;
	struct statx theirs, ours;
	char name[64], root[4096];
	ssize_t n;

	(void)snprintf(name, sizeof(name), "/proc/%u/root", tgid);
	fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || read_place(fd, "", &theirs) < 0 || read_place(AT_FDCWD, "/", &ours) < 0 ||
	    is_same_place(&theirs, &ours))
		return -1;
	n = readlink(name, root, sizeof(root));
	if (n > 0 && (size_t)n < sizeof(root))
		path_below(root, (size_t)n, path);
	return TAKE_FD(fd);
}

/* The kernel lists components from the leaf to the root. */
static char *event_path(const struct event_file *e)
{
	uint32_t n = MIN(e->path_bytes, (uint32_t)sizeof(e->path)), end;
	char *path = malloc(n + 2), *to = path;

	if (!path)
		return NULL;
	while (n > 0 && e->path[n - 1] == '\0') {
		end = n - 1;
		for (n = end; n > 0 && e->path[n - 1] != '\0'; n--)
			;
		*to++ = '/';
		memcpy(to, e->path + n, end - n);
		to += end - n;
	}
	*to = '\0';
	return path;
}

void files_on_event(struct files *f, const struct event_file *e)
{
	uint64_t hash = hash_bytes(&e->key, sizeof(e->key));
	uint64_t known = hash_get(&f->by_key, hash);
	struct file *file = file_add(f, e->id, &e->key, event_path(e));
	int fd;

	if (!file)
		return;
	if (known != HASH_NONE) {
		/* The kernel forgot the file and numbered it again. */
		struct file *first = (struct file *)(uintptr_t)known;

		if (!memcmp(&first->key, &e->key, sizeof(e->key)) && first->state == FILE_READY) {
			file->alias = first->id;
			file->state = FILE_READY;
			tell_kernel(f, file, first->table);
			f->o.ready(f->o.data, file);
			return;
		}
	}
	(void)hash_put(&f->by_key, hash, (uintptr_t)file);
	fd = open_file(e, file->path);
	file->root_fd = open_root(e->tgid, file->path);
	if (fd < 0) {
		f->stats.vanished++;
		file_done(f, file, fd);
		return;
	}
	file_load(f, file, fd);
}

int files_add_vdso(struct files *f)
{
	const Elf64_Ehdr *image = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	_cleanup_close_ int fd = -1;
	struct file_key key = {0};
	struct file *file;
	size_t bytes;

	if (!image)
		return -ENOENT;
	bytes = image->e_shoff + (size_t)image->e_shnum * image->e_shentsize;
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, image, bytes) != (ssize_t)bytes)
		return -EIO;
	file = file_add(f, FILE_ID_VDSO, &key, strdup("[vdso]"));
	if (!file)
		return -ENOMEM;
	file_load(f, file, TAKE_FD(fd));
	return 0;
}

/* The page of a frame word, validated when it is first needed. NULL: none. */
static const struct rows_page *page_of(struct files *f, const struct file *file, uint32_t number)
{
	uint64_t key = (uint64_t)file->id << 32 | number;
	const struct rows_page *page;
	size_t bytes;

	if (hash_get(&f->valid_pages, key) != HASH_NONE)
		return rows_page_get_again(file->table, number);
	page = rows_page_get(file->table, number, &bytes);
	if (page)
		(void)hash_put(&f->valid_pages, key, 1);
	return page;
}

int files_rule(struct files *f, uint64_t frame, uint64_t *ret_rule)
{
	uint32_t id = FRAME_FILE(frame),
		 number = (uint32_t)(FRAME_OFFSET(frame) >> ROWS_PAGE_SHIFT);
	const struct file *file = files_get(f, id);
	const struct rows_page *page;
	uint64_t empty[ROWS_EMPTY_PAGE_BYTES / 8];

	/* Its announcement was lost, or it was forgotten: nothing is known, so nothing may end
	 * here. */
	if (!file)
		return -EBADMSG;
	if (file->state == FILE_LOADING)
		return -EAGAIN;
	if (file->state == FILE_FAILED)
		return -EBADMSG;
	if (!(file->info->flags & TABLE_HAS_ROWS))
		return -ENODATA;
	page = page_of(f, file, number);
	if (!page) {
		rows_empty_page(empty, RULE_INVALID);
		page = (const struct rows_page *)empty;
	}
	*ret_rule = rows_lookup(page, (uint16_t)FRAME_OFFSET(frame));
	(void)profiler_load_page(f->o.profiler, id, number, page);
	return 0;
}

/* How long files that nothing asks for are kept: for ever while there are few of them. */
static uint32_t idle_intervals(const struct files *f)
{
	if (f->by_id.count <= FILES_FEW)
		return UINT32_MAX;
	return f->by_id.count <= FILES_MANY ? 20 : 2;
}

static bool file_is_idle(const struct files *f, const struct file *file, uint32_t idle)
{
	return file->id >= FILE_ID_FIRST && file->state != FILE_LOADING &&
	       f->interval - file->last_interval > idle;
}

/* An entry that others share the table of was asked for whenever they were: it goes last. */
static void forget_idle(struct files *f, uint32_t idle)
{
	_cleanup_free_ struct file_key *keys = calloc(f->by_id.count, sizeof(*keys));
	struct hash kept = {0};
	size_t n = 0;

	if (!keys)
		return;
	HASH_FOREACH (s, &f->by_id) {
		struct file *file = (struct file *)(uintptr_t)s->value;
		uint64_t key = hash_bytes(&file->key, sizeof(file->key));

		if (!file_is_idle(f, file, idle) && hash_put(&kept, s->key, s->value) == 0)
			continue;
		keys[n++] = file->key;
		if (hash_get(&f->by_key, key) == (uintptr_t)file)
			(void)hash_del(&f->by_key, key);
		if (f->o.runtimes)
			runtimes_forget_file(f->o.runtimes, file->id);
		file_free(file);
	}
	hash_done(&f->by_id);
	f->by_id = kept;
	hash_done(&f->valid_pages);
	if (n)
		profiler_forget_files(f->o.profiler, keys, n);
	f->stats.forgotten += n;
}

void files_next_interval(struct files *f)
{
	uint32_t idle = idle_intervals(f);

	f->interval++;
	if (idle != UINT32_MAX)
		forget_idle(f, idle);
	HASH_FOREACH (s, &f->by_id) {
		const struct file *file = (const struct file *)(uintptr_t)s->value;

		if (file->table)
			(void)madvise((void *)(uintptr_t)file->table->data, file->table->bytes,
				      MADV_DONTNEED);
	}
}

size_t files_loading(const struct files *f)
{
	return f->loading + f->loading_debug;
}

int files_names(struct files *f, const struct file *file, uint64_t offset,
		struct symbols_names *ret)
{
	const struct symbols symbols = {
		.table = file->table, .debug = file->debug, .lines = f->o.lines};
	uint64_t vaddr;

	ret->vaddr = offset;
	ret->n = 0;
	if (!file->table || table_offset_to_vaddr(file->table, offset, &vaddr) < 0)
		return 0;
	return symbols_get(&symbols, vaddr, ret);
}

bool files_want(struct files *f, const struct file *file, uint64_t offset)
{
	const struct symbols symbols = {.debug = file->debug, .lines = f->o.lines};
	uint64_t vaddr;
	int r;

	if (!debug_file_has_lines(file->debug) || !file->table ||
	    table_offset_to_vaddr(file->table, offset, &vaddr) < 0)
		return false;
	r = symbols_want(&symbols, vaddr);
	return r >= 0 || r == -EAGAIN;
}

enum unnamed files_why_unnamed(const struct file *f)
{
	if (!f)
		return UNNAMED_UNKNOWN_FILE;
	if (f->state == FILE_LOADING)
		return UNNAMED_LOADING;
	if (f->state == FILE_FAILED) {
		switch (-f->error) {
		case ENOENT:
		case ESTALE:
		case ESRCH:
			return UNNAMED_GONE;
		case EBADMSG:
		case EOPNOTSUPP:
		case EFAULT:
			return UNNAMED_DAMAGED;
		case E2BIG:
		case EFBIG:
		case ENOMEM:
		case ENOBUFS:
		case ETIMEDOUT:
			return UNNAMED_BUDGET;
		default:
			return UNNAMED_UNREADABLE;
		}
	}
	if (f->info->flags & TABLE_HAS_SYMTAB || (f->debug && f->debug->names))
		return UNNAMED_NO_SYMBOL;
	return f->debug && f->debug->state == DEBUG_REFUSED ? UNNAMED_OTHER_BUILD
							    : UNNAMED_STRIPPED;
}

static const struct {
	const char *id, *text;
} unnamed_texts[] = {
	[UNNAMED_UNKNOWN_FILE] = {"unknown_file", "unknown file"},
	[UNNAMED_LOADING] = {"loading", "not read in time"},
	[UNNAMED_GONE] = {"gone", "gone before it could be read"},
	[UNNAMED_UNREADABLE] = {"unreadable", "cannot be read"},
	[UNNAMED_DAMAGED] = {"damaged", "not a valid ELF file"},
	[UNNAMED_BUDGET] = {"over_budget", "over a limit of size or time"},
	[UNNAMED_STRIPPED] = {"stripped", "stripped, no debug file"},
	[UNNAMED_OTHER_BUILD] = {"other_build", "stripped, debug file of another build"},
	[UNNAMED_NO_SYMBOL] = {"no_symbol", "no symbol covers it"},
};
static_assert(ARRAY_SIZE(unnamed_texts) == UNNAMED_MAX, "every reason has a text");

const char *unnamed_text(enum unnamed why)
{
	return unnamed_texts[why].text;
}

const char *unnamed_id(enum unnamed why)
{
	return unnamed_texts[why].id;
}

void files_get_stats(const struct files *f, struct files_stats *ret)
{
	*ret = f->stats;
}
