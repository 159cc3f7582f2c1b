/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>

#include "agent/base/buf.h"

#define MAX_COMMANDLINE (16u << 10) /* the rest of a longer one is cut off */
#define MAX_CGROUP	(16u << 10)
#define MAX_STATUS	(8u << 10)

struct process_scan {
	DIR *dir;
	struct process_options options;
	size_t unreadable;
	uid_t cached_uid; /* user names are asked for once per run of equal ids */
	bool cached;
	char username[256];
	char exe[PATH_MAX], cwd[PATH_MAX];
	struct buf commandline, cgroup, cgroup_path, status;
	char container_id[CGROUP_ID_MAX + 1];
};

struct process_scan *process_scan_free(struct process_scan *s)
{
	if (!s)
		return NULL;
	if (s->dir)
		closedir(s->dir);
	buf_done(&s->commandline);
	buf_done(&s->cgroup);
	buf_done(&s->cgroup_path);
	buf_done(&s->status);
	free(s);
	return NULL;
}

int process_scan_new(const char *proc, const struct process_options *o, struct process_scan **ret)
{
	_cleanup_(process_scan_freep) struct process_scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->options = *o;
	s->commandline = BUF_INIT(MAX_COMMANDLINE);
	s->cgroup = BUF_INIT(MAX_CGROUP);
	s->status = BUF_INIT(MAX_STATUS);
	s->cgroup_path = BUF_INIT(MAX_CGROUP);
	s->dir = opendir(proc);
	if (!s->dir)
		return -errno;
	*ret = TAKE_PTR(s);
	return 0;
}

size_t process_scan_unreadable(const struct process_scan *s)
{
	return s->unreadable;
}

static bool parse_pid(const char *s, uint32_t *ret)
{
	uint32_t v = 0;

	for (; *s; s++) {
		if (*s < '0' || *s > '9' || v > UINT32_MAX / 10 - 1)
			return false;
		v = v * 10 + (uint32_t)(*s - '0');
	}
	*ret = v;
	return v > 0;
}

/* Up to the buffer's maximum of a file of /proc; a longer one is cut, which is no error. */
static int read_file(int dir, const char *name, struct buf *b)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char chunk[4096];

	buf_reset(b);
	if (fd < 0)
		return -errno;
	while (b->len < b->max) {
		ssize_t n = read(fd, chunk, MIN(sizeof(chunk), b->max - b->len));

		if (n < 0)
			return -errno;
		if (!n)
			break;
		buf_add(b, chunk, (size_t)n);
	}
	return b->failed;
}

static int read_link(int dir, const char *name, char *to, size_t size)
{
	ssize_t n = readlinkat(dir, name, to, size - 1);

	if (n < 0)
		return -errno;
	to[n] = '\0';
	return 0;
}

/* Arguments are separated by NUL bytes; people and regular expressions want blanks. */
static void join_arguments(struct buf *b)
{
	while (b->len && !b->data[b->len - 1])
		b->len--;
	for (size_t i = 0; i < b->len; i++) {
		if (!b->data[i])
			b->data[i] = ' ';
	}
}

static void join_cgroups(struct process_scan *s)
{
	const char *p = buf_cstr(&s->cgroup);
	size_t left = s->cgroup.len;

	buf_reset(&s->cgroup_path);
	while (left > 0) {
		const char *end = memchr(p, '\n', left);
		size_t n = end ? (size_t)(end - p) : left, len;
		const char *path = cgroup_line_path(p, n, &len);

		if (len) {
			if (s->cgroup_path.len)
				buf_add_u8(&s->cgroup_path, '|');
			buf_add(&s->cgroup_path, path, len);
		}
		n += end ? 1 : 0;
		p += n;
		left -= n;
	}
}

static const char *user_name(struct process_scan *s, uid_t uid)
{
	struct passwd pw, *found = NULL;
	char text[4096];

	if (s->cached && s->cached_uid == uid)
		return s->username;
	s->cached = true;
	s->cached_uid = uid;
	s->username[0] = '\0';
	if (getpwuid_r(uid, &pw, text, sizeof(text), &found) == 0 && found)
		(void)snprintf(s->username, sizeof(s->username), "%s", pw.pw_name);
	return s->username;
}

/* The real user id, first number of the line "Uid:" of status (proc(5)). */
static int read_uid(int dir, struct buf *b, uid_t *ret)
{
	int r = read_file(dir, "status", b);
	const char *p = r < 0 ? NULL : strstr(buf_cstr(b), "\nUid:\t");
	uid_t v = 0;

	if (r < 0)
		return r;
	if (!p)
		return -EBADMSG;
	for (p += 6; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (uid_t)(*p - '0');
	*ret = v;
	return 0;
}

/* What the options ask for of one process. A negative errno when any of it is unreadable. */
static int read_process(struct process_scan *s, int dir, struct process_info *info)
{
	const struct process_options *o = &s->options;
	int r;

	*info = (struct process_info){.pid = info->pid,
				      .exe = "",
				      .cwd = "",
				      .commandline = "",
				      .username = "",
				      .cgroup_path = "",
				      .container_id = ""};
	/* Also when nobody asked for it: a process without one is a kernel thread. */
	r = read_link(dir, "exe", s->exe, sizeof(s->exe));
	if (r >= 0 && o->exe)
		info->exe = s->exe;
	if (r >= 0 && o->cwd) {
		r = read_link(dir, "cwd", s->cwd, sizeof(s->cwd));
		info->cwd = s->cwd;
	}
	if (r >= 0 && o->commandline) {
		r = read_file(dir, "cmdline", &s->commandline);
		if (r >= 0)
			join_arguments(&s->commandline);
		info->commandline = buf_cstr(&s->commandline);
	}
	if (r >= 0 && (o->container_id || o->cgroup_path))
		r = read_file(dir, "cgroup", &s->cgroup);
	if (r < 0)
		return r;
	if (o->container_id &&
	    cgroup_container_id(buf_cstr(&s->cgroup), s->cgroup.len, s->container_id) == 0)
		info->container_id = s->container_id;
	if (o->cgroup_path) {
		join_cgroups(s);
		info->cgroup_path = buf_cstr(&s->cgroup_path);
	}
	if (o->username || o->uid) {
		r = read_uid(dir, &s->status, &info->uid);
		if (r < 0)
			return r;
		info->username = o->username ? user_name(s, info->uid) : "";
	}
	return 0;
}

int process_scan_step(struct process_scan *s, size_t max, process_fn fn, void *data)
{
	while (max > 0) {
		struct process_info info = {0};
		_cleanup_close_ int fd = -1;
		struct dirent *e;
		int r;

		errno = 0;
		e = readdir(s->dir);
		if (!e)
			return -errno;
		if (!parse_pid(e->d_name, &info.pid))
			continue;
		max--;
		fd = openat(dirfd(s->dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : read_process(s, fd, &info);
		if (r >= 0)
			fn(&info, data);
		else if (r != -ENOENT && r != -ESRCH)
			s->unreadable++;
	}
	return 1;
}
