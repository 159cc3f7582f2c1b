/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tephra check`: one line for each thing that profiling needs or profits from, with the cure for
 * what is missing. The decisive ones are tried for real: the programs are loaded and an event is
 * opened.
 */
#include "agent/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include <bpf/libbpf.h>

#include "agent/base/log.h"
#include "agent/profiler.h"
#include "agent/verbs.h"

enum verdict {
	VERDICT_OK,
	VERDICT_LESS, /* profiling works, something is missing in the result */
	VERDICT_MISSING,
};

struct check {
	enum verdict verdict;
	char found[160];
	const char *cure; /* NULL with VERDICT_OK */
};

static bool has_cap(cap_value_t cap)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (caps)
		(void)cap_get_flag(caps, cap, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET;
}

static void set(struct check *c, enum verdict verdict, const char *cure, const char *fmt, ...)
	_printf_(4, 5);
static void set(struct check *c, enum verdict verdict, const char *cure, const char *fmt, ...)
{
	va_list ap;

	c->verdict = verdict;
	c->cure = verdict == VERDICT_OK ? NULL : cure;
	va_start(ap, fmt);
	(void)vsnprintf(c->found, sizeof(c->found), fmt, ap);
	va_end(ap);
}

static void check_kernel(struct check *c)
{
	struct utsname u;

	if (uname(&u) < 0)
		return;
	set(c, strverscmp(u.release, "5.10") >= 0 ? VERDICT_OK : VERDICT_MISSING,
	    "use a kernel of version 5.10 or newer", "Linux %s on %s", u.release, u.machine);
}

static void check_btf(struct check *c)
{
	bool ok = access("/sys/kernel/btf/vmlinux", R_OK) == 0;

	set(c, ok ? VERDICT_OK : VERDICT_MISSING,
	    "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, or mount sysfs at /sys",
	    "/sys/kernel/btf/vmlinux %s", ok ? "is there" : "cannot be read");
}

static void check_bpf_caps(struct check *c)
{
	bool admin = has_cap(CAP_SYS_ADMIN), bpf = has_cap(CAP_BPF), perfmon = has_cap(CAP_PERFMON);

	set(c, admin || (bpf && perfmon) ? VERDICT_OK : VERDICT_MISSING,
	    "run as root, or grant CAP_BPF and CAP_PERFMON",
	    "CAP_BPF %s, CAP_PERFMON %s, CAP_SYS_ADMIN %s", bpf ? "yes" : "no",
	    perfmon ? "yes" : "no", admin ? "yes" : "no");
}

static void check_file_caps(struct check *c)
{
	bool admin = has_cap(CAP_SYS_ADMIN);
	bool ptrace = has_cap(CAP_SYS_PTRACE), restore = has_cap(CAP_CHECKPOINT_RESTORE);
	bool search = has_cap(CAP_DAC_READ_SEARCH);

	set(c, (admin || restore) && ptrace && search ? VERDICT_OK : VERDICT_LESS,
	    "grant CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE and CAP_DAC_READ_SEARCH: without them "
	    "files of other users' processes have no names and their stacks are cut",
	    "CAP_SYS_PTRACE %s, CAP_CHECKPOINT_RESTORE %s, CAP_DAC_READ_SEARCH %s",
	    ptrace ? "yes" : "no", restore || admin ? "yes" : "no", search ? "yes" : "no");
}

static void check_load(struct check *c)
{
	const struct profiler_options o = {
		.frequency_hz = 99, .interval_s = 1, .kernel_stacks = true};
	const struct profiler_handler handler = {0};
	struct profiler *p = NULL;
	struct loop *loop = NULL;
	int r = loop_new(&loop);

	if (r >= 0)
		r = profiler_new(loop, &o, &handler, &p);
	if (r >= 0)
		set(c, VERDICT_OK, NULL, "the BPF programs load and pass the verifier");
	else if (r == -EPERM || r == -EACCES)
		set(c, VERDICT_MISSING,
		    "run as root, or grant CAP_BPF and CAP_PERFMON; in a container also allow "
		    "bpf() "
		    "in the seccomp profile; kernel lockdown must not be 'confidentiality'",
		    "the kernel refuses the BPF programs: %s", strerror(-r));
	else
		set(c, VERDICT_MISSING,
		    "report this with the output of 'tephra check' and 'uname -a'",
		    "the BPF programs do not load: %s", strerror(-r));
	profiler_free(p);
	loop_free(loop);
}

static int try_event(uint32_t type, uint64_t config)
{
	struct perf_event_attr a = {
		.size = sizeof(a),
		.type = type,
		.config = config,
		.sample_period = 10000000,
		.disabled = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &a, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static void check_event(struct check *c)
{
	int clock = try_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK);
	int cycles = try_event(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES);

	if (clock < 0 && cycles < 0)
		set(c, VERDICT_MISSING,
		    "grant CAP_PERFMON (or CAP_SYS_ADMIN), allow perf_event_open() in the seccomp "
		    "profile, or set kernel.perf_event_paranoid to -1",
		    "no event can be opened on a CPU: %s", strerror(-clock));
	else
		set(c, VERDICT_OK, NULL, "sampling by %s",
		    cycles >= 0 ? "hardware cycles"
				: "cpu-clock (this machine has no cycle counter)");
}

static void check_kallsyms(struct check *c)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/kallsyms", "re");
	char line[256] = "";
	bool ok = f && fgets(line, sizeof(line), f) && strncmp(line, "0000000000000000", 16) != 0;

	/* The first symbol may really be at 0 (per-CPU): look at some more. */
	for (int i = 0; !ok && f && i < 64 && fgets(line, sizeof(line), f); i++)
		ok = strncmp(line, "0000000000000000", 16) != 0;
	set(c, ok ? VERDICT_OK : VERDICT_LESS,
	    "grant CAP_SYSLOG and set kernel.kptr_restrict to 0 or 1: without it kernel frames "
	    "have "
	    "no names",
	    "kernel symbols %s", ok ? "can be read" : "are hidden");
}

static void check_pid_namespace(struct check *c)
{
	struct stat st;
	/* PROC_PID_INIT_INO, include/linux/proc_ns.h */
	bool host = stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == 0xEFFFFFFCu;

	set(c, host ? VERDICT_OK : VERDICT_LESS,
	    "run in the host's PID namespace (Docker: --pid=host, Kubernetes: hostPID: true): "
	    "process ids from the kernel mean nothing elsewhere",
	    "%s", host ? "in the host's PID namespace" : "in a PID namespace of its own");
}

static void check_architecture(struct check *c)
{
#if defined(__x86_64__)
	set(c, VERDICT_OK, NULL, "x86-64: native stacks are walked with unwind information");
#else
	set(c, VERDICT_LESS, "use an x86-64 host, or wait for a later version",
	    "aarch64: the walker has only seen recorded stacks; signal frames, PLT stubs and Go's "
	    "tables are not known to it");
#endif
}

static const struct {
	const char *name;
	void (*run)(struct check *c);
} checks[] = {
	{"kernel", check_kernel},
	{"architecture", check_architecture},
	{"type information", check_btf},
	{"capabilities for BPF", check_bpf_caps},
	{"BPF programs", check_load},
	{"sampling event", check_event},
	{"capabilities for files", check_file_caps},
	{"kernel symbols", check_kallsyms},
	{"PID namespace", check_pid_namespace},
};

static const char *mark(enum verdict v, bool colour)
{
	static const char *const plain[] = {"ok     ", "less   ", "MISSING"};
	static const char *const coloured[] = {"\033[32mok     \033[0m", "\033[33mless   \033[0m",
					       "\033[31mMISSING\033[0m"};

	return colour ? coloured[v] : plain[v];
}

static int run_checks(FILE *f, bool only_bad)
{
	bool colour = isatty(fileno(f)) && !getenv("NO_COLOR");
	int missing = 0;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct check c = {.found = "unknown"};

		checks[i].run(&c);
		missing += c.verdict == VERDICT_MISSING;
		if (only_bad && c.verdict != VERDICT_MISSING)
			continue;
		fprintf(f, "%s %-23s %s\n", mark(c.verdict, colour), checks[i].name, c.found);
		if (c.cure)
			fprintf(f, "        %-23s -> %s\n", "", c.cure);
	}
	return missing;
}

void check_explain(int r)
{
	log_error_errno(r, "cannot profile on this host");
	if (run_checks(stderr, true) == 0)
		log_error("'tephra check' finds nothing missing; --log-level=debug says more");
}

int check_main(int argc, char **argv)
{
	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		puts("Usage: tephra check\n\n"
		     "Says what this kernel, these privileges and this build can do, one line "
		     "each,\n"
		     "with the cure for what is missing. Exits with 0 when 'tephra record -a' "
		     "will\n"
		     "work, else with 3.");
		return EXIT_DONE;
	}
	if (argc > 1)
		return usage_error("tephra check", "check takes no arguments");
	return run_checks(stdout, false) ? EXIT_REFUSED : EXIT_DONE;
}
