/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order matters and is that of sandbox_enter(): namespaces and the empty root need privileges
 * that the identity change takes away; a change of identity clears PR_SET_PDEATHSIG and
 * PR_SET_DUMPABLE, so these come after it; seccomp comes last because it forbids all the rest.
 */
#include "agent/parser/sandbox.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <seccomp.h>

#define NOBODY	     65534
#define NICE_LEVEL   5
#define MAPPED_BYTES (UINT64_C(64) << 30) /* debug files of gigabytes are mapped, not read */
#define FILES_MAX    64			  /* those of one request, and ours */

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

static const char *const layer_names[] = {
	[SANDBOX_NAMESPACES] = "mount, network, IPC and host name namespaces of its own",
	[SANDBOX_ROOT] = "an empty root directory",
	[SANDBOX_USER] = "an identity without rights (uid and gid 65534)",
	[SANDBOX_BOUNDING] = "an empty capability bounding set",
	[SANDBOX_PRIORITY] = "low CPU, I/O and memory priority",
};
static_assert(ARRAY_SIZE(layer_names) == SANDBOX_LAYER_MAX, "every layer has a name");

const char *sandbox_layer_name(enum sandbox_layer layer)
{
	return layer < SANDBOX_LAYER_MAX ? layer_names[layer] : "";
}

/* ---- what is applied as far as privileges go ---- */

static bool lower_priority(void)
{
	static const char worst[] = "1000";
	const struct sched_param param = {0};
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, worst, sizeof(worst) - 1) == sizeof(worst) - 1;

	/* Not SCHED_IDLE: on a host at full load it would get no time at all, and a stack that
	 * waits for its rows is a stack that is named late. */
	ok = sched_setscheduler(0, SCHED_BATCH, &param) == 0 && ok;
	ok = setpriority(PRIO_PROCESS, 0, NICE_LEVEL) == 0 && ok;
	return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		       IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7)) == 0 &&
	       ok;
}

static bool has_sys_admin(void)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps) {
		(void)cap_get_flag(caps, CAP_SYS_ADMIN, CAP_EFFECTIVE, &value);
		cap_free(caps);
	}
	return value == CAP_SET;
}

/* No PID namespace: it would hold for children only, and there can be none. */
static bool leave_namespaces(void)
{
	const int flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

	/* A user namespace gives an unprivileged agent the right to the others. */
	if (!has_sys_admin())
		(void)unshare(CLONE_NEWUSER);
	return unshare(flags) == 0;
}

static bool empty_root(void)
{
	/* Any directory can be the mount point, it only has to exist. */
	static const char *const places[] = {"/tmp", "/proc", "/dev"};

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (mount("none", places[i], "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
			  "mode=0555,size=4k,nr_inodes=2") < 0)
			continue;
		/* pivot_root(2): with "." twice the old root ends up on top of the new one, from
		 * where it is detached. It refuses on an initramfs. */
		if (chdir(places[i]) == 0 && syscall(SYS_pivot_root, ".", ".") == 0)
			return umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
		if (chdir(places[i]) == 0 && chroot(".") == 0)
			return true;
	}
	return false;
}

static bool become_nobody(void)
{
	return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	       setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

static bool empty_bounding_set(void)
{
	bool ok = true;

	for (cap_value_t c = 0; c < cap_max_bits(); c++) {
		if (cap_get_bound(c) > 0 && cap_drop_bound(c) < 0)
			ok = false;
	}
	return ok;
}

/* ---- what must hold ---- */

static int close_descriptors(int keep)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++) {
		/* A report of AddressSanitizer should be seen. */
		if (fd != keep && !(fd == 2 && UNDER_ASAN) && dup2(null, fd) < 0)
			return -errno;
	}
	if (keep > 3 && syscall(SYS_close_range, 3, keep - 1, 0) < 0)
		return -errno;
	return syscall(SYS_close_range, MAX(keep + 1, 3), ~0u, 0) < 0 ? -errno : 0;
}

static int drop_capabilities(void)
{
	cap_t none = cap_init();
	int r = 0;

	if (!none)
		return -ENOMEM;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || cap_set_proc(none) < 0)
		r = -errno;
	cap_free(none);
	return r;
}

