/* SPDX-License-Identifier: Apache-2.0 */
/* What a debuginfod server is asked for, how often, and what is kept of its answers. */
#include "agent/debuginfod.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/filekey.h"
#include "agent/http/multi.h"

#define WAIT_MS 10000

static const char *truth; /* where programs with debug information were built */

enum { A, B, C, N_FILES };

static const char *const names[N_FILES] = {"gcc3", "gcc4", "gcc5"};

struct served {
	char path[512], hex[129];
	struct filekey key;
	uint64_t size, bytes; /* bytes: on disk */
};

/* Shared with the process that serves. */
struct counts {
	unsigned int of[N_FILES], others;
};

struct fixture {
	struct served files[N_FILES];
	struct counts *counts;
	pid_t server;
	char url[64], cache[64];
	struct loop *loop;
	struct http_multi *http;
	struct debuginfod *d;
	int answer; /* of the last request: 1 while it is awaited */
};

/* ---- a server of three files ---- */

static void answer(const struct fixture *f, int conn, const char *request)
{
	char head[128];

	for (int i = 0; i < N_FILES; i++) {
		int fd;

		if (!strstr(request, f->files[i].hex))
			continue;
		f->counts->of[i]++;
		fd = open(f->files[i].path, O_RDONLY | O_CLOEXEC);
		(void)snprintf(
			head, sizeof(head),
			"HTTP/1.1 200 OK\r\nContent-Length: %llu\r\nConnection: close\r\n\r\n",
			(unsigned long long)f->files[i].size);
		(void)!write(conn, head, strlen(head));
		while (sendfile(conn, fd, NULL, 1u << 20) > 0)
			;
		close(fd);
		return;
	}
	f->counts->others++;
	(void)snprintf(head, sizeof(head),
		       "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	(void)!write(conn, head, strlen(head));
}

static _Noreturn void serve(const struct fixture *f, int sock)
{
	for (;;) {
		int conn = accept(sock, NULL, NULL);
		char request[4096] = "";
		size_t n = 0;
		ssize_t got;

		while (n < sizeof(request) - 1 && !strstr(request, "\r\n\r\n") &&
		       (got = read(conn, request + n, sizeof(request) - 1 - n)) > 0)
			n += (size_t)got;
		answer(f, conn, request);
		close(conn);
	}
}

static void start_server(struct fixture *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(a);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(sock >= 0);
	assert_int_equal(bind(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(sock, 16), 0);
	assert_int_equal(getsockname(sock, (struct sockaddr *)&a, &bytes), 0);
	(void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u", ntohs(a.sin_port));
	f->server = fork();
	assert_true(f->server >= 0);
	if (!f->server)
		serve(f, sock);
	close(sock);
}

/* ---- the fixture ---- */

static void find_files(struct fixture *f)
{
	for (int i = 0; i < N_FILES; i++) {
		struct served *s = &f->files[i];
		struct stat st;
		int fd;

		(void)snprintf(s->path, sizeof(s->path), "%s/%s", truth, names[i]);
		fd = open(s->path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(filekey_read(fd, &s->key), 0);
		close(fd);
		s->size = (uint64_t)st.st_size;
		/* What it takes in the cache, which may be on another file system. */
		s->bytes = ((uint64_t)st.st_size + 4095) / 4096 * 4096;
		for (size_t k = 0; k < s->key.build_id_bytes; k++)
			(void)snprintf(s->hex + 2 * k, 3, "%02x", s->key.build_id[k]);
	}
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	find_files(f);
	f->counts = mmap(NULL, sizeof(*f->counts), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(f->counts != MAP_FAILED);
	start_server(f);
	(void)snprintf(f->cache, sizeof(f->cache), "/tmp/tephra-debuginfod-XXXXXX");
	assert_non_null(mkdtemp(f->cache));
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(http_multi_new(f->loop, &f->http), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	debuginfod_free(f->d);
	http_multi_free(f->http);
	loop_free(f->loop);
	(void)kill(f->server, SIGKILL);
	(void)waitpid(f->server, NULL, 0);
	munmap(f->counts, sizeof(*f->counts));
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->cache);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void open_client(struct fixture *f, uint64_t budget, uint64_t negative_ms)
{
	const char *urls[] = {f->url};
	const struct debuginfod_options o = {
		.urls = urls,
		.n_urls = 1,
		.cache_dir = f->cache,
		.budget_bytes = budget,
		.negative_ms = negative_ms,
	};

	assert_int_equal(debuginfod_new(f->http, &o, &f->d), 0);
}

static void on_file(void *data, int fd)
{
	struct fixture *f = data;

	f->answer = fd < 0 ? fd : 0;
	if (fd >= 0)
		close(fd);
}

/* What comes of asking: 0 a file, or an error. */
static int get_id(struct fixture *f, const uint8_t *id, size_t n)
{
	uint64_t until = clock_ms() + WAIT_MS;
	int r;

	f->answer = 1;
	r = debuginfod_get(f->d, id, n, on_file, f);
	if (r >= 0)
		close(r);
	if (r != -EINPROGRESS)
		return MIN(r, 0);
	while (f->answer == 1 && clock_ms() < until)
		assert_true(loop_once(f->loop, 100) >= 0);
	return f->answer;
}

static int get(struct fixture *f, int file)
{
	return get_id(f, f->files[file].key.build_id, f->files[file].key.build_id_bytes);
}

static bool is_kept(const struct fixture *f, int file)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/debuginfod/%s.debug", f->cache, f->files[file].hex);
	return access(path, F_OK) == 0;
}

/* As if it had been used last so many seconds ago. */
static void used_before(const struct fixture *f, int file, time_t seconds)
{
	const struct timespec t[2] = {{.tv_sec = time(NULL) - seconds},
				      {.tv_sec = time(NULL) - seconds}};
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/debuginfod/%s.debug", f->cache, f->files[file].hex);
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

/* ---- tests ---- */

static void what_was_not_used_for_longest_makes_room(void **state)
{
	struct fixture *f = *state;
	struct debuginfod_stats s;

	/* Room for any two of them, and not for three. */
	open_client(f, f->files[A].bytes + f->files[B].bytes + f->files[C].bytes - 4096, 0);
	assert_int_equal(get(f, A), 0);
	assert_int_equal(get(f, B), 0);
	used_before(f, A, 200);
	used_before(f, B, 100);
	/* Using it makes A the younger one. */
	assert_int_equal(get(f, A), 0);
	assert_int_equal(get(f, C), 0);
	assert_true(is_kept(f, A));
	assert_false(is_kept(f, B));
	assert_true(is_kept(f, C));
	debuginfod_get_stats(f->d, &s);
	assert_int_equal(s.evicted, 1);
	assert_int_equal(s.fetched, 3);
	assert_int_equal(s.hits, 1);
	assert_true(s.bytes <= f->files[A].bytes + f->files[C].bytes);
	assert_int_equal(f->counts->of[A], 1);
	/* What had to go is fetched again. */
	assert_int_equal(get(f, B), 0);
	assert_int_equal(f->counts->of[B], 2);
}

static void a_smaller_budget_holds_from_the_start(void **state)
{
	struct fixture *f = *state;

	open_client(f, 0, 0);
	for (int i = 0; i < N_FILES; i++)
		assert_int_equal(get(f, i), 0);
	used_before(f, C, 100);
	f->d = debuginfod_free(f->d);
	open_client(f, f->files[A].bytes + f->files[B].bytes, 0);
	assert_true(is_kept(f, A) && is_kept(f, B));
	assert_false(is_kept(f, C));
}

static void what_no_server_has_is_remembered_for_a_while(void **state)
{
	static const uint8_t id[20] = {1, 2, 3};
	struct fixture *f = *state;
	struct debuginfod_stats s;
	uint64_t start, until;
	int r;

	open_client(f, 0, 500);
	start = clock_ms();
	assert_int_equal(get_id(f, id, sizeof(id)), -ENOENT);
	assert_int_equal(f->counts->others, 1);
	until = clock_ms() + WAIT_MS;
	/* Asked all the time, it asks the server once more only when the time is over. */
	do {
		r = debuginfod_get(f->d, id, sizeof(id), on_file, f);
		assert_true(r == -ENOENT || r == -EINPROGRESS);
		if (r == -ENOENT)
			assert_int_equal(f->counts->others, 1);
	} while (r == -ENOENT && clock_ms() < until);
	assert_int_equal(r, -EINPROGRESS);
	assert_true(clock_ms() - start >= 500);
	f->answer = 1;
	while (f->answer == 1 && clock_ms() < until)
		assert_true(loop_once(f->loop, 100) >= 0);
	assert_int_equal(f->answer, -ENOENT);
	assert_int_equal(f->counts->others, 2);
	debuginfod_get_stats(f->d, &s);
	assert_int_equal(s.missing, 2);
	/* It concerns that file alone. */
	assert_int_equal(get(f, A), 0);
}

static void ten_minutes_unless_said_otherwise(void **state)
{
	static const uint8_t id[20] = {4, 5, 6};
	struct fixture *f = *state;

	assert_int_equal(DEBUGINFOD_NEGATIVE_MS, 10 * 60 * 1000);
	open_client(f, 0, 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(get_id(f, id, sizeof(id)), -ENOENT);
	assert_int_equal(f->counts->others, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_not_used_for_longest_makes_room, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_smaller_budget_holds_from_the_start, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_no_server_has_is_remembered_for_a_while,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(ten_minutes_unless_said_otherwise, set_up,
						tear_down),
	};

	truth = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
