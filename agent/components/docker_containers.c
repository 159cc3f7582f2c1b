/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/docker_containers.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "agent/components/targets_value.h"

#define PREFIX		"__meta_docker_"
#define LABEL(name)	VALUE_KEY(PREFIX name)
#define SHARED_HOPS_MAX 16 /* container:<id> whose network is that of another one... */

struct container {
	char *id;
	struct value *reply;	/* its object; only until its targets are complete */
	bool lacks_network;	/* there is one that we were not told of */
	struct value *networks; /* {name = {NetworkID, IPAddress...}} */
	char *mode;
	struct value *targets; /* an array; NULL: not made yet */
};

struct docker_containers {
	struct docker_options o;
	struct container **v; /* sorted by id */
	size_t n, cap, n_targets;
	struct value *networks; /* {id = {label = text}} */
};

static int malformed(char *why, size_t size, const char *fmt, ...) _printf_(3, 4);
static int malformed(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EBADMSG;
}

/* ---- Reading what may be anything ---- */

static const struct value *get(const struct value *v, const char *key, enum value_kind kind)
{
	const struct value *x = v && v->kind == VALUE_OBJECT ? value_get(v, key) : NULL;

	return x && x->kind == kind ? x : NULL;
}

static const char *text(const struct value *v, const char *key)
{
	const struct value *x = get(v, key, VALUE_STRING);

	return x ? x->s : "";
}

static bool flag(const struct value *v, const char *key)
{
	const struct value *x = get(v, key, VALUE_BOOL);

	return x && x->b;
}

/* 0 when it is none. */
static unsigned int port_number(const struct value *v, const char *key)
{
	const struct value *x = get(v, key, VALUE_NUMBER);
	double d = x ? number_float(x->n) : 0;

	return d >= 1 && d <= 65535 ? (unsigned int)d : 0;
}

/* It may be the value of a label as it is: then it is shared, not copied. */
static bool is_plain(const struct value *text)
{
	return text->len && strlen(text->s) == text->len;
}

static void put_labels(struct value_list *to, const char *prefix, const struct value *labels)
{
	for (size_t i = 0; labels && i < labels->n_fields; i++) {
		struct value *v = labels->fields[i].value;
		_cleanup_free_ char *name = NULL;

		if (v->kind != VALUE_STRING || !v->len)
			continue;
		name = targets_value_label_name(prefix, labels->fields[i].key);
		if (!name)
			to->failed = true;
		else if (is_plain(v))
			value_list_add(to, name, value_ref(v));
		else
			targets_value_put_bytes(to, name, v->s, v->len);
	}
}

static void put_text(struct value_list *to, const struct value_key *name, const char *text)
{
	if (*text)
		value_list_put(to, name, value_cstr(text));
}

static void put_member(struct value_list *to, const struct value_key *name, const struct value *of,
		       const char *key)
{
	const struct value *v = get(of, key, VALUE_STRING);

	if (v && is_plain(v))
		value_list_put(to, name, value_ref((struct value *)v));
	else if (v)
		put_text(to, name, v->s);
}

static void put_number(struct value_list *to, const struct value_key *name, unsigned int v)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", v);
	put_text(to, name, number);
}

static void put_address(struct value_list *to, const char *host, unsigned int port)
{
	char address[128];
	const char *open = strchr(host, ':') ? "[" : "", *close = *open ? "]" : "";

	(void)snprintf(address, sizeof(address), "%s%s%s:%u", open, host, close, port);
	put_text(to, VALUE_KEY("__address__"), address);
}

/* ---- Containers ---- */

static struct container *container_free(struct container *c)
{
	if (!c)
		return NULL;
	free(c->id);
	free(c->mode);
	value_unref(c->reply);
	value_unref(c->networks);
	value_unref(c->targets);
	free(c);
	return NULL;
}
DEFINE_CLEANUP(struct container *, container_free)

static size_t n_targets(const struct container *c)
{
	return c->targets ? c->targets->n_items : 0;
}

