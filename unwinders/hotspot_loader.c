/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: classLoaderData.hpp, ClassLoaders.java of OpenJDK 11.0.31, 17.0.19 and 26. */
#include "unwinders/hotspot_loader.h"

#include <string.h>

#include "unwinders/hotspot_method.h"
#include "unwinders/target_memory.h"

/* Both classes are private, and there is one object of each. */
static bool is_kept_by_the_jvm(const char *class_name)
{
	return !strcmp(class_name, "jdk/internal/loader/ClassLoaders$AppClassLoader") ||
	       !strcmp(class_name, "jdk/internal/loader/ClassLoaders$PlatformClassLoader");
}

/* _class_loader_klass has no entry in the table; it follows _next, from 20 on _unloading_next. */
static bool has_kept_class(struct target_memory *m, const struct hotspot_proc *p, uint64_t next)
{
	char name[64];

	for (uint64_t i = 1; i <= 2; i++) {
		uint64_t klass, symbol;

		if (target_read_pointer(m, next + 8 * i, &klass) == 0 &&
		    target_read_pointer(m, klass + p->at[HF_KLASS_NAME], &symbol) == 0 &&
		    hotspot_symbol_read(m, p, symbol, name, sizeof(name)) == 0 &&
		    is_kept_by_the_jvm(name))
			return true;
	}
	return false;
}

bool hotspot_loader_stays(struct target_memory *m, const struct hotspot_proc *p, uint64_t loader)
{
	const uint16_t *at = p->at;
	uint64_t object;
	uint8_t one_class;

	if (at[HF_LOADER_ONE_CLASS] == HOTSPOT_NONE || at[HF_LOADER_OBJECT] == HOTSPOT_NONE ||
	    at[HF_LOADER_NEXT] == HOTSPOT_NONE || at[HF_KLASS_NAME] == HOTSPOT_NONE)
		return false;
	/* A hidden class has one of its own, which dies with it, beside that of its loader. */
	if (target_read_u8(m, loader + at[HF_LOADER_ONE_CLASS], &one_class) < 0 || one_class ||
	    target_read_u64(m, loader + at[HF_LOADER_OBJECT], &object) < 0)
		return false;
	/* The boot class path's has no object. */
	return !object || has_kept_class(m, p, loader + at[HF_LOADER_NEXT]);
}
