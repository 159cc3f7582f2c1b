/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way from an ELF file to its table, with a real child and a real directory. The builder
 * writes tables of a known size that hold the end of the input, so that a table from the wrong
 * file, or a broken one, shows.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/filekey.h"
#include "agent/parser/child.h"
#include "agent/parser/parser.h"
#include "agent/tables.h"
#include "symbolizer/table.h"

#define WAIT_MS	    20000
#define TABLE_BYTES 8192 /* a bit more than that: three blocks on disk */
#define DISK_BYTES  12288
#define TEXT_BYTES  16

/* ---- the child's side ---- */

static int write_table(const char text[TEXT_BYTES], int out_fd)
{
	static const uint8_t filling[TABLE_BYTES - TEXT_BYTES];
	struct table_writer w;
	int r;

	table_writer_init(&w, 1 << 20);
	buf_add(&w.sections[TABLE_STRINGS], text, TEXT_BYTES);
	buf_add(&w.sections[TABLE_STRINGS], filling, sizeof(filling));
	r = table_write(&w, out_fd);
	table_writer_done(&w);
	return r;
}

static int build(void *data, const int *in_fds, size_t n, uint32_t kind, int out_fd,
		 uint32_t *ret_flags)
{
	const int in_fd = in_fds[0];
	char text[TEXT_BYTES];
	off_t end = lseek(in_fd, 0, SEEK_END);

	if (pread(in_fd, text, sizeof(text), end - TEXT_BYTES) != sizeof(text))
		return -EBADMSG;
	if (!memcmp(text, "refuse", 6))
		return -EBADMSG;
	return write_table(text, out_fd);
}

/* ---- inputs ---- */

struct elf_image {
	Elf64_Ehdr head;
	Elf64_Phdr note;
	Elf64_Nhdr other;
	char other_text[8];
	Elf64_Nhdr id;
	char id_name[4];
	uint8_t id_bytes[20];
	char text[TEXT_BYTES];
};

static const struct elf_image model = {
	.head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		 .e_type = ET_DYN,
		 .e_phoff = offsetof(struct elf_image, note),
		 .e_phentsize = sizeof(Elf64_Phdr),
		 .e_phnum = 1},
	.note = {.p_type = PT_NOTE,
		 .p_offset = offsetof(struct elf_image, other),
		 .p_filesz = offsetof(struct elf_image, text) - offsetof(struct elf_image, other),
		 .p_align = 4},
	.other = {.n_namesz = 5, .n_descsz = 0, .n_type = NT_GNU_BUILD_ID},
	.other_text = "Othe",
	.id = {.n_namesz = 4, .n_descsz = 20, .n_type = NT_GNU_BUILD_ID},
	.id_name = "GNU",
};

static int file_of(const struct elf_image *e)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_int_equal(write(fd, e, sizeof(*e)), sizeof(*e));
	return fd;
}

/* Number `id` is both the build id and the text. */
static int input(unsigned int id)
{
	struct elf_image e = model;

	e.id_bytes[0] = (uint8_t)id;
	e.id_bytes[19] = (uint8_t)(id >> 8);
	(void)snprintf(e.text, sizeof(e.text), "file %u", id);
	return file_of(&e);
}

static struct filekey key_of_fd(int fd)
{
	struct filekey key;

	assert_int_equal(filekey_read(fd, &key), 0);
	close(fd);
	return key;
}

static struct filekey key_of(unsigned int id)
{
	return key_of_fd(input(id));
}

/* ---- fixtures ---- */

static const char *const child_argv[] = {"tables_test", "--parser-child", NULL};

struct fixture {
	char dir[64];
	struct loop *loop;
	struct parser *parser;
	struct tables *tables;
	struct tablecache *cache;
	int n_fds;
};

struct answer {
	int calls, r;
	char text[TEXT_BYTES];
};

static int count_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = -2;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void dir_make(struct fixture *f)
{
	*f = (struct fixture){.dir = "/tmp/tables_test.XXXXXX"};
	f->n_fds = count_entries("/proc/self/fd");
	assert_non_null(mkdtemp(f->dir));
}

static void dir_remove(struct fixture *f)
{
	DIR *d = opendir(f->dir);

	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (e->d_name[0] != '.' || !strncmp(e->d_name, ".new-", 5))
			assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
	}
	closedir(d);
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(count_entries("/proc/self/fd"), f->n_fds);
}