/* Where the id is, or would be. */
static size_t place_of(const struct docker_containers *d, const char *id)
{
	return PARTITION_POINT(mid, 0, d->n, strcmp(d->v[mid]->id, id) < 0);
}

static struct container *find(const struct docker_containers *d, const char *id)
{
	size_t i = place_of(d, id);

	return i < d->n && !strcmp(d->v[i]->id, id) ? d->v[i] : NULL;
}

/* The networks a container is in: its own, or those of the one whose network it shares. */
static const struct value *networks_of(const struct docker_containers *d, const struct container *c)
{
	for (int i = 0; c && i < SHARED_HOPS_MAX; i++) {
		if (c->networks && c->networks->n_fields)
			return c->networks;
		c = !strncmp(c->mode, "container:", 10) ? find(d, c->mode + 10) : NULL;
	}
	return NULL;
}

/* What all targets of a container have in common. */
static void put_common(struct value_list *l, const struct container *c)
{
	const struct value *names = get(c->reply, "Names", VALUE_ARRAY);

	put_member(l, LABEL("container_id"), c->reply, "Id");
	put_text(l, LABEL("container_name"), names->items[0]->s);
	put_member(l, LABEL("container_network_mode"), get(c->reply, "HostConfig", VALUE_OBJECT),
		   "NetworkMode");
	put_labels(l, PREFIX "container_label_", get(c->reply, "Labels", VALUE_OBJECT));
}

struct maker {
	const struct docker_containers *d;
	struct container *c;
	struct value *common; /* an object */
	struct value_list targets;
};

static int make_target(struct maker *m, const struct value *network, const struct value *port)
{
	struct container *c = m->c;
	const struct value *labels =
		m->d->networks ? value_get(m->d->networks, text(network, "NetworkID")) : NULL;
	const char *ip = text(network, "IPAddress");
	struct value_list l = {0};

	if (m->d->n_targets + m->targets.n >= DOCKER_MAX_TARGETS)
		return -E2BIG;
	if (!labels && *text(network, "NetworkID"))
		c->lacks_network = true;
	put_member(&l, LABEL("network_ip"), network, "IPAddress");
	value_list_share_all(&l, m->common);
	if (labels)
		value_list_share_all(&l, labels);
	if (port) {
		put_number(&l, LABEL("port_private"), port_number(port, "PrivatePort"));
		if (port_number(port, "PublicPort")) {
			put_number(&l, LABEL("port_public"), port_number(port, "PublicPort"));
			put_member(&l, LABEL("port_public_ip"), port, "IP");
		}
		put_address(&l, ip, port_number(port, "PrivatePort"));
	} else if (!strcmp(c->mode, "host")) {
		put_text(&l, VALUE_KEY("__address__"), m->d->o.host_networking_host);
	} else {
		put_address(&l, ip, m->d->o.port);
	}
	targets_value_add(&m->targets, &l);
	return m->targets.failed ? -ENOMEM : 0;
}

static int make_targets_of_network(struct maker *m, const struct value *network)
{
	const struct value *ports = get(m->c->reply, "Ports", VALUE_ARRAY);
	bool any = false;
	int r = 0;

	for (size_t i = 0; ports && i < ports->n_items && r >= 0; i++) {
		if (strcmp(text(ports->items[i], "Type"), "tcp") != 0)
			continue;
		any = true;
		r = make_target(m, network, ports->items[i]);
	}
	return any ? r : make_target(m, network, NULL);
}

static void drop_targets(struct docker_containers *d, struct container *c)
{
	d->n_targets -= n_targets(c);
	c->targets = value_unref(c->targets);
}