static int limit(const struct sandbox_options *o)
{
	const struct {
		int resource;
		uint64_t value;
	} limits[] = {
		{RLIMIT_CORE, 0},	   {RLIMIT_NOFILE, FILES_MAX},
		{RLIMIT_NPROC, 0},	   {RLIMIT_FSIZE, o->file_bytes},
		{RLIMIT_MEMLOCK, 0},	   {RLIMIT_DATA, o->memory_bytes},
		{RLIMIT_AS, MAPPED_BYTES},
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const struct rlimit l = {limits[i].value, limits[i].value};

		/* AddressSanitizer reserves terabytes for its shadow. */
		if (UNDER_ASAN &&
		    (limits[i].resource == RLIMIT_AS || limits[i].resource == RLIMIT_DATA))
			continue;
		if (setrlimit(limits[i].resource, &l) < 0)
			return -errno;
	}
	return 0;
}

static int hold_to_parent(pid_t parent)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	/* The parent that died before the line above sends no signal any more. */
	return getppid() == parent ? 0 : -ESRCH;
}

/* ---- system calls ---- */

/* Working memory, the descriptors that were handed over, time, the end. In alphabetical order;
 * glibc's qsort() before 2.37 asks sysinfo() how much memory it may use. */
static const int allowed[] = {
	SCMP_SYS(brk),		SCMP_SYS(clock_gettime), SCMP_SYS(close),
	SCMP_SYS(exit),		SCMP_SYS(exit_group),	 SCMP_SYS(fstat),
	SCMP_SYS(ftruncate),	SCMP_SYS(futex),	 SCMP_SYS(getrandom),
	SCMP_SYS(lseek),	SCMP_SYS(madvise),	 SCMP_SYS(mremap),
	SCMP_SYS(munmap),	SCMP_SYS(pread64),	 SCMP_SYS(pwrite64),
	SCMP_SYS(read),		SCMP_SYS(recvmsg),	 SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn),	 SCMP_SYS(sched_yield),
	SCMP_SYS(sysinfo),	SCMP_SYS(write),
};

static int allow_all(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(allowed) && !r; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!r)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_exec);
	if (!r)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_exec);
	/* glibc's fstat(): newfstatat() of the descriptor itself. */
	if (!r)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
				     SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
	/* The CPU limit of each file (the agent has a deadline of its own), and build.c's tick;
	 * only these two: a signal handler of its own gives a hostile child nothing. */
	if (!r)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setitimer), 1,
				     SCMP_A0(SCMP_CMP_EQ, ITIMER_PROF));
	if (!r)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setitimer), 1,
				     SCMP_A0(SCMP_CMP_EQ, ITIMER_REAL));
	return r;
}

static int filter_system_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* There are no secrets in this process that speculation could reach: do not let kernels
	 * before 5.16 slow it down for that. Unknown to old libraries. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
	if (!r)
		r = allow_all(ctx);
	if (!r)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

int sandbox_enter(const struct sandbox_options *o, uint32_t *ret_missing)
{
	const pid_t parent = getppid();
	bool layers[SANDBOX_LAYER_MAX];
	uint32_t missing = 0;
	int r;

	if (setsid() < 0 && errno != EPERM)
		return -errno;
	layers[SANDBOX_PRIORITY] = lower_priority();
	r = close_descriptors(o->keep_fd);
	if (r < 0)
		return r;
	layers[SANDBOX_NAMESPACES] = leave_namespaces();
	layers[SANDBOX_ROOT] = layers[SANDBOX_NAMESPACES] && empty_root();
	layers[SANDBOX_BOUNDING] = empty_bounding_set();
	layers[SANDBOX_USER] = become_nobody();
	r = drop_capabilities();
	if (r == 0)
		r = limit(o);
	if (r == 0)
		r = hold_to_parent(parent);
	if (r == 0)
		r = filter_system_calls();
	if (r < 0)
		return r;
	for (size_t i = 0; i < SANDBOX_LAYER_MAX; i++)
		missing |= layers[i] ? 0 : 1u << i;
	*ret_missing = missing;
	return 0;
}
