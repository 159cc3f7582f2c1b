/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stops threads of a JVM at random, walks their Java frames with the agent's code and names them:
 *
 *   record_hotspot [-n STOPS] [-o FILE.jrec] [-m RECORDINGS] [-p] [-v] [-c]
 *                [-w WORDS] [-s STEPS] [-t TEXT] PID
 *
 * Prints what could not be walked, with the registers and the code there, and how many could. With
 * -t all stacks go into a file, too; with
 * -o a stack is recorded when its mix of frames is one that was not seen before, with -p when its
 * program counter is, with -v if some of them lie in the heap, with -w if WORDS are in its text.
 * With -c threads in native code that Java has called are looked at, too: by the unwind rows of
 * libjvm and libc up to Java code. With -s a thread stopped in Java code takes so many single
 * steps, and is looked at after each. record_hotspot.py records every version.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "agent/base/hash.h"
#include "symbolizer/objfile.h"
#include "unwinders/hotspot.h"
#include "unwinders/runtime.h"

extern const struct runtime hotspot_runtime;

#include "tests/unit/unwinders/hotspot_recording.h"
#include "tests/unit/unwinders/record_native.h"

#define STACK_BYTES (256u << 10)
#define WORDS	    1024

struct jvm {
	pid_t pid;
	struct hotspot_file file;
	struct hotspot_proc proc;
	uint64_t bias;
	struct hash touched; /* blocks: address -> address, while a stack is recorded */
	bool recording;
	struct native_code native; /* that is walked through, and the code heaps */
};

static int vm_read(void *data, uint64_t addr, void *to, size_t n)
{
	struct jvm *j = data;
	struct iovec local = {to, n}, remote = {(void *)(uintptr_t)addr, n};
	ssize_t got = process_vm_readv(j->pid, &local, 1, &remote, 1, 0);

	if (got != (ssize_t)n)
		return got < 0 && errno == ESRCH ? -ESRCH : -EFAULT;
	for (uint64_t b = addr / JREC_BLOCK; j->recording && b <= (addr + n - 1) / JREC_BLOCK; b++)
		(void)hash_put(&j->touched, b, b);
	return 0;
}

static int describe(const char *path, struct hotspot_file *ret)
{
	struct runtime_description d = {.file = BUF_INIT(RUNTIME_FILE_BYTES_MAX)};
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : objfile_open(fd, &o);

	if (r == 0)
		r = hotspot_runtime.describe(o, &d);
	if (r == 0)
		memcpy(ret, d.file.data, sizeof(*ret));
	runtime_description_done(&d);
	return r;
}

/* libjvm is the file that is recognised; its bias is where its first byte is mapped. */
static int find_libjvm(struct jvm *j)
{
	_cleanup_fclose_ FILE *maps = open_maps(j->pid);
	char last[512] = "";
	struct mapping m;

	while (next_mapping(j->pid, maps, &m)) {
		if (m.offset || !strcmp(m.name, last))
			continue;
		(void)snprintf(last, sizeof(last), "%s", m.name);
		if (describe(m.path, &j->file) == 0) {
			j->bias = m.start;
			return 0;
		}
	}
	return -ENOENT;
}

/* What Java calls, and the code heaps, where the walk through it ends. */
static void find_native(struct jvm *j)
{
	_cleanup_fclose_ FILE *maps = open_maps(j->pid);
	struct mapping m;

	while (next_mapping(j->pid, maps, &m)) {
		if (m.code && (strstr(m.name, "/libjvm.so") || strstr(m.name, "/libc.so")))
			native_code_add(&j->native, &m);
	}
	for (int i = 0; i < HOTSPOT_HEAPS; i++) {
		const struct hotspot_heap *heap = &j->proc.heaps[i];

		if (heap->low)
			native_code_add_anon(&j->native, heap->low, heap->high - heap->low);
	}
}

static int stop_at_java(void *data, struct native_walk *w)
{
	return -EIO;
}

static int list_threads(pid_t pid, pid_t *ret, int max)
{
	char path[64];
	struct dirent *e;
	DIR *dir;
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && n < max && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] != '.')
			ret[n++] = (pid_t)strtoul(e->d_name, NULL, 10);
	}
	if (dir)
		closedir(dir);
	return n;
}