static int make_targets(struct docker_containers *d, struct container *c)
{
	const struct value *networks = networks_of(d, c);
	struct value_list l = {0};
	_cleanup_value_ struct value *common = NULL;
	struct maker m = {.d = d, .c = c};
	int r = 0;

	put_common(&l, c);
	common = value_object(&l);
	if (!common)
		return -ENOMEM;
	m.common = common;
	/* Fields are sorted by name: the first one is the first network. */
	for (size_t i = 0; networks && i < networks->n_fields && r >= 0; i++) {
		if (networks->fields[i].value->kind != VALUE_OBJECT)
			continue;
		r = make_targets_of_network(&m, networks->fields[i].value);
		if (d->o.match_first_network)
			break;
	}
	c->targets = value_array(&m.targets);
	d->n_targets += n_targets(c);
	return r < 0 || c->targets ? r : -ENOMEM;
}

/* NULL in *ret: one without a name, which makes no targets. */
static int container_parse(const struct value *v, struct container **ret, char *why, size_t size)
{
	_cleanup_(container_freep) struct container *c = calloc(1, sizeof(*c));
	const struct value *names = get(v, "Names", VALUE_ARRAY), *networks;
	const char *id = text(v, "Id");

	if (!c)
		return -ENOMEM;
	if (v->kind != VALUE_OBJECT || !*id || strlen(id) >= DOCKER_ID_MAX)
		return malformed(why, size, "a container in the list has no usable Id");
	if (!names || !names->n_items || names->items[0]->kind != VALUE_STRING)
		return 0;
	networks = get(get(v, "NetworkSettings", VALUE_OBJECT), "Networks", VALUE_OBJECT);
	c->id = strdup(id);
	c->mode = strdup(text(get(v, "HostConfig", VALUE_OBJECT), "NetworkMode"));
	c->networks = networks ? value_ref((struct value *)networks) : NULL;
	c->reply = value_ref((struct value *)v);
	if (!c->id || !c->mode)
		return -ENOMEM;
	*ret = TAKE_PTR(c);
	return 0;
}

static int insert(struct docker_containers *d, struct container *c)
{
	size_t i = place_of(d, c->id);
	struct container **v;

	if (i < d->n && !strcmp(d->v[i]->id, c->id)) {
		d->n_targets -= n_targets(d->v[i]);
		container_free(d->v[i]);
		d->v[i] = c;
		return 0;
	}
	if (d->n >= DOCKER_MAX_CONTAINERS)
		return -E2BIG;
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 16;

		v = reallocarray(d->v, cap, sizeof(struct container *));
		if (!v)
			return -ENOMEM;
		d->v = v;
		d->cap = cap;
	}
	memmove(&d->v[i + 1], &d->v[i], (d->n++ - i) * sizeof(*d->v));
	d->v[i] = c;
	return 0;
}

static int parse_all(struct docker_containers *d, const struct value *reply, char *why, size_t size)
{
	int r = 0;

	if (reply->kind != VALUE_ARRAY)
		return malformed(why, size, "the list of containers is no array");
	for (size_t i = 0; i < reply->n_items && r >= 0; i++) {
		_cleanup_(container_freep) struct container *c = NULL;

		r = container_parse(reply->items[i], &c, why, size);
		if (r >= 0 && c)
			r = insert(d, c);
		if (r >= 0)
			c = NULL;
	}
	return r;
}

/*
 * Makes targets that are not complete: containers may come before the one whose network they share,
 * and before their network. anyhow: what is lacking now will not come.
 */
static int complete(struct docker_containers *d, bool anyhow)
{
	int r = 0;

	for (size_t i = 0; i < d->n && r >= 0; i++) {
		struct container *c = d->v[i];

		if (!c->reply)
			continue;
		c->lacks_network = false;
		drop_targets(d, c);
		r = make_targets(d, c);
		c->lacks_network = c->lacks_network && !anyhow;
		if (!c->lacks_network)
			c->reply = value_unref(c->reply);
	}
	return r;
}

static int explain(int r, char *why, size_t size)
{
	if (r == -E2BIG)
		(void)snprintf(why, size, "more than %d containers or %d targets",
			       DOCKER_MAX_CONTAINERS, DOCKER_MAX_TARGETS);
	else if (r < 0 && r != -EBADMSG)
		(void)snprintf(why, size, "%s", strerror(-r));
	return r;
}

