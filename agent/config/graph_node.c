/* SPDX-License-Identifier: Apache-2.0 */
/* One node: evaluating its arguments, building, updating and starting its component. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/config/graph_internal.h"

#define WHY_BYTES      256
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 60000

static uint64_t now_ms(void)
{
	return clock_ns(CLOCK_REALTIME) / 1000000;
}

struct value *node_value(const struct node *n)
{
	if (n->kind == NODE_IGNORED)
		return n->graph->ignored;
	return n->kind == NODE_COMPONENT ? n->component ? n->component->exports : NULL : n->value;
}

void node_changed(struct node *n)
{
	for (size_t i = 0; i < n->n_users; i++)
		n->users[i]->dirty = true;
	if (node_is_import(n))
		n->dirty = true;
	graph_wake(n->graph);
}

void node_retry_later(struct node *n)
{
	n->backoff_ms = n->backoff_ms ? MIN(n->backoff_ms * 2, BACKOFF_MAX_MS) : BACKOFF_MIN_MS;
	n->retry_ms = clock_ms() + n->backoff_ms;
}

/* ---- Instances ---- */

static int instance_new(struct node *n, struct component **ret)
{
	struct component *c = calloc(1, n->type->size);
	int r;

	if (!c)
		return -ENOMEM;
	c->type = n->type;
	c->env = n->graph->env;
	c->node = n;
	c->health = HEALTH_UNKNOWN;
	c->id = strdup(n->id);
	c->args = calloc(1, MAX(n->type->schema->size, 1u));
	r = c->id && c->args ? schema_init(n->type->schema, c->args) : -ENOMEM;
	if (r >= 0 && n->type->init)
		r = n->type->init(c);
	if (r < 0) {
		component_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int node_instance(struct node *n)
{
	return n->kind == NODE_COMPONENT ? instance_new(n, &n->component) : 0;
}

/* What runs goes on with the new node; what this plan has made of the text stays. */
void node_adopt(struct node *n, struct node *old)
{
	n->component = TAKE_PTR(old->component);
	if (n->component)
		n->component->node = n;
	if (n->kind != NODE_ITEM)
		n->value = TAKE_PTR(old->value);
	n->held = TAKE_PTR(old->held);
	n->n_held = old->n_held;
	old->n_held = 0;
	n->latest = TAKE_PTR(old->latest);
	n->failure = TAKE_PTR(old->failure);
	n->start_failure = TAKE_PTR(old->start_failure);
	n->ready = old->ready;
	n->built = old->built;
	n->started = old->started;
	n->failure_ms = old->failure_ms;
	n->started_ms = old->started_ms;
	n->evaluated_ms = old->evaluated_ms;
	n->evaluation_ns = old->evaluation_ns;
	n->retry_ms = old->retry_ms;
	n->backoff_ms = old->backoff_ms;
}

void node_release(struct node *n)
{
	hold_release(n->held, n->n_held);
	n->held = NULL;
	n->n_held = 0;
}

void node_done(struct node *n)
{
	component_free(n->component);
	value_unref(n->value);
	value_unref(n->next_items);
	unit_unref(n->unit);
	unit_unref(n->latest);
	free(n->failure);
	free(n->start_failure);
	free(n->deps);
	free(n->users);
}

/* ---- What arguments point at ---- */

static int hold(struct component ***held, size_t *n, struct component *c)
{
	struct component **grown;

	for (size_t i = 0; i < *n; i++) {
		if ((*held)[i] == c)
			return 0;
	}
	grown = realloc(*held, (*n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*held = grown;
	grown[(*n)++] = c;
	c->holders++;
	return 0;
}

/* The present arguments come from these components, directly or through modules. */
static int hold_deps(struct node *n)
{
	struct component **held = NULL;
	size_t n_held = 0;
	int r = 0;

	for (size_t i = 0; i < n->n_deps && r >= 0; i++) {
		struct node *dep = n->deps[i];

		if (dep->component)
			r = hold(&held, &n_held, dep->component);
		for (size_t k = 0; !dep->component && k < dep->n_held && r >= 0; k++)
			r = hold(&held, &n_held, dep->held[k]);
	}
	if (r < 0) {
		hold_release(held, n_held);
		return r;
	}
	node_release(n);
	n->held = held;
	n->n_held = n_held;
	return 0;
}

/* ---- Evaluation ---- */

static void failed(struct node *n, const char *text, bool tell)
{
	if (n->failure && !strcmp(n->failure, text))
		return;
	free(n->failure);
	n->failure = strdup(text);
	n->failure_ms = now_ms();
	if (tell && n->ready)
		log_error("%s keeps its last arguments: %s", n->id, text);
	else if (tell)
		log_error("%s: %s", n->id, text);
}

void node_failed(struct node *n, const char *text)
{
	failed(n, text, !n->graph->loading && !n->graph->reloading);
}

static void succeeded(struct node *n)
{
	if (!n->failure)
		return;
	if (n->graph->started)
		log_info("%s is evaluated again", n->id);
	free(n->failure);
	n->failure = NULL;
	n->failure_ms = now_ms();
	n->retry_ms = n->backoff_ms = 0;
}

static void args_free(const struct schema *s, void *args)
{
	if (args)
		schema_done(s, args);
	free(args);
}

/* New arguments of n; owned by the caller. -EINVAL: reported. */
static int decode(struct node *n, struct diag_list *d, void **ret)
{
	const struct schema *s = n->type->schema;
	struct eval e = {.source = n->source,
			 .diags = d,
			 .lookup = scope_lookup,
			 .data = n,
			 .check_only = n->graph->env->check_only};
	void *args = calloc(1, MAX(s->size, 1u));
	int r;

	if (!args)
		return -ENOMEM;
	r = schema_init(s, args);
	if (r >= 0)
		r = schema_decode(s, n->block, &e, args);
	if (r < 0) {
		args_free(s, args);
		return r;
	}
	*ret = args;
	return 0;
}

static int report(struct node *n, struct diag_list *d, const char *what, const char *why, int r)
{
	if (r == -ENOMEM)
		return r;
	diag_add(d, DIAG_ERROR, node_header(n), "%s: %s", what, *why ? why : strerror(-r));
	/* Perhaps it is the world that has to change. */
	node_retry_later(n);
	return -EINVAL;
}

/* Takes args. Makes nothing when the load is to fail anyway. */
static int build(struct node *n, void *args, bool doomed, struct diag_list *d)
{
	const struct component_env *env = n->graph->env;
	struct component *c = n->component;
	char why[WHY_BYTES] = "";
	int r = 0;

	args_free(n->type->schema, c->args);
	c->args = args;
	if (!doomed && (!env->check_only || n->type->import) && n->type->build)
		r = n->type->build(c, why, sizeof(why));
	if (r < 0) {
		struct component *fresh;

		/* Whatever it was left in: the next attempt begins with a new one. */
		r = report(n, d, "Failed to build component", why, r);
		if (instance_new(n, &fresh) < 0)
			return -ENOMEM;
		component_free(c);
		n->component = fresh;
		return r;
	}
	n->built = !doomed && (!env->check_only || n->type->import);
	n->ready = true;
	node_changed(n);
	return 0;
}

/* Takes args. A new instance takes over; the old one ends when nobody points at it. */
static int replace(struct node *n, void *args, struct diag_list *d)
{
	struct component *old = n->component, *fresh;
	int r = instance_new(n, &fresh);

	if (r < 0) {
		args_free(n->type->schema, args);
		return r;
	}
	n->component = fresh;
	n->built = false;
	r = build(n, args, false, d);
	if (r >= 0)
		r = graph_leave(n->graph, old, n->held, n->n_held);
	if (r < 0) {
		component_free(n->component);
		n->component = old;
		n->built = true;
		return r;
	}
	n->held = NULL;
	n->n_held = 0;
	n->started = false;
	n->retry_ms = n->backoff_ms = 0;
	return 0;
}

/* Takes args. */
static int update(struct node *n, void *args, struct diag_list *d)
{
	struct component *c = n->component;
	char why[WHY_BYTES] = "";
	void *old = c->args;
	int r;

	if (schema_equal(n->type->schema, args, old)) {
		args_free(n->type->schema, args);
		return 0;
	}
	c->args = args;
	r = n->type->update ? n->type->update(c, old, why, sizeof(why)) : 0;
	if (r >= 0) {
		args_free(n->type->schema, old);
		/* What could not be started with the old ones is tried at once. */
		n->retry_ms = n->backoff_ms = 0;
		return 0;
	}
	c->args = old;
	if (r == -EOPNOTSUPP)
		return replace(n, args, d);
	args_free(n->type->schema, args);
	return report(n, d, "Failed to update component", why, r);
}

/* The text of an import is new: parses it, and asks for a new plan. */
static int take_text(struct node *n, struct diag_list *d)
{
	struct value *texts = n->component->exports;
	size_t before = d->n_errors;
	struct unit *u;
	int r;

	if (!n->built || !texts || (n->latest && value_equal(n->latest->texts, texts)))
		return 0;
	r = unit_new(&u);
	if (r >= 0)
		r = unit_parse(u, n->id, texts, n->module->unit->dir, d);
	if (r < 0)
		return r;
	if (d->n_errors > before) {
		graph_bury(n->graph, u);
		return -EINVAL;
	}
	graph_bury(n->graph, n->latest);
	n->latest = u;
	n->graph->replan = true;
	return 0;
}

static int evaluate_component(struct node *n, bool doomed, struct diag_list *d)
{
	void *args;
	int r = decode(n, d, &args);

	if (r < 0)
		return r;
	r = n->built ? update(n, args, d) : build(n, args, doomed, d);
	return r >= 0 && n->type->import ? take_text(n, d) : r;
}

/* Something may only be missing because nothing is built, or has come yet. */
static bool is_missing(const struct node *n)
{
	if (!n->ready)
		return true;
	return n->component && !node_value(n) && (!n->built || n->type->late);
}

static const struct node *waits_for(const struct node *n)
{
	for (size_t i = 0; i < n->n_deps; i++) {
		if (is_missing(n->deps[i]))
			return n->deps[i];
	}
	return NULL;
}

static bool can_decode(const struct node *n)
{
	for (size_t i = 0; i < n->n_deps; i++) {
		if (!node_value(n->deps[i]) && n->deps[i]->kind != NODE_INPUT)
			return false;
	}
	return true;
}

static void wait(struct node *n, const struct node *dep, struct diag_list *d)
{
	char text[2 * GRAPH_MAX_ID];
	void *args;

	/* While loading, all that is wrong is to be told in one go. */
	if (n->graph->loading && n->kind == NODE_COMPONENT && can_decode(n) &&
	    decode(n, d, &args) >= 0)
		args_free(n->type->schema, args);
	(void)snprintf(text, sizeof(text), "waits for %s", dep->id);
	failed(n, text, false);
}

int node_evaluate(struct node *n, struct diag_list *d)
{
	const struct node *dep = waits_for(n);
	_cleanup_diag_ struct diag_list own = {0};
	_cleanup_free_ char *text = NULL;
	struct graph *g = n->graph;
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	bool doomed = g->loading && d->n_errors;
	int r;

	if (n->bad || n->kind == NODE_UNKNOWN || n->kind == NODE_DECLARE)
		return 0;
	if (dep) {
		wait(n, dep, d);
		return 0;
	}
	r = n->kind == NODE_COMPONENT ? evaluate_component(n, doomed, &own)
				      : node_evaluate_value(n, &own);
	if (r != -ENOMEM && r >= 0)
		r = hold_deps(n);
	n->evaluated_ms = now_ms();
	n->evaluation_ns = clock_ns(CLOCK_MONOTONIC) - start;
	if (r >= 0)
		succeeded(n);
	else if (r != -ENOMEM)
		text = diag_summary(&own);
	if (text)
		node_failed(n, text);
	diag_move(d, &own);
	return r == -ENOMEM ? r : 0;
}

/* ---- Running ---- */

int node_start(struct node *n)
{
	struct component *c = n->component;
	char why[WHY_BYTES] = "";
	int r;

	if (!n->built || n->started || (n->retry_ms && n->retry_ms > clock_ms()))
		return 0;
	n->retry_ms = 0;
	r = n->type->start ? n->type->start(c, why, sizeof(why)) : 0;
	free(n->start_failure);
	n->start_failure = NULL;
	n->started_ms = now_ms();
	if (r >= 0) {
		n->started = true;
		n->backoff_ms = 0;
		return 0;
	}
	if (n->type->stop)
		n->type->stop(c);
	n->start_failure = strdup(*why ? why : strerror(-r));
	node_retry_later(n);
	log_error("cannot start %s: %s (trying again in %" PRIu64 " s)", c->id,
		  n->start_failure ? n->start_failure : "no memory", n->backoff_ms / 1000);
	return r;
}
