/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/targets_value.h"

#include <string.h>

#include "agent/base/buf.h"

void targets_value_put(struct value_list *target, const char *name, const char *value)
{
	if (value && *value)
		value_list_add(target, name, value_cstr(value));
}

void targets_value_put_bytes(struct value_list *target, const char *name, const char *value,
			     size_t len)
{
	_cleanup_buf_ struct buf text = BUF_INIT((size_t)VALUE_MAX_STRING * 3 + 1);

	if (!len || !memchr(value, 0, len)) {
		if (len)
			value_list_add(target, name, value_string(value, len));
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (value[i])
			buf_add_u8(&text, (uint8_t)value[i]);
		else
			buf_adds(&text, "\xef\xbf\xbd");
	}
	if (text.failed)
		target->failed = true;
	else
		value_list_add(target, name, value_string((const char *)text.data, text.len));
}

char *targets_value_label_name(const char *prefix, const char *name)
{
	size_t n = strlen(prefix);
	char *to = malloc(n + strlen(name) + 1);

	if (!to)
		return NULL;
	memcpy(to, prefix, n);
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '_';

		/* The further bytes of a character have no "_" of their own. */
		if (ok || (c & 0xc0) != 0x80)
			to[n++] = ok ? (char)c : '_';
	}
	to[n] = '\0';
	return to;
}

void targets_value_put_named(struct value_list *target, const char *prefix, const char *name,
			     const char *value)
{
	_cleanup_free_ char *label = targets_value_label_name(prefix, name);

	if (label)
		targets_value_put(target, label, value);
	else
		target->failed = true;
}

void targets_value_add(struct value_list *targets, struct value_list *target)
{
	value_list_add(targets, NULL, value_object(target));
}

struct value *targets_value_array(struct value_list *targets)
{
	return value_array(targets);
}

struct value *targets_value_exports(const char *name, struct value *targets)
{
	struct value_list l = {0};

	value_list_add(&l, name, targets);
	return value_object(&l);
}

const char *targets_value_get(const struct value *target, const char *name)
{
	const struct value *v = value_get(target, name);

	return v && v->kind == VALUE_STRING ? v->s : "";
}
