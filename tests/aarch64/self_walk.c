/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walker of aarch64 on real frames: a program that walks its own stack by the rows of its own
 * files. Every function notes where it will return to, and the walk must find exactly that, down
 * to the end of the stack. Built with and without frame pointers and with signed return addresses;
 * run on aarch64 or by qemu-aarch64-static.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "symbolizer/objfile.h"
#include "unwinders/native.h"
#include "unwinders/rows.h"
#include "unwinders/rows_page.h"

#define WALK_ENV const void

static int walk_read8(const void *unused, __u64 addr, __u64 *v)
{
	memcpy(v, (const void *)addr, 8);
	return 0;
}

static int walk_read16(const void *unused, __u64 addr, __u64 *v)
{
	memcpy(v, (const void *)addr, 16);
	return 0;
}

#include "bpf/walk.h"

_Static_assert(sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext) == SIGFRAME_CONTEXT &&
		       SIGFRAME_CONTEXT + offsetof(mcontext_t, regs[29]) == SIGFRAME_X29 &&
		       SIGFRAME_CONTEXT + offsetof(mcontext_t, sp) == SIGFRAME_SP,
	       "struct rt_sigframe");

#define NOINLINE   __attribute__((noinline, noclone, optimize("no-optimize-sibling-calls")))
#define DEPTH	   20
#define FILES_MAX  8
#define FRAMES_MAX 256

extern void *__libc_stack_end;

static struct table *tables[FILES_MAX];
static struct range ranges[FILES_MAX];
static uint32_t n_ranges;
static uint64_t returns[FRAMES_MAX], expected[FRAMES_MAX];
static size_t n_returns, n_expected;
static int failed;
static const char *stage = "";
volatile uint8_t sink;
static unsigned int rules_hidden; /* of 4, how many: those frames are left by x29 */
static unsigned int rules_asked;

/* Where the caller of this goes on, without its authentication code. */
#define NOTE_RETURN() \
	(returns[n_returns++] = (uint64_t)__builtin_return_address(0) & ~native_pac_mask())
#define FORGET_RETURN() (n_returns--)

/* The registers, as a sample would find them in a function that has no frame. */
void grab(uint64_t regs[4]);
__asm__(".text\n.type grab, %function\n.global grab\ngrab:\n.cfi_startproc\n"
	"hint #34\n"
	"0: adr x1, 0b\n\tmov x2, sp\n\tstp x1, x2, [x0]\n\tstp x29, x30, [x0, #16]\n\tret\n"
	".cfi_endproc\n.size grab, . - grab\n");

static struct table *table_of(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = memfd_create("table", MFD_CLOEXEC);
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	struct table_writer w;
	struct table *t = NULL;
	uint32_t flags = 0;
	int r = fd < 0 ? -errno : objfile_open(fd, &o);

	table_writer_init(&w, 64u << 20);
	if (r == 0)
		r = rows_write(o, &w, &flags);
	if (r == 0)
		r = objfile_write_info(o, flags, &w);
	if (r == 0)
		r = table_write(&w, out);
	if (r == 0)
		r = table_open(out, true, &t);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
	table_writer_done(&w);
	return t;
}

static int add_file(struct dl_phdr_info *info, size_t size, void *data)
{
	const char *path = *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";

	for (int i = 0; i < info->dlpi_phnum && n_ranges < FILES_MAX; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || *path != '/')
			continue;
		tables[n_ranges] = table_of(path);
		ranges[n_ranges] = (struct range){
			.start = info->dlpi_addr + p->p_vaddr,
			.size = p->p_memsz,
			.first_frame = FRAME_OF_FILE(FILE_ID_FIRST + n_ranges, p->p_offset),
			.state = RANGE_ROWS,
		};
		n_ranges++;
	}
	return 0;
}

static int rule_of(void *data, uint64_t frame, uint64_t *ret_rule)
{
	const struct table *t = tables[FRAME_FILE(frame) - FILE_ID_FIRST];
	size_t bytes;
	const struct rows_page *p =
		t ? rows_page_get(t, FRAME_OFFSET(frame) >> ROWS_PAGE_SHIFT, &bytes) : NULL;

	if (!p || rules_asked++ % 4 < rules_hidden)
		return -ENODATA;
	*ret_rule = rows_lookup(p, (uint16_t)FRAME_OFFSET(frame));
	return 0;
}

static uint64_t frame_of(uint64_t pc)
{
	for (uint32_t i = 0; i < n_ranges; i++)
		if (pc - ranges[i].start < ranges[i].size)
			return ranges[i].first_frame + (pc - ranges[i].start);
	return 0;
}