static void begin_cache(struct fixture *f, uint64_t budget)
{
	dir_make(f);
	assert_int_equal(tablecache_open(f->dir, budget, &f->cache), 0);
}

static void end_cache(struct fixture *f)
{
	tablecache_close(f->cache);
	dir_remove(f);
}

static void tables_start(struct fixture *f, const char *dir)
{
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(parser_new(f->loop, child_argv, NULL, &f->parser), 0);
	assert_int_equal(tables_new(f->loop, f->parser, dir, 1 << 20, &f->tables), 0);
}

static void tables_stop(struct fixture *f)
{
	tables_free(f->tables);
	parser_free(f->parser);
	loop_free(f->loop);
}

static int memory_table(const char *text)
{
	char padded[TEXT_BYTES] = "";
	int fd = memfd_create("table", MFD_CLOEXEC);

	memcpy(padded, text, MIN(strlen(text), sizeof(padded) - 1));
	assert_int_equal(write_table(padded, fd), 0);
	return fd;
}

static void assert_text(const struct table *t, const char *text)
{
	size_t n;
	const char *got = table_section(t, TABLE_STRINGS, &n);

	assert_int_equal(n, TABLE_BYTES);
	assert_string_equal(got, text);
}

static int put(struct tablecache *c, unsigned int id)
{
	struct filekey key = key_of(id);
	struct table *t = NULL;
	char text[TEXT_BYTES];
	int fd, r;

	(void)snprintf(text, sizeof(text), "file %u", id);
	fd = memory_table(text);
	r = tablecache_put(c, &key, fd, &t);
	if (r == 0)
		assert_text(t, text);
	table_free(t);
	close(fd);
	return r;
}

static int get(struct tablecache *c, unsigned int id)
{
	struct filekey key = key_of(id);
	struct table *t = NULL;
	char text[TEXT_BYTES];
	int r = tablecache_get(c, &key, &t);

	(void)snprintf(text, sizeof(text), "file %u", id);
	if (r == 0)
		assert_text(t, text);
	table_free(t);
	return r;
}

static void path_of(const struct fixture *f, unsigned int id, char ret[512])
{
	struct filekey key = key_of(id);

	(void)snprintf(ret, 512, "%s/%s-%s.table", f->dir, key.name, tablecache_maker(f->cache));
}

/* As if it had been used so many hours ago. */
static void age(const struct fixture *f, unsigned int id, int hours)
{
	struct timeval when[2] = {{.tv_sec = time(NULL) - hours * 3600}};
	char path[512];

	when[1] = when[0];
	path_of(f, id, path);
	assert_int_equal(utimes(path, when), 0);
}

/* ---- keys ---- */

static void a_key_tells_contents_apart(void **state)
{
	struct elf_image e = model;
	struct filekey same = key_of(1), a;
	int fd;

	assert_string_equal(key_of(1).name, same.name);
	assert_string_not_equal(key_of(2).name, same.name);
	assert_memory_equal(same.name, "0100000000000000000000000000000000000000-", 41);
	/* Other headers with the same build id: a file that was edited afterwards. */
	e.id_bytes[0] = 1;
	e.head.e_entry = 1;
	assert_string_not_equal(key_of_fd(file_of(&e)).name, same.name);
	/* Without a build id the modification time counts. */
	e.id.n_type = NT_GNU_ABI_TAG;
	fd = file_of(&e);
	assert_int_equal(futimens(fd, (struct timespec[]){{1000, 0}, {1000, 0}}), 0);
	assert_int_equal(filekey_read(fd, &a), 0);
	assert_memory_equal(a.name, "none-", 5);
	assert_int_equal(futimens(fd, (struct timespec[]){{1000, 0}, {1001, 0}}), 0);
	assert_string_not_equal(key_of_fd(fd).name, a.name);
	assert_memory_not_equal(key_of_fd(open("/proc/self/exe", O_RDONLY)).name, "none-", 5);
}

