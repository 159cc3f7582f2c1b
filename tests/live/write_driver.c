/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pyroscope.write component without a profiler: loads a configuration, hands profiles to every
 * pyroscope.write in it, runs until they are delivered, and prints what people would see of each as
 * JSON lines: metrics, debug information, health. The test program of tests/live/write_test.py
 * and of a row of tests/bench.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/components/pyroscope_write.h"
#include "agent/components/registry.h"
#include "agent/config/config.h"
#include "agent/config/data.h"
#include "agent/http/multi.h"
#include "agent/metrics.h"
#include "tests/live/push_profile.h"

struct driver {
	struct component_env env;
	struct graph *graph;
	const char *config, *second; /* the configuration is replaced by `second` half-way */
	uint64_t count, sent, bytes, interval_ms, run_ms, drain_ms;
	bool ingest, stats, spread;
	bool go, stop; /* with stats: the first line on stdin was there; the last */
};

static void send_ingest(struct receiver *r, const char *number, const struct buf *b)
{
	const struct label labels[] = {
		{"__name__", "app.cpu"}, {"service_name", "web"}, {"n", number}, {"odd", "a,b}c"}};
	const struct ingest in = {
		.labels = labels,
		.n_labels = ARRAY_SIZE(labels),
		.path = "/ingest",
		.query = "from=1&name=app.cpu%7Bn%3D1%7D&until=2&n%61me=evil&format=pprof",
		.content_type = "multipart/form-data; boundary=xyz",
		.body = b->data,
		.bytes = b->len,
	};

	r->ingest(r, &in);
}

static void send_one(struct driver *d)
{
	_cleanup_buf_ struct buf b = BUF_INIT(64u << 20);
	uint64_t now = clock_ns(CLOCK_REALTIME);
	char number[24];
	const struct label labels[] = {
		{"service_name", "driver"}, {"__name__", "process_cpu"}, {"n", number}};
	struct component *c = NULL;

	(void)snprintf(number, sizeof(number), "%" PRIu64, d->sent);
	/* Sizes between a quarter and seven quarters, as those of real targets differ. */
	push_profile(&b, 10000000 + d->sent, now,
		     d->spread ? d->bytes / 4 + d->sent * 7919 % (d->bytes * 3 / 2 + 1) : d->bytes);
	while ((c = graph_next(d->graph, &pyroscope_write_type, c))) {
		struct receiver *r = &((struct write_component *)c)->receiver;

		if (d->ingest)
			send_ingest(r, number, &b);
		else
			r->append(r, labels, ARRAY_SIZE(labels), b.data, b.len, now);
	}
	d->sent++;
}

static bool busy(const struct driver *d)
{
	struct component *c = NULL;

	while ((c = graph_next(d->graph, &pyroscope_write_type, c))) {
		if (c->type->busy(c))
			return true;
	}
	return false;
}

static void print_state(const struct driver *d)
{
	struct component *c = NULL;

	while ((c = graph_next(d->graph, &pyroscope_write_type, c))) {
		_cleanup_(metrics_freep) struct metrics *m = NULL;
		_cleanup_buf_ struct buf text = BUF_INIT(METRICS_MAX_BYTES),
					 json = BUF_INIT(1 << 20);
		_cleanup_value_ struct value *v = NULL;
		struct value_list l = {0};

		if (metrics_new(&m) < 0)
			return;
		c->type->metrics(c, m);
		(void)metrics_write(m, &text);
		value_list_add(&l, "id", value_cstr(c->id));
		value_list_add(&l, "health", value_int(c->health));
		value_list_add(&l, "health_text", value_cstr(c->health_text ? c->health_text : ""));
		value_list_add(&l, "metrics", value_cstr(buf_cstr(&text)));
		value_list_add(&l, "debug", c->type->debug_info(c));
		v = value_object(&l);
		data_to_json(v, &json);
		printf("%s\n", buf_cstr(&json));
	}
}

/*
 * For measurements: resident bytes and CPU time so far, when asked by a line on stdin. The first
 * line begins the sending, the end of stdin is the end.
 */
static void print_use(const struct driver *d)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long size = 0, resident = 0;
	struct rusage u;

	if (f && fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	getrusage(RUSAGE_SELF, &u);
	printf("{\"sent\": %" PRIu64 ", \"rss\": %lu, \"cpu_us\": %" PRIu64 "}\n", d->sent,
	       resident * (unsigned long)sysconf(_SC_PAGESIZE),
	       (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000u +
		       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec));
	(void)fflush(stdout);
}