static size_t read_stack(struct jvm *j, uint64_t sp, uint8_t *to)
{
	size_t n = 0, part = 4096 - sp % 4096;

	while (n + part <= STACK_BYTES && vm_read(j, sp + n, to + n, part) == 0) {
		n += part;
		part = 4096;
	}
	return n;
}

static bool in_heap(const struct jvm *j, uint64_t pc)
{
	for (int i = 0; i < HOTSPOT_HEAPS; i++) {
		if (pc - j->proc.heaps[i].low < j->proc.heaps[i].high - j->proc.heaps[i].low)
			return true;
	}
	return false;
}

static void print_words(const struct jvm *j, const struct native_walk *w, const struct walk_regs *r)
{
	for (int i = 0; i < 24; i++) {
		uint64_t word;

		if (native_read(w, r->sp + 8 * (uint64_t)i, &word, 8) == 0)
			printf("  [sp+%3d] %016lx%s\n", 8 * i, (unsigned long)word,
			       in_heap(j, word) ? " code" : "");
	}
}

static void print_failure(struct jvm *j, const struct native_walk *w, const struct walk_regs *first,
			  const char *text)
{
	const struct walk_regs *r = &w->regs;
	uint8_t code[48] = {0};

	printf("---- leaf pc %llx, walk ended at pc %llx sp %llx rbp %llx leaf %u\n%s", first->pc,
	       r->pc, r->sp, r->is_leaf ? r->leaf[DWARF_RBP] : r->regs[SLOT_RBP], r->is_leaf, text);
	printf("  rax %llx rbx %llx rdi %llx r13 %llx\n  code from pc-24:", first->leaf[DWARF_RAX],
	       first->leaf[DWARF_RBX], first->leaf[DWARF_RDI], first->leaf[DWARF_R13]);
	(void)vm_read(j, r->pc - 24, code, sizeof(code));
	for (size_t i = 0; i < sizeof(code); i++)
		printf("%s%02x", i == 24 ? " | " : " ", code[i]);
	printf("\n");
	print_words(j, w, r);
}

/* What makes a stack worth keeping: the kinds of its first frames. */
static uint64_t mix_of(const struct native_walk *w, const struct walk_regs *first)
{
	uint64_t mix = FRAME_KIND(w->frames[0]);
	uint32_t seen = 0;

	for (uint32_t i = 0; i + 1 < w->n_frames; i += 2) {
		uint32_t kind = HOTSPOT_KIND(FRAME_RUNTIME_VALUE(w->frames[i]));

		if (i < 6)
			mix = mix * 8 + kind;
		seen |= 1u << kind;
	}
	return hash_mix(mix << 8 | seen << 1 | (first->leaf[DWARF_RBP] % 8 == 0));
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* How far below sp the lowest register lies that native code has saved. */
static uint64_t saved_below(const struct walk_regs *r)
{
	uint64_t below = 0;

	for (int i = 0; i < SLOT_MAX; i++) {
		if (r->saved[i] > SAVED_LOST && r->saved[i] < r->sp)
			below = MAX(below, r->sp - r->saved[i]);
	}
	return below;
}

static void write_recording(struct jvm *j, const struct native_walk *w,
			    const struct walk_regs *first, const struct buf *text, FILE *out)
{
	struct buf b = BUF_INIT(4u << 20);
	_cleanup_free_ uint64_t *addresses = calloc(j->touched.count + 1, 8);
	uint32_t n = 0;
	uint64_t below = saved_below(first), skip = first->sp - below - w->stack_start;
	uint64_t end = ((w->regs.sp - w->stack_start) & ~UINT64_C(7)) + 512;
	struct jrec_header h = {
		.magic = JREC_MAGIC,
		.bias = j->bias,
		.file_bytes = sizeof(j->file),
		.regs_bytes = sizeof(*first),
		.stack_bytes = (uint32_t)(MIN(w->stack_bytes & ~UINT64_C(7), end) - skip),
		.below = (uint32_t)below,
		.n_words = w->n_frames,
		.text_bytes = (uint32_t)text->len + 1,
	};

	j->recording = false;
	HASH_FOREACH (s, &j->touched)
		addresses[n++] = s->key * JREC_BLOCK;
	qsort(addresses, n, 8, compare_u64);
	h.n_blocks = n;
	buf_add(&b, &h, sizeof(h));
	buf_add(&b, &j->file, sizeof(j->file));
	buf_add(&b, first, sizeof(*first));
	buf_add(&b, w->stack + skip, h.stack_bytes);
	buf_add(&b, addresses, 8 * (size_t)n);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t block[JREC_BLOCK] = {0};

		(void)vm_read(j, addresses[i], block, sizeof(block));
		buf_add(&b, block, sizeof(block));
	}
	buf_add(&b, w->frames, 8 * (size_t)w->n_frames);
	buf_add(&b, text->data, text->len);
	do
		buf_add_u8(&b, 0);
	while (b.len % 8);
	if (!b.failed) {
		((struct jrec_header *)(void *)b.data)->bytes = (uint32_t)b.len;
		(void)fwrite(b.data, 1, b.len, out);
	}
	buf_done(&b);
}

