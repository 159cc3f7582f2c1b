/* SPDX-License-Identifier: Apache-2.0 */
/* The runtimes that are built, and the section of a table that says which one a file has. */
#include "unwinders/runtime.h"

#include <errno.h>
#include <string.h>

#include "symbolizer/table.h"

#define RUNTIME(name, NAME) extern const struct runtime name##_runtime;
#include "bpf/runtimes.inc"
#undef RUNTIME

static const struct runtime *const runtimes[RUNTIMES_ROOM] = {
#define RUNTIME(name, NAME) [RUNTIME_##NAME] = &name##_runtime,
#include "bpf/runtimes.inc"
#undef RUNTIME
};

const struct runtime *runtime_get(uint32_t id)
{
	return id < RUNTIME_MAX ? runtimes[id] : NULL;
}

int runtime_describe(struct objfile *o, struct runtime_description *ret, uint32_t *ret_id)
{
	*ret_id = RUNTIME_NONE;
	for (uint32_t id = RUNTIME_NONE + 1; id < RUNTIME_MAX; id++) {
		const struct runtime *rt = runtimes[id];
		int r;

		*ret = (struct runtime_description){.file = BUF_INIT(RUNTIME_FILE_BYTES_MAX)};
		r = rt->describe(o, ret);
		if (r == 0 && ret->file.len == rt->file_bytes && rt->valid(ret->file.data)) {
			*ret_id = id;
			return 0;
		}
		runtime_description_done(ret);
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

int runtime_write(uint32_t id, const struct runtime_description *d, struct table_writer *w)
{
	const struct runtime_section s = {.runtime = id, .bytes = (uint32_t)d->file.len};

	if (id == RUNTIME_NONE)
		return 0;
	buf_add(&w->sections[TABLE_RUNTIME], &s, sizeof(s));
	buf_add(&w->sections[TABLE_RUNTIME], d->file.data, d->file.len);
	return w->sections[TABLE_RUNTIME].failed;
}

void runtime_description_done(struct runtime_description *d)
{
	buf_done(&d->file);
	*d = (struct runtime_description){0};
}

const struct runtime *runtime_of_table(const struct table *t, const void **ret_file)
{
	size_t bytes;
	const struct runtime_section *s = table_section(t, TABLE_RUNTIME, &bytes);
	const struct runtime *rt;

	if (!s || bytes < sizeof(*s) || s->bytes > bytes - sizeof(*s))
		return NULL;
	rt = runtime_get(s->runtime);
	if (!rt || s->bytes != rt->file_bytes || !rt->valid(s + 1))
		return NULL;
	*ret_file = s + 1;
	return rt;
}