int docker_containers_list(struct docker_containers *d, const struct value *reply, char *why,
			   size_t size)
{
	struct docker_containers next = {.o = d->o, .networks = d->networks};
	int r = parse_all(&next, reply, why, size);

	if (r >= 0)
		r = complete(&next, false);
	r = explain(r, why, size);
	for (size_t i = 0; i < (r < 0 ? next.n : d->n); i++)
		container_free(r < 0 ? next.v[i] : d->v[i]);
	free(r < 0 ? next.v : d->v);
	if (r >= 0)
		*d = next;
	return r;
}

int docker_containers_merge(struct docker_containers *d, const struct value *reply, char *why,
			    size_t size)
{
	struct docker_containers checked = {.o = d->o};
	int r = parse_all(&checked, reply, why, size);

	for (size_t i = 0; i < checked.n; i++) {
		if (r >= 0)
			r = insert(d, checked.v[i]);
		if (r >= 0)
			checked.v[i] = NULL;
		container_free(checked.v[i]);
	}
	free(checked.v);
	if (r >= 0)
		r = complete(d, false);
	return explain(r, why, size);
}

/* ---- Networks ---- */

int docker_containers_networks(struct docker_containers *d, const struct value *reply, char *why,
			       size_t size)
{
	_cleanup_(value_list_done) struct value_list all = {0};
	struct value *networks;

	if (reply->kind != VALUE_ARRAY)
		return malformed(why, size, "the list of networks is no array");
	for (size_t i = 0; i < reply->n_items; i++) {
		const struct value *n = reply->items[i];
		const char *id = text(n, "Id");
		struct value_list l = {0};

		if (!*id)
			continue;
		put_member(&l, LABEL("network_id"), n, "Id");
		put_member(&l, LABEL("network_name"), n, "Name");
		put_member(&l, LABEL("network_scope"), n, "Scope");
		put_text(&l, LABEL("network_internal"), flag(n, "Internal") ? "true" : "false");
		put_text(&l, LABEL("network_ingress"), flag(n, "Ingress") ? "true" : "false");
		put_labels(&l, PREFIX "network_label_", get(n, "Labels", VALUE_OBJECT));
		value_list_add(&all, id, value_object(&l));
	}
	networks = value_object(&all);
	if (!networks)
		return -ENOMEM;
	value_unref(d->networks);
	d->networks = networks;
	return complete(d, true);
}

/* ---- The object ---- */

struct docker_containers *docker_containers_new(const struct docker_options *o)
{
	struct docker_containers *d = calloc(1, sizeof(*d));

	if (d)
		d->o = *o;
	return d;
}

struct docker_containers *docker_containers_free(struct docker_containers *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < d->n; i++)
		container_free(d->v[i]);
	free(d->v);
	value_unref(d->networks);
	free(d);
	return NULL;
}

bool docker_containers_remove(struct docker_containers *d, const char *id)
{
	size_t i = place_of(d, id);

	if (i >= d->n || strcmp(d->v[i]->id, id) != 0)
		return false;
	d->n_targets -= n_targets(d->v[i]);
	container_free(d->v[i]);
	memmove(&d->v[i], &d->v[i + 1], (--d->n - i) * sizeof(*d->v));
	return true;
}

bool docker_containers_has(const struct docker_containers *d, const char *id)
{
	return find(d, id);
}

size_t docker_containers_count(const struct docker_containers *d)
{
	return d->n;
}

bool docker_containers_lack_network(const struct docker_containers *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->v[i]->lacks_network)
			return true;
	}
	return false;
}

struct value *docker_containers_targets(struct docker_containers *d)
{
	struct value_list l = {0};

	for (size_t i = 0; i < d->n; i++) {
		for (size_t k = 0; k < n_targets(d->v[i]); k++)
			value_list_add(&l, NULL, value_ref(d->v[i]->targets->items[k]));
	}
	return value_array(&l);
}
