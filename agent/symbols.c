/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/symbols.h"

#include <errno.h>

#include "agent/debug_file.h"

static bool lookup(const struct table *t, uint64_t vaddr, bool with_line, struct symtab_hit *ret)
{
	if (!t)
		return false;
	return (with_line ? symtab_lookup_line(t, vaddr, ret) : symtab_lookup(t, vaddr, ret)) == 0;
}

/* The function that the code belongs to is called as the symbols call it: so it is everywhere, also
 * where there is no debug information, and the linker's names are the complete ones. */
static void name_outermost(struct symbols_names *names)
{
	const struct symtab_hit *hit = &names->symbol;
	struct line_frame *f;

	if (!names->n) {
		names->frames[names->n++] = (struct line_frame){
			.path = hit->file ? hit->file : "",
			.line = hit->line,
			.start_line = hit->start_line,
		};
	}
	f = &names->frames[names->n - 1];
	f->name = hit->name;
	f->is_linkage_name = true;
}

int symbols_want(const struct symbols *s, uint64_t vaddr)
{
	struct line_frame frames[LINE_FRAMES_MAX];

	return debug_file_has_lines(s->debug) ? line_cache_get(s->lines, s->debug, vaddr, frames)
					      : 0;
}

int symbols_get(const struct symbols *s, uint64_t vaddr, struct symbols_names *ret)
{
	int r = 0;

	ret->vaddr = vaddr;
	ret->has_place = false;
	if (debug_file_has_lines(s->debug))
		r = line_cache_get(s->lines, s->debug, vaddr, ret->frames);
	ret->n = r > 0 ? (size_t)r : 0;
	if ((s->debug && lookup(s->debug->names, vaddr, !ret->n, &ret->symbol)) ||
	    lookup(s->table, vaddr, !ret->n, &ret->symbol))
		name_outermost(ret);
	else if (ret->n && !ret->frames[ret->n - 1].name[0])
		ret->has_place = --ret->n == 0 && ret->frames[0].path[0];
	return r < 0 ? r : (int)ret->n;
}