static void a_key_survives_hostile_headers(void **state)
{
	struct elf_image e = model;
	struct filekey key;
	uint32_t *const fields[] = {&e.id.n_namesz, &e.id.n_descsz, &e.other.n_namesz,
				    &e.other.n_descsz};
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		uint32_t was = *fields[i];

		*fields[i] = UINT32_MAX;
		(void)key_of_fd(file_of(&e));
		*fields[i] = was;
	}
	e.note.p_offset = UINT64_MAX;
	e.note.p_filesz = UINT64_MAX;
	e.head.e_shoff = UINT64_MAX - 4;
	e.head.e_shnum = UINT16_MAX;
	(void)key_of_fd(file_of(&e));
	e.head.e_phoff = (uint64_t)INT64_MAX;
	e.head.e_phnum = UINT16_MAX;
	(void)key_of_fd(file_of(&e));
	e.head.e_ident[EI_CLASS] = ELFCLASS32;
	fd = file_of(&e);
	assert_int_equal(filekey_read(fd, &key), -EOPNOTSUPP);
	assert_int_equal(ftruncate(fd, 20), 0);
	assert_int_equal(filekey_read(fd, &key), -EOPNOTSUPP);
	assert_int_equal(ftruncate(fd, 3), 0);
	assert_int_equal(filekey_read(fd, &key), -EBADMSG);
	close(fd);
	fd = open("/dev/zero", O_RDONLY);
	assert_int_equal(filekey_read(fd, &key), -EBADMSG);
	close(fd);
}

/* ---- the directory ---- */

static void what_is_put_is_got_by_a_later_agent(void **state)
{
	struct tablecache *later = NULL;
	struct fixture f;
	struct stat st;
	char path[512];

	begin_cache(&f, 1 << 20);
	assert_int_equal(get(f.cache, 1), -ENOENT);
	assert_int_equal(put(f.cache, 1), 0);
	assert_int_equal(get(f.cache, 1), 0);
	assert_int_equal(get(f.cache, 2), -ENOENT);
	path_of(&f, 1, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(tablecache_open(f.dir, 1 << 20, &later), 0);
	assert_int_equal(get(later, 1), 0);
	tablecache_close(later);
	end_cache(&f);
}

static void a_table_of_another_build_is_not_used(void **state)
{
	struct fixture f;
	char path[512], other[512];

	begin_cache(&f, 1 << 20);
	assert_int_equal(put(f.cache, 1), 0);
	path_of(&f, 1, path);
	assert_int_equal(get(f.cache, 1), 0);
	(void)snprintf(other, sizeof(other), "%.*s0123456789abcdef.table",
		       (int)(strlen(path) - strlen("0123456789abcdef.table")), path);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(get(f.cache, 1), -ENOENT);
	end_cache(&f);
}

static void the_least_recently_used_go_when_the_budget_is_reached(void **state)
{
	struct tablecache_stats s;
	struct fixture f;

	begin_cache(&f, 10 * DISK_BYTES);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(put(f.cache, i), 0);
		age(&f, i, 20 - (int)i);
	}
	assert_int_equal(count_entries(f.dir), 10);
	assert_int_equal(get(f.cache, 0), 0); /* now the most recent */
	assert_int_equal(put(f.cache, 10), 0);
	tablecache_get_stats(f.cache, &s);
	assert_true(s.evicted >= 1);
	assert_true(s.bytes <= 10 * DISK_BYTES);
	assert_int_equal(s.bytes, count_entries(f.dir) * DISK_BYTES);
	assert_int_equal(get(f.cache, 0), 0);
	assert_int_equal(get(f.cache, 1), -ENOENT);
	assert_int_equal(get(f.cache, 9), 0);
	assert_int_equal(get(f.cache, 10), 0);
	end_cache(&f);
}

static void a_lower_budget_holds_from_the_start(void **state)
{
	struct fixture f;

	begin_cache(&f, 1 << 20);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(put(f.cache, i), 0);
	tablecache_close(f.cache);
	assert_int_equal(tablecache_open(f.dir, 3 * DISK_BYTES, &f.cache), 0);
	assert_int_equal(count_entries(f.dir), 3);
	end_cache(&f);
}

static void a_damaged_file_is_ignored_and_replaced(void **state)
{
	static const off_t offsets[] = {0, 8, 16, 40, 4000, TABLE_BYTES};
	struct tablecache_stats s;
	struct fixture f;
	char path[512];

	begin_cache(&f, 1 << 20);
	path_of(&f, 1, path);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		int fd;

		assert_int_equal(put(f.cache, 1), 0);
		assert_int_equal(get(f.cache, 1), 0);
		fd = open(path, O_WRONLY);
		assert_int_equal(pwrite(fd, "\xff", 1, offsets[i]), 1);
		close(fd);
		assert_int_equal(get(f.cache, 1), -ENOENT);
		assert_int_equal(access(path, F_OK), -1);
	}
	assert_int_equal(put(f.cache, 1), 0);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(get(f.cache, 1), -ENOENT);
	assert_int_equal(put(f.cache, 1), 0);
	assert_int_equal(get(f.cache, 1), 0);
	tablecache_get_stats(f.cache, &s);
	assert_int_equal(s.corrupt, ARRAY_SIZE(offsets) + 1);
	end_cache(&f);
}