static void compare(const struct native_walk *w, int r, size_t first)
{
	size_t bad = 0;

	for (size_t i = 0; i < n_expected && !bad; i++) {
		uint64_t want = frame_of(expected[i] - 1);

		if (first + i >= w->n_frames || w->frames[first + i] != want) {
			printf("%s: frame %zu of %u is %#llx, not %#llx\n", stage, first + i,
			       w->n_frames,
			       first + i < w->n_frames ? (long long)w->frames[first + i] : 0,
			       (long long)want);
			bad++;
		}
	}
	if (r != 1) {
		printf("%s: cut after %u frames for reason %d\n", stage, w->n_frames, w->reason);
		bad++;
	}
	if (!bad)
		printf("%s: %u frames, complete\n", stage, w->n_frames);
	failed += bad != 0;
}

/* Walks from these registers; what comes before the noted returns is `first` frames. */
static void walk_from(struct walk_regs regs, size_t first)
{
	uint64_t frames[FRAMES_MAX], sp = regs.sp;
	struct native_walk w = {
		.regs = regs,
		.ranges = ranges,
		.n_ranges = n_ranges,
		.stack = (const uint8_t *)sp,
		.stack_start = sp,
		.stack_bytes = (uint64_t)__libc_stack_end + 64 - sp,
		.frames = frames,
		.max_frames = FRAMES_MAX,
		.limit = FRAMES_MAX,
	};
	int r = native_walk(&w, &(struct native_ops){.rule = rule_of}, NULL);

	/* The walk goes up, the notes were made on the way down. */
	n_expected = n_returns;
	for (size_t i = 0; i < n_returns; i++)
		expected[i] = returns[n_returns - 1 - i];
	compare(&w, r, first);
}

static struct walk_regs regs_of(const uint64_t g[4])
{
	struct walk_regs r = {.pc = g[0], .sp = g[1], .is_leaf = 1};

	r.regs[SLOT_X29] = g[2];
	r.regs[SLOT_X30] = g[3];
	r.saved[SLOT_NONE] = SAVED_LOST;
	r.pac_mask = native_pac_mask();
	return r;
}

NOINLINE static void leaf_caller(void)
{
	uint64_t g[4];

	NOTE_RETURN();
	stage = "leaf";
	grab(g);
	walk_from(regs_of(g), 2); /* grab, and this function's own frame */
	FORGET_RETURN();
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	const uint64_t none[4] = {0};
	struct walk_regs r = regs_of(none);

	stage = "signal";
	r.sp = (uint64_t)context - sizeof(siginfo_t);
	if (walk_rule(NULL, &r, RULE_BASE(RULE_SIGNAL, 0, 0)) != WALK_NEXT ||
	    r.pc != uc->uc_mcontext.pc || r.sp != uc->uc_mcontext.sp ||
	    r.regs[SLOT_X29] != uc->uc_mcontext.regs[29] ||
	    r.regs[SLOT_X30] != uc->uc_mcontext.regs[30] || !r.is_leaf) {
		printf("signal: the interrupted registers are not found\n");
		failed++;
	}
	walk_from(r, 1);
#ifdef WITH_FRAME_POINTERS
	for (rules_hidden = 1; rules_hidden <= 4; rules_hidden++) {
		stage = "frame pointers between rows";
		rules_asked = 0;
		walk_from(r, 1);
	}
	rules_hidden = 0;
#endif
}

/* Stopped by an instruction of its own: the interrupted place is known to be here. */
NOINLINE static void interrupted(void)
{
	NOTE_RETURN();
	__asm__ volatile("brk #1" ::: "memory");
	FORGET_RETURN();
}

NOINLINE static void recurse(unsigned int depth)
{
	NOTE_RETURN();
	if (depth)
		recurse(depth - 1);
	else {
		leaf_caller();
		interrupted();
	}
	sink++;
	FORGET_RETURN();
}

/* Large locals: the prologue probes the stack and takes it in several steps. */
NOINLINE static void big_frame(void)
{
	volatile uint8_t room[9000];

	NOTE_RETURN();
	room[sink] = 1;
	recurse(DEPTH);
	sink += room[sink];
	FORGET_RETURN();
}

/* The CFA is found from x29. */
NOINLINE static void dynamic_frame(size_t n)
{
	volatile uint8_t *room = alloca(n);

	NOTE_RETURN();
	room[n - 1] = 1;
	big_frame();
	sink += room[n - 1];
	FORGET_RETURN();
}

static void on_brk(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	on_signal(sig, info, context);
	uc->uc_mcontext.pc += 4;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = on_brk, .sa_flags = SA_SIGINFO};

	(void)dl_iterate_phdr(add_file, NULL);
	(void)sigaction(SIGTRAP, &sa, NULL);
	printf("address bits that may be a code: %#llx\n", (long long)native_pac_mask());
	NOTE_RETURN();
	dynamic_frame(100 + (size_t)argc * 16);
	return failed != 0;
}