static void on_stdin(int fd, uint32_t events, void *data)
{
	struct driver *d = data;
	char line[64];
	ssize_t n = read(fd, line, sizeof(line));

	if (n <= 0) {
		d->stop = true;
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (line[i] == '\n')
			print_use(d);
		d->go = d->go || line[i] == '\n';
	}
}

static void on_timer(void *data)
{
	struct driver *d = data;

	if (d->sent < d->count)
		send_one(d);
}

static int reload(struct driver *d)
{
	_cleanup_free_ char *error = NULL;
	struct write_component *c;
	struct receiver *before, *after;
	int r;

	c = (struct write_component *)graph_next(d->graph, &pyroscope_write_type, NULL);
	before = &c->receiver;
	if (rename(d->second, d->config) < 0)
		return -errno;
	d->second = NULL;
	r = config_reload(d->graph, &error);
	c = (struct write_component *)graph_next(d->graph, &pyroscope_write_type, NULL);
	after = &c->receiver;
	return r < 0 ? r : before == after ? 0 : -EXDEV;
}

static int run(struct driver *d)
{
	struct loop *loop = d->env.loop;
	struct loop_source *timer = loop_add_timer(loop, on_timer, d);
	uint64_t end = clock_ms() + d->run_ms;

	if (d->interval_ms)
		loop_set_timer(timer, 0, d->interval_ms);
	if (d->stats && !loop_add_fd(loop, STDIN_FILENO, EPOLLIN, on_stdin, d))
		return -errno;
	d->go = d->go || !d->stats;
	while (!d->stop && clock_ms() < end && (d->stats || d->sent < d->count || busy(d))) {
		bool send = d->go && !d->interval_ms && d->sent < d->count;
		int r;

		if (send)
			send_one(d);
		r = loop_once(loop, send ? 0 : d->stats ? 1000 : 50);
		if (r >= 0 && d->second && d->sent >= d->count / 2)
			r = reload(d);
		if (r < 0)
			return r;
	}
	graph_stop(d->graph);
	if (d->drain_ms)
		(void)graph_drain(d->graph, d->drain_ms, NULL);
	return 0;
}

/* By hand: getopt's struct option would clash with that of the configuration. */
static int parse_options(int argc, char **argv, struct driver *d)
{
	const struct {
		const char *name;
		uint64_t *number;
	} numbers[] = {{"--count", &d->count},
		       {"--bytes", &d->bytes},
		       {"--interval-ms", &d->interval_ms},
		       {"--run-ms", &d->run_ms},
		       {"--drain-ms", &d->drain_ms}};

	for (int i = 1; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : "";
		size_t k = 0;

		while (k < ARRAY_SIZE(numbers) && strcmp(numbers[k].name, argv[i]) != 0)
			k++;
		if (k < ARRAY_SIZE(numbers)) {
			*numbers[k].number = strtoull(next, NULL, 10); /* the test's own text */
			i++;
		} else if (!strcmp(argv[i], "--second")) {
			d->second = next;
			i++;
		} else if (!strcmp(argv[i], "--ingest")) {
			d->ingest = true;
		} else if (!strcmp(argv[i], "--stats")) {
			d->stats = true;
		} else if (!strcmp(argv[i], "--spread")) {
			d->spread = true;
		} else {
			d->config = argv[i];
		}
	}
	return d->config ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct driver d = {.count = 1, .run_ms = 20000};
	int r;

	if (parse_options(argc, argv, &d) < 0)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	d.env.types = component_registry(&d.env.n_types);
	r = loop_new(&d.env.loop);
	if (r >= 0)
		r = http_multi_new(d.env.loop, &d.env.http);
	if (r >= 0)
		r = config_load(&d.config, 1, &d.env, stderr, &d.graph);
	if (r >= 0)
		r = graph_start(d.graph);
	if (r >= 0)
		r = run(&d);
	if (r >= 0)
		print_state(&d);
	graph_free(d.graph);
	http_multi_free(d.env.http);
	loop_free(d.env.loop);
	if (r < 0)
		fprintf(stderr, "write_driver: %s\n", strerror(-r));
	return r < 0;
}