static void links_and_files_of_others_are_not_used(void **state)
{
	struct fixture f;
	char path[512], aside[600];

	begin_cache(&f, 1 << 20);
	assert_int_equal(put(f.cache, 1), 0);
	path_of(&f, 1, path);
	(void)snprintf(aside, sizeof(aside), "%s.aside", path);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(symlink(aside, path), 0);
	assert_int_equal(get(f.cache, 1), -ENOENT);
	assert_int_equal(symlink(aside, path), 0);
	assert_int_equal(put(f.cache, 1), 0); /* replaces the link, not what it points to */
	assert_int_equal(get(f.cache, 1), 0);
	assert_int_equal(chmod(path, 0622), 0);
	assert_int_equal(get(f.cache, 1), -ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(get(f.cache, 1), -ENOENT); /* and does not wait for a writer */
	if (geteuid() == 0) {
		assert_int_equal(put(f.cache, 1), 0);
		assert_int_equal(chown(path, 1000, 1000), 0);
		assert_int_equal(get(f.cache, 1), -ENOENT);
	}
	end_cache(&f);
}

static void a_directory_that_is_not_ours_alone_is_refused(void **state)
{
	struct tablecache *c = NULL;
	struct fixture f;
	char link[80];

	dir_make(&f);
	(void)snprintf(link, sizeof(link), "%s.link", f.dir);
	assert_int_equal(symlink(f.dir, link), 0);
	assert_int_equal(tablecache_open(link, 1 << 20, &c), -ENOTDIR);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(chmod(f.dir, 01777), 0);
	assert_int_equal(tablecache_open(f.dir, 1 << 20, &c), -EPERM);
	assert_int_equal(chmod(f.dir, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(f.dir, 1000, 1000), 0);
		assert_int_equal(tablecache_open(f.dir, 1 << 20, &c), -EPERM);
	}
	assert_int_equal(tablecache_open("/proc/nowhere/tephra", 1 << 20, &c), -ENOENT);
	assert_null(c);
	dir_remove(&f);
}

static void two_writers_share_one_directory(void **state)
{
	struct tablecache *other = NULL;
	struct tablecache_stats s;
	struct fixture f;

	begin_cache(&f, 8 * DISK_BYTES);
	assert_int_equal(tablecache_open(f.dir, 8 * DISK_BYTES, &other), 0);
	for (unsigned int i = 0; i < 40; i++) {
		assert_int_equal(put(i % 2 ? f.cache : other, i), 0);
		assert_int_equal(put(i % 2 ? other : f.cache, i), 0); /* the same file, twice */
		assert_int_equal(get(f.cache, i), 0);
		assert_int_equal(get(other, i), 0);
	}
	assert_true(count_entries(f.dir) <= 8);
	tablecache_get_stats(other, &s);
	assert_int_equal(s.put_errors, 0);
	tablecache_close(other);
	end_cache(&f);
}

static bool mount_tmpfs(const struct fixture *f, const char *options)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", f->dir, "tmpfs", 0, options) == 0;
}

static void a_full_disk_pauses_writing_only(void **state)
{
	struct tablecache_stats s;
	struct filekey key = key_of(100);
	struct table *t = NULL;
	struct fixture f;
	char path[512];
	int fd;

	dir_make(&f);
	if (!mount_tmpfs(&f, "size=64k,mode=0700")) {
		dir_remove(&f);
		skip();
	}
	assert_int_equal(tablecache_open(f.dir, 1 << 20, &f.cache), 0);
	/* Smaller than the budget: old tables make room for new ones. */
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(put(f.cache, i), 0);
		assert_int_equal(get(f.cache, i), 0);
	}
	/* Full of what is not ours. */
	tablecache_close(f.cache);
	assert_int_equal(tablecache_open(f.dir, 0, &f.cache), 0);
	assert_int_equal(count_entries(f.dir), 0);
	tablecache_close(f.cache);
	(void)snprintf(path, sizeof(path), "%s/others", f.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fallocate(fd, 0, 0, 60 << 10), 0);
	close(fd);
	assert_int_equal(tablecache_open(f.dir, 1 << 20, &f.cache), 0);
	fd = memory_table("file 100");
	assert_int_equal(tablecache_put(f.cache, &key, fd, &t), -ENOSPC);
	assert_int_equal(tablecache_put(f.cache, &key, fd, &t), -EAGAIN);
	assert_null(t);
	close(fd);
	tablecache_get_stats(f.cache, &s);
	assert_true(s.paused);
	assert_int_equal(s.last_error, -ENOSPC);
	assert_int_equal(s.put_errors, 1);
	assert_int_equal(count_entries(f.dir), 1); /* nothing half written stays */
	tablecache_close(f.cache);
	assert_int_equal(umount(f.dir), 0);
	dir_remove(&f);
}

