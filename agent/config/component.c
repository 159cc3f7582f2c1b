/* SPDX-License-Identifier: Apache-2.0 */
/* What components tell the graph. */
#include "agent/config/component.h"

#include <stdarg.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/config/graph_internal.h"
#include "agent/config/graph_view.h"

void component_export(struct component *c, struct value *v)
{
	if (!v)
		return;
	if (c->exports && value_equal(c->exports, v)) {
		value_unref(v);
		return;
	}
	value_unref(c->exports);
	c->exports = v;
	if (c->node)
		node_changed(c->node);
}

void component_set_health(struct component *c, enum health health, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->health == health && c->health_text && !strcmp(c->health_text, text))
		return;
	if (c->health != health && health <= HEALTH_UNHEALTHY)
		log_warn("%s is %s: %s", c->id, health_name(health), text);
	else if (c->health != health)
		log_info("%s is %s: %s", c->id, health_name(health), text);
	free(c->health_text);
	c->health_text = strdup(text);
	c->health = health;
	c->health_ms = clock_ns(CLOCK_REALTIME) / 1000000;
}

void component_free(struct component *c)
{
	if (!c)
		return;
	if (c->type->done)
		c->type->done(c);
	if (c->args)
		schema_done(c->type->schema, c->args);
	free(c->args);
	value_unref(c->exports);
	free(c->health_text);
	free(c->id);
	free(c);
}
