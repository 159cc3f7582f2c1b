/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cgroupfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "agent/base/log.h"
#include "bpf/types.h"

#define TEXT_MAX (64u << 10) /* a line of /proc/self/mountinfo, options of overlays included */

/* ---- The agent's own namespace ---- */

#define TRIES_MAX 4096

/* Inode number of the cgroup namespace of the initial user namespace (PROC_CGROUP_INIT_INO in
 * include/linux/proc_ns.h): the host's. */
#define CGROUP_NS_INIT 0xEFFFFFFBu

static bool in_host_namespace(void)
{
	struct stat own;

	return stat("/proc/self/ns/cgroup", &own) < 0 || own.st_ino == CGROUP_NS_INIT;
}

/* Opens the cgroup namespace of a process, if it is one of those wanted: the host's, or any. */
static int open_namespace(const char *pid, bool any)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/ns/cgroup", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return any || st.st_ino == CGROUP_NS_INIT ? TAKE_FD(fd) : -ENOENT;
}

/* Process 1 may be out of bounds where others, such as threads of the kernel, are not. */
static int find_host_namespace(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int fd = -ENOENT;

	if (!proc)
		return -errno;
	for (int tries = 0; fd < 0 && tries < TRIES_MAX && (e = readdir(proc));) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		fd = open_namespace(e->d_name, false);
		tries++;
	}
	closedir(proc);
	return fd >= 0 ? fd : open_namespace("1", true);
}

int cgroupfs_join_host(void)
{
	_cleanup_close_ int fd = -1;
	struct stat own, host;

	if (in_host_namespace() || stat("/proc/self/ns/cgroup", &own) < 0)
		return 0;
	fd = find_host_namespace();
	if (fd < 0)
		return fd;
	if (fstat(fd, &host) < 0)
		return -errno;
	if (host.st_ino == own.st_ino)
		return 0;
	return setns(fd, CLONE_NEWCGROUP) < 0 ? -errno : 1;
}

/* ---- Hierarchies ---- */

/* Does /proc/cgroups say that the controller is in a hierarchy of version 1? That file is the
 * same in every namespace. */
static bool is_version_1(const char *text, const char *controller)
{
	size_t n = strlen(controller);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, controller, n) && line[n] == '\t')
			return line[n + 1] != '0';
		if (!*line)
			break;
	}
	return false;
}

const char *cgroupfs_controller(void)
{
	static const char *const order[] = {"memory", "pids", "cpu", "freezer"};
	_cleanup_close_ int fd = open("/proc/cgroups", O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return NULL;
	text[n] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (is_version_1(text, order[i]))
			return order[i];
	}
	return NULL;
}

/* "a,b,c" */
static bool has_option(const char *options, const char *want)
{
	size_t n = strlen(want);

	for (const char *p = options; p && *p; p = strchr(p, ',')) {
		p += *p == ',';
		if (!strncmp(p, want, n) && (p[n] == ',' || !p[n]))
			return true;
	}
	return false;
}

/*
 * One line of mountinfo (proc(5)): "36 35 98:0 ROOT DIR options [fields] - TYPE SOURCE OPTIONS".
 * True when it is the hierarchy; the pointers lead into the line, which is cut up.
 */
static bool parse_mount(char *line, const char *controller, char **ret_root, char **ret_dir)
{
	char *field[6] = {0}, *type, *options, *tail = strstr(line, " - ");

	if (!tail)
		return false;
	*tail = '\0';
	tail += 3;
	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strsep(&line, " ");
		if (!field[i])
			return false;
	}
	type = strsep(&tail, " ");
	(void)strsep(&tail, " ");
	options = strsep(&tail, " \n");
	*ret_root = field[3];
	*ret_dir = field[4];
	if (!controller)
		return !strcmp(type, "cgroup2");
	return !strcmp(type, "cgroup") && options && has_option(options, controller);
}

/* Where it is mounted; whole: from its root on. */
static int find_mount(const char *controller, bool whole, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = malloc(TEXT_MAX);
	int r = -ENOENT;

	if (!f)
		return -errno;
	if (!line)
		return -ENOMEM;
	while (r < 0 && fgets(line, TEXT_MAX, f)) {
		char *root, *dir;

		if (!parse_mount(line, controller, &root, &dir) || strlen(dir) >= size)
			continue;
		/* A blank in the path is written as "\040": such a mount is not used. */
		if (strchr(dir, '\\') || (whole && strcmp(root, "/") != 0))
			continue;
		memcpy(ret, dir, strlen(dir) + 1);
		r = 0;
	}
	return r;
}

/* The whole hierarchy, mounted nowhere (fsopen(2), Linux 5.2). */
static int open_detached(const char *controller)
{
	_cleanup_close_ int fs = fsopen(controller ? "cgroup" : "cgroup2", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return -errno;
	if (controller && fsconfig(fs, FSCONFIG_SET_FLAG, controller, NULL, 0) < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_hierarchy(const char *controller, struct cgroupfs *ret)
{
	struct cgroupfs c = {
		.fd = -1, .bit = controller ? CGROUP_ID_V1 : 0, .partial = !in_host_namespace()};
	int r = find_mount(controller, true, c.path, sizeof(c.path));

	if (r < 0) {
		c.fd = open_detached(controller);
		if (c.fd >= 0) {
			(void)snprintf(c.path, sizeof(c.path), "/proc/self/fd/%d", c.fd);
			*ret = c;
			return 0;
		}
		r = find_mount(controller, false, c.path, sizeof(c.path));
		c.partial = true;
	}
	if (r < 0)
		return r;
	c.fd = open(c.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.fd < 0)
		return -errno;
	*ret = c;
	return 0;
}

int cgroupfs_open(struct cgroupfs ret[CGROUPFS_MAX])
{
	const char *controller = cgroupfs_controller();
	int n = 0;

	if (controller && open_hierarchy(controller, &ret[n]) >= 0)
		n++;
	if (open_hierarchy(NULL, &ret[n]) >= 0)
		n++;
	return n;
}

void cgroupfs_close(struct cgroupfs *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(TAKE_FD(c[i].fd));
}

/* ---- Groups ---- */

int cgroupfs_children(const char *path, int (*fn)(const char *name, void *data), void *data)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	while (r >= 0 && (e = readdir(dir))) {
		/* A cgroup has dozens of files; the kernel says what is a directory. */
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0)
			r = fn(e->d_name, data);
	}
	closedir(dir);
	return MIN(r, 0);
}

int cgroupfs_stat(int root, const char *path, uint64_t *ret_ino, bool *ret_may_have_children)
{
	struct stat st;

	if (fstatat(root, *path ? path : ".", &st, 0) < 0)
		return -errno;
	*ret_ino = st.st_ino;
	/* kernfs counts them (fs/kernfs/inode.c, kernfs_iop_getattr()). */
	*ret_may_have_children = st.st_nlink != 2;
	return 0;
}