static void a_read_only_directory_is_still_read(void **state)
{
	struct fixture f;

	dir_make(&f);
	if (!mount_tmpfs(&f, "size=1m,mode=0700")) {
		dir_remove(&f);
		skip();
	}
	assert_int_equal(tablecache_open(f.dir, 1 << 20, &f.cache), 0);
	assert_int_equal(put(f.cache, 1), 0);
	tablecache_close(f.cache);
	assert_int_equal(mount(NULL, f.dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(tablecache_open(f.dir, 1 << 20, &f.cache), 0);
	assert_int_equal(get(f.cache, 1), 0);
	assert_int_equal(put(f.cache, 2), -EROFS);
	assert_int_equal(get(f.cache, 1), 0);
	tablecache_close(f.cache);
	assert_int_equal(umount(f.dir), 0);
	dir_remove(&f);
}

/* ---- loading ---- */

static void on_loaded(void *data, int r, struct table *t)
{
	struct answer *a = data;
	size_t n;

	a->calls++;
	a->r = r;
	if (r < 0) {
		assert_null(t);
		return;
	}
	memcpy(a->text, table_section(t, TABLE_STRINGS, &n), sizeof(a->text));
	table_free(t);
}

static void load(struct fixture *f, int fd, struct answer *a)
{
	*a = (struct answer){0};
	assert_int_equal(tables_load(f->tables, fd, BUILD_FILE, on_loaded, a), 0);
	assert_int_equal(a->calls, 0);
}

static void wait_for(struct fixture *f, const struct answer *a)
{
	uint64_t until_ms = clock_ms() + WAIT_MS;

	while (!a->calls && clock_ms() < until_ms)
		assert_int_equal(loop_once(f->loop, 100), 0);
	assert_int_equal(a->calls, 1);
}

static uint64_t requests(struct fixture *f)
{
	struct parser_stats s;

	parser_get_stats(f->parser, &s);
	return s.requests;
}

static void a_file_is_parsed_once_and_then_comes_from_the_disk(void **state)
{
	struct fixture f;
	struct answer a;

	dir_make(&f);
	tables_start(&f, f.dir);
	load(&f, input(1), &a);
	wait_for(&f, &a);
	assert_int_equal(a.r, 0);
	assert_string_equal(a.text, "file 1");
	load(&f, input(1), &a);
	wait_for(&f, &a);
	assert_string_equal(a.text, "file 1");
	assert_int_equal(requests(&f), 1);
	tables_stop(&f);
	tables_start(&f, f.dir);
	load(&f, input(1), &a);
	wait_for(&f, &a);
	assert_string_equal(a.text, "file 1");
	assert_int_equal(requests(&f), 0);
	tables_stop(&f);
	dir_remove(&f);
}

static void the_same_contents_asked_for_at_once_are_parsed_once(void **state)
{
	const char *dirs[2] = {NULL};
	struct tables_stats s;
	struct fixture f;
	struct answer a[20];

	dir_make(&f);
	dirs[1] = f.dir;
	for (size_t d = 0; d < ARRAY_SIZE(dirs); d++) {
		tables_start(&f, dirs[d]);
		for (size_t i = 0; i < ARRAY_SIZE(a); i++)
			load(&f, input(i % 2), &a[i]);
		for (size_t i = 0; i < ARRAY_SIZE(a); i++) {
			wait_for(&f, &a[i]);
			assert_int_equal(a[i].r, 0);
			assert_string_equal(a[i].text, i % 2 ? "file 1" : "file 0");
		}
		assert_int_equal(requests(&f), 2);
		tables_get_stats(f.tables, &s);
		assert_int_equal(s.shared, ARRAY_SIZE(a) - 2);
		assert_int_equal(s.has_cache, d);
		tables_stop(&f);
	}
	dir_remove(&f);
}

static void a_bad_file_costs_its_own_table_only(void **state)
{
	struct elf_image e = model;
	struct fixture f;
	struct answer bad, not_elf, good;

	dir_make(&f);
	tables_start(&f, f.dir);
	memcpy(e.text, "refuse", 7);
	load(&f, file_of(&e), &bad);
	load(&f, open("/etc/passwd", O_RDONLY | O_CLOEXEC), &not_elf);
	load(&f, input(3), &good);
	wait_for(&f, &bad);
	wait_for(&f, &not_elf);
	wait_for(&f, &good);
	assert_int_equal(bad.r, -EBADMSG);
	assert_int_equal(not_elf.r, -EBADMSG);
	assert_string_equal(good.text, "file 3");
	assert_int_equal(count_entries(f.dir), 1);
	tables_stop(&f);
	dir_remove(&f);
}

static void a_file_is_tried_again_when_the_child_was_killed(void **state)
{
	struct parser_stats s = {0};
	struct fixture f;
	struct answer a, b;

	dir_make(&f);
	tables_start(&f, f.dir);
	/* A child that is stopped gets the file, and dies before it can answer. */
	load(&f, input(1), &a);
	wait_for(&f, &a);
	parser_get_stats(f.parser, &s);
	assert_int_equal(kill(s.pid, SIGSTOP), 0);
	load(&f, input(2), &b);
	assert_int_equal(loop_once(f.loop, 0), 0);
	assert_int_equal(kill(s.pid, SIGKILL), 0);
	wait_for(&f, &b);
	assert_int_equal(b.r, 0);
	assert_string_equal(b.text, "file 2");
	parser_get_stats(f.parser, &s);
	assert_int_equal(s.failures[PARSER_FAIL_KILLED], 1);
	assert_int_equal(s.starts, 2);
	tables_stop(&f);
	dir_remove(&f);
}

static void what_is_cancelled_or_freed_is_not_called(void **state)
{
	struct fixture f;
	struct answer a, b, c;

	dir_make(&f);
	tables_start(&f, f.dir);
	load(&f, input(1), &a);
	load(&f, input(1), &b);
	tables_cancel(f.tables, &a);
	wait_for(&f, &b);
	assert_int_equal(a.calls, 0);
	assert_string_equal(b.text, "file 1");
	load(&f, input(1), &a);
	load(&f, input(2), &b);
	load(&f, input(2), &c);
	tables_free(f.tables);
	f.tables = NULL;
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_once(f.loop, 10), 0);
	assert_int_equal(a.calls + b.calls + c.calls, 0);
	tables_stop(&f);
	dir_remove(&f);
}

static void without_a_usable_directory_tables_stay_in_memory(void **state)
{
	struct fixture f;
	struct answer a;

	dir_make(&f);
	assert_int_equal(chmod(f.dir, 0777), 0);
	tables_start(&f, f.dir);
	load(&f, input(1), &a);
	wait_for(&f, &a);
	assert_string_equal(a.text, "file 1");
	assert_int_equal(count_entries(f.dir), 0);
	tables_stop(&f);
	dir_remove(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_tells_contents_apart),
		cmocka_unit_test(a_key_survives_hostile_headers),
		cmocka_unit_test(what_is_put_is_got_by_a_later_agent),
		cmocka_unit_test(a_table_of_another_build_is_not_used),
		cmocka_unit_test(the_least_recently_used_go_when_the_budget_is_reached),
		cmocka_unit_test(a_lower_budget_holds_from_the_start),
		cmocka_unit_test(a_damaged_file_is_ignored_and_replaced),
		cmocka_unit_test(links_and_files_of_others_are_not_used),
		cmocka_unit_test(a_directory_that_is_not_ours_alone_is_refused),
		cmocka_unit_test(two_writers_share_one_directory),
		cmocka_unit_test(a_full_disk_pauses_writing_only),
		cmocka_unit_test(a_read_only_directory_is_still_read),
		cmocka_unit_test(a_file_is_parsed_once_and_then_comes_from_the_disk),
		cmocka_unit_test(the_same_contents_asked_for_at_once_are_parsed_once),
		cmocka_unit_test(a_bad_file_costs_its_own_table_only),
		cmocka_unit_test(a_file_is_tried_again_when_the_child_was_killed),
		cmocka_unit_test(what_is_cancelled_or_freed_is_not_called),
		cmocka_unit_test(without_a_usable_directory_tables_stay_in_memory),
	};
	const struct child_options child = {.build = build};

	if (argc == 2 && !strcmp(argv[1], "--parser-child"))
		_exit(child_main(CHILD_SOCKET, &child));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
