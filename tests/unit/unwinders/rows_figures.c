/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what rows_write() makes of each file given: sizes, kinds of rules, what was not expressed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "symbolizer/objfile.h"
#include "unwinders/rows.h"

static const char *const kinds[] = {"invalid", "cfa", "cfa_far", "deref", "plt",
				    "signal",  "fp",  "end",	 "ra_reg"};

static void print_stats(const char *path, const struct rows_stats *s, size_t bytes, double ms)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	printf("%s\n  functions %u (bad %u) go %u plt %u restorers %u analysed %u\n", path,
	       s->functions, s->bad, s->go_functions, s->plt_stubs, s->restorers, s->analysed);
	printf("  pages %u rows %u rules %u bytes %zu, %.1f ms, peak %ld KiB\n", s->pages, s->rows,
	       s->rules, bytes, ms, u.ru_maxrss);
	printf("  code %llu covered %.3f%%\n ", (unsigned long long)s->code_bytes,
	       s->code_bytes ? 100.0 * (double)s->covered_bytes / (double)s->code_bytes : 0.0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (s->kinds[i])
			printf(" %s %u", kinds[i], s->kinds[i]);
	printf("\n ");
	for (unsigned int i = 1; i < CFI_REASON_MAX; i++)
		if (s->reasons[i])
			printf(" [%s] %u", cfi_reason_name((enum cfi_reason)i), s->reasons[i]);
	printf("\n");
}

static int figures_of(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	struct rows_stats s = {0};
	struct table_writer w;
	struct timespec a, b;
	uint32_t flags = 0;
	int r = fd < 0 ? -errno : objfile_open(fd, &o);

	if (r < 0)
		return r;
	table_writer_init(&w, 256u << 20);
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	r = rows_write_with(o, &w, &(struct rows_options){.stats = &s}, &flags);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	if (r == 0)
		print_stats(path, &s, w.sections[TABLE_ROWS].len + w.sections[TABLE_ROWS_INDEX].len,
			    (double)(b.tv_sec - a.tv_sec) * 1e3 +
				    (double)(b.tv_nsec - a.tv_nsec) / 1e6);
	table_writer_done(&w);
	return r;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		int r = figures_of(argv[i]);

		if (r < 0)
			printf("%s: %s\n", argv[i], strerror(-r));
		failed |= r < 0;
	}
	return failed;
}
