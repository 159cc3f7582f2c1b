/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/frames.h"

#include <errno.h>
#include <string.h>

void frames_done(struct frames *f)
{
	free(f->items);
	free(f->of_line);
	free(f->of_process);
	hash_done(&f->ids);
	*f = (struct frames){0};
}

/* The index of the item, new or old; items has room for every call that frames_init() makes. */
static int64_t frames_add(struct frames *f, const struct frames_item *want)
{
	const uint32_t words[] = {want->name, want->module, want->kind};
	uint64_t key = hash_bytes(words, sizeof(words)), index;
	int r;

	for (; (index = hash_get(&f->ids, key)) != HASH_NONE; key++) {
		const struct frames_item *have = &f->items[index];

		if (have->name == want->name && have->module == want->module &&
		    have->kind == want->kind)
			return (int64_t)index;
	}
	r = hash_put(&f->ids, key, f->n);
	if (r < 0)
		return r;
	f->items[f->n] = *want;
	return (int64_t)f->n++;
}

static int frames_add_location(struct frames *f, const struct profile *p,
			       const struct profile_location *l)
{
	uint32_t module = l->mapping ? p->mappings[l->mapping - 1].file : 0;

	for (uint32_t i = l->first_line; i < l->first_line + l->n_lines; i++) {
		const struct profile_function *fn = &p->functions[p->lines[i].function];
		int64_t index = frames_add(f, &(struct frames_item){
						      .name = fn->name ? fn->name : fn->system_name,
						      .module = module,
						      .file = fn->file,
						      .line = fn->start_line,
						      .kind = l->kind,
						      .named = l->named,
					      });

		if (index < 0)
			return (int)index;
		f->of_line[i] = (uint32_t)index;
	}
	return 0;
}

int frames_init(struct frames *f, const struct profile *p)
{
	_cleanup_frames_ struct frames new = {0};

	new.items = calloc(p->n_lines + p->n_processes + 2, sizeof(*new.items));
	new.of_line = calloc(p->n_lines + 1, sizeof(*new.of_line));
	new.of_process = calloc(p->n_processes + 1, sizeof(*new.of_process));
	if (!new.items || !new.of_line || !new.of_process)
		return -ENOMEM;
	new.items[FRAMES_ROOT].kind = PROFILE_COMM;
	new.items[FRAMES_OTHER].kind = PROFILE_REASON;
	new.n = 2;
	for (size_t i = 0; i < p->n_locations; i++) {
		int r = frames_add_location(&new, p, &p->locations[i]);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < p->n_processes; i++) {
		int64_t index = frames_add(&new, &(struct frames_item){
							 .name = p->processes[i].comm,
							 .kind = PROFILE_COMM,
							 .named = true,
						 });

		if (index < 0)
			return (int)index;
		/* The path is a hint for the reader, it does not tell two names apart. */
		if (!new.items[index].file)
			new.items[index].file = p->processes[i].exe;
		new.of_process[i] = (uint32_t)index;
	}
	*f = new;
	new = (struct frames){0};
	return 0;
}

const char *frames_name(const struct frames *f, const struct profile *p, uint32_t item)
{
	const char *name;

	if (item == FRAMES_ROOT)
		return "all";
	if (item == FRAMES_OTHER)
		return "[smaller frames]";
	name = intern_get(&p->strings, f->items[item].name);
	if (*name)
		return name;
	return f->items[item].kind == PROFILE_COMM ? "[no process name]" : "[unknown]";
}

const char *frames_module(const struct frames *f, const struct profile *p, uint32_t item)
{
	const char *path = intern_get(&p->strings, f->items[item].module);
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}