struct hunt {
	struct jvm *j;
	struct hash mixes;
	FILE *out, *text;
	unsigned int recordings, max, java, broken, frozen;
	unsigned long steps;
	bool places, heap, called;
	const char *with; /* only stacks in whose text this is; NULL: all */
};

/* Do frames of this stack lie in the heap? first: as before the walk. */
static bool partly_in_heap(const struct runtime_process *p, const struct native_walk *walked,
			   const struct walk_regs *first)
{
	uint64_t words[WORDS];
	struct native_walk w = {.regs = *first,
				.stack = walked->stack,
				.stack_start = walked->stack_start,
				.stack_bytes = walked->stack_bytes,
				.frames = words,
				.max_frames = WORDS};

	jrec_walk(p, &w);
	return w.gap && !walked->gap;
}

/* Is what is missing of a stack missing by necessity? */
static bool is_said(const char *text)
{
	return strstr(text, "[java: frames in the heap]") ||
	       strstr(text, "[java: frames are being put back]");
}

static bool is_wanted(struct hunt *k, const struct runtime_process *p, const struct native_walk *w,
		      const struct walk_regs *first, const char *text)
{
	uint64_t mix = k->places ? first->pc : mix_of(w, first);

	if (!k->j->recording || (w->gap && !is_said(text)) || (k->with && !strstr(text, k->with)) ||
	    (k->heap && !partly_in_heap(p, w, first)) || hash_get(&k->mixes, mix) != HASH_NONE)
		return false;
	return hash_put(&k->mixes, mix, 1) == 0;
}

/* Leaves native code for the Java code that called it. */
static bool come_to_java(const struct hunt *k, struct native_walk *w)
{
	const struct native_ops ops = {.rule = native_code_rule, .code_step = stop_at_java};

	if (in_heap(k->j, w->regs.pc))
		return true;
	if (!k->called)
		return false;
	w->ranges = k->j->native.ranges;
	w->n_ranges = k->j->native.n_ranges;
	w->limit = WORDS;
	(void)native_walk(w, &ops, &k->j->native);
	w->n_frames = w->depth = 0;
	return !w->regs.is_leaf && in_heap(k->j, w->regs.pc);
}

static void look(struct hunt *k, const struct user_regs_struct *u)
{
	struct jvm *j = k->j;
	_cleanup_free_ uint8_t *stack = malloc(STACK_BYTES);
	uint64_t words[WORDS];
	struct target_memory m = {.read = vm_read, .data = j, .budget = SIZE_MAX};
	struct runtime_process p = {
		.file = &j->file, .bias = j->bias, .proc = &j->proc, .memory = &m, .key = 1};
	struct native_walk w = {.stack = stack,
				.stack_start = u->rsp,
				.frames = words,
				.max_frames = WORDS,
				.still = true};
	struct hotspot_proc again;
	struct walk_regs first;
	struct buf text = BUF_INIT(1u << 20);
	void *names = NULL;

	if (!stack || (!k->called && !in_heap(j, u->rip)))
		return;
	take_regs(u, &w.regs);
	w.stack_bytes = read_stack(j, u->rsp, stack);
	if (!come_to_java(k, &w) || hotspot_runtime.names_new(&names) < 0)
		return;
	first = w.regs;
	k->java++;
	j->recording = k->out && k->recordings < k->max;
	(void)hotspot_attach(&p, &again);
	jrec_walk(&p, &w);
	jrec_text(names, &p, &w, &text);
	if (k->text)
		fprintf(k->text, "%s\n", buf_cstr(&text));
	if (w.gap && is_said(buf_cstr(&text))) {
		k->frozen++;
	} else if (w.gap) {
		k->broken++;
		print_failure(j, &w, &first, buf_cstr(&text));
	}
	if (is_wanted(k, &p, &w, &first, buf_cstr(&text))) {
		write_recording(j, &w, &first, &text, k->out);
		k->recordings++;
	}
	hash_done(&j->touched);
	j->recording = false;
	hotspot_runtime.names_free(names);
	buf_done(&text);
}

/* A signal that comes meanwhile (a poll's, a null check's) is passed on. The last one is returned.
 */
static int go_on(struct hunt *k, pid_t tid, int sig)
{
	struct user_regs_struct u;
	int status;

	for (unsigned long i = 0; i < k->steps; i++) {
		if (ptrace(PTRACE_SINGLESTEP, tid, NULL, (void *)(uintptr_t)sig) < 0 ||
		    waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status) ||
		    ptrace(PTRACE_GETREGS, tid, NULL, &u) < 0)
			return 0;
		sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		look(k, &u);
	}
	return sig;
}

static void stop(struct hunt *k, pid_t tid)
{
	struct user_regs_struct u;
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
		return;
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0 &&
	    waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {
		int sig = status >> 16 ? 0 : WSTOPSIG(status);

		if (ptrace(PTRACE_GETREGS, tid, NULL, &u) < 0)
			u.rip = 0;
		else
			look(k, &u);
		if (k->steps && in_heap(k->j, u.rip))
			sig = go_on(k, tid, sig);
		(void)ptrace(PTRACE_DETACH, tid, NULL, (void *)(uintptr_t)sig);
	}
}

int main(int argc, char **argv)
{
	struct jvm j = {0};
	struct hunt k = {.j = &j, .max = 6};
	struct target_memory m = {.read = vm_read, .data = &j, .budget = SIZE_MAX};
	struct runtime_process p = {.file = &j.file, .memory = &m};
	unsigned long stops = 1000;
	pid_t threads[512];
	int c, n, r;

	while ((c = getopt(argc, argv, "n:o:m:pvcw:s:t:")) != -1) {
		if (c == 'n')
			stops = strtoul(optarg, NULL, 10);
		else if (c == 'm')
			k.max = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'p')
			k.places = true;
		else if (c == 'v')
			k.heap = true;
		else if (c == 'c')
			k.called = true;
		else if (c == 'w')
			k.with = optarg;
		else if (c == 's')
			k.steps = strtoul(optarg, NULL, 10);
		else if (c == 't')
			k.text = fopen(optarg, "we");
		else if (c == 'o')
			k.out = fopen(optarg, "we");
		else
			return 2;
	}
	if (optind >= argc)
		return 2;
	j.pid = (pid_t)strtoul(argv[optind], NULL, 10);
	r = find_libjvm(&j);
	p.bias = j.bias;
	if (r == 0)
		r = hotspot_attach(&p, &j.proc);
	if (r < 0) {
		fprintf(stderr, "cannot attach to %d: %s\n", j.pid, strerror(-r));
		return 1;
	}
	if (k.called)
		find_native(&j);
	srandom((unsigned int)getpid());
	for (unsigned long i = 0; i < stops; i++) {
		n = list_threads(j.pid, threads, (int)ARRAY_SIZE(threads));
		if (n <= 0)
			break;
		for (int t = 0; t < n; t++)
			stop(&k, threads[t]);
		usleep((useconds_t)(random() % 1000));
	}
	printf("version %u: %u in Java code, %u broken, %u partly in the heap, %u recorded\n",
	       j.proc.version, k.java, k.broken, k.frozen, k.recordings);
	hash_done(&k.mixes);
	native_code_done(&j.native);
	if (k.out)
		(void)fclose(k.out);
	if (k.text)
		(void)fclose(k.text);
	return k.broken != 0;
}
