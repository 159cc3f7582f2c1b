/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server, asked over real sockets: routes, limits, late answers, passwords, slow clients.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/http/server.h"

#define PATIENCE_MS 5000

struct bed {
	struct loop *loop;
	struct http_server *server;
	struct http_call *kept;
	unsigned int calls;
	char body[64], query[64], argument[64];
	size_t len;
};

static void on_hello(struct http_call *c, void *data)
{
	struct bed *b = data;
	const char *argument = http_call_argument(c, "name");

	b->calls++;
	(void)snprintf(b->query, sizeof(b->query), "%s", c->query);
	(void)snprintf(b->argument, sizeof(b->argument), "%s", argument ? argument : "(none)");
	http_reply_text(c, 200, "hello %s", c->path);
}

static void on_post(struct http_call *c, void *data)
{
	struct bed *b = data;

	b->len = c->len;
	(void)snprintf(b->body, sizeof(b->body), "%s", (const char *)c->body);
	http_reply(c, 200, "application/json", "{}", 2);
}

static void on_later(struct http_call *c, void *data)
{
	struct bed *b = data;

	b->kept = c;
}

static void on_end(struct http_call *c, void *data)
{
	struct bed *b = data;

	b->server = http_server_free(b->server);
	http_reply_text(c, 200, "the last word");
}

static void begin(struct bed *b, struct http_server_options o)
{
	char why[256] = "";

	memset(b, 0, sizeof(*b));
	o.address = o.address ? o.address : "127.0.0.1:0";
	assert_int_equal(loop_new(&b->loop), 0);
	if (http_server_new(b->loop, &o, why, sizeof(why), &b->server) < 0)
		fail_msg("%s", why);
	assert_int_equal(http_server_route(b->server, "GET", "/hello", false, on_hello, b), 0);
	assert_int_equal(http_server_route(b->server, "POST", "/post", true, on_post, b), 0);
	assert_int_equal(http_server_route(b->server, "GET", "/later", true, on_later, b), 0);
	assert_int_equal(http_server_route(b->server, "GET", "/end", true, on_end, b), 0);
}

static void end(struct bed *b)
{
	http_server_free(b->server);
	loop_free(b->loop);
}

static int client(const struct bed *b)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(http_server_port(b->server)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Runs the loop until the server has closed the connection, or `until` has arrived. */
static const char *answer(struct bed *b, int fd, const char *until)
{
	static char text[65536];
	uint64_t give_up = clock_ms() + PATIENCE_MS;
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);

		if (n > 0)
			len += (size_t)n;
		text[len] = '\0';
		if (n == 0 || (n < 0 && errno == ECONNRESET) || (until && strstr(text, until)))
			return text;
		if (clock_ms() > give_up)
			fail_msg("no answer, only \"%s\"", text);
		assert_int_equal(loop_once(b->loop, 10), 0);
	}
}

static const char *ask(struct bed *b, const char *request, const char *until)
{
	int fd = client(b);
	const char *text;

	send_text(fd, request);
	text = answer(b, fd, until);
	close(fd);
	return text;
}

static void paths_lead_to_handlers(void **state)
{
	struct bed b;

	begin(&b, (struct http_server_options){0});
	assert_non_null(strstr(ask(&b, "GET /hello/a%20b?name=x%26y&z HTTP/1.1\r\nHost: a\r\n\r\n",
				   "hello /hello/a b\n"),
			       "HTTP/1.1 200"));
	assert_string_equal(b.query, "name=x%26y&z");
	assert_string_equal(b.argument, "x&y");
	assert_non_null(strstr(ask(&b, "GET /hellos HTTP/1.1\r\nHost: a\r\n\r\n", "found"),
			       "HTTP/1.1 404"));
	assert_non_null(
		strstr(ask(&b, "GET /post HTTP/1.1\r\nHost: a\r\n\r\n", "method"), "HTTP/1.1 405"));
	assert_non_null(
		strstr(ask(&b, "PUT /post HTTP/1.1\r\nHost: a\r\n\r\n", "method"), "Allow: POST"));
	assert_non_null(strstr(ask(&b, "GET /hello HTTP/1.0\r\n\r\n", NULL), "hello /hello"));
	end(&b);
}

static void a_head_has_no_body(void **state)
{
	struct bed b;
	const char *text;

	begin(&b, (struct http_server_options){0});
	text = ask(&b, "HEAD /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", NULL);
	assert_non_null(strstr(text, "HTTP/1.1 200"));
	assert_non_null(strstr(text, "Content-Length: 13"));
	assert_null(strstr(text, "hello /hello"));
	end(&b);
}

static void a_connection_serves_several_requests(void **state)
{
	struct bed b;
	int fd;

	begin(&b, (struct http_server_options){0});
	fd = client(&b);
	send_text(fd, "GET /hello/1 HTTP/1.1\r\nHost: a\r\n\r\n");
	(void)answer(&b, fd, "hello /hello/1");
	send_text(fd, "GET /hello/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /hello/3 HTTP/1.1\r\nHost: a\r\n"
		      "Connection: close\r\n\r\n");
	(void)answer(&b, fd, "hello /hello/3");
	close(fd);
	assert_int_equal(b.calls, 3);
	end(&b);
}

static void a_body_arrives_whole(void **state)
{
	struct bed b;

	begin(&b, (struct http_server_options){0});
	(void)ask(&b, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde", "{}");
	assert_string_equal(b.body, "abcde");
	(void)ask(&b,
		  "POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
		  "{}");
	assert_string_equal(b.body, "abcdefg");
	assert_int_equal(b.len, 7);
	end(&b);
}

static void a_body_over_the_limit_is_refused(void **state)
{
	struct bed b;

	begin(&b, (struct http_server_options){.max_body_bytes = 8});
	assert_non_null(strstr(
		ask(&b, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", "too large"),
		"HTTP/1.1 413"));
	assert_non_null(strstr(ask(&b,
				   "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: "
				   "99999999999999999999\r\n\r\n",
				   NULL),
			       "HTTP/1.1 413"));
	assert_non_null(strstr(ask(&b,
				   "POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
				   "chunked\r\n\r\n9\r\nabcdefghi\r\n0\r\n\r\n",
				   "too large"),
			       "HTTP/1.1 413"));
	assert_int_equal(b.len, 0);
	(void)ask(&b, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabcdefgh", "{}");
	assert_int_equal(b.len, 8);
	end(&b);
}

static void bodies_together_have_a_limit(void **state)
{
	struct bed b;
	int first;

	begin(&b, (struct http_server_options){.max_body_bytes = 8, .max_bodies_bytes = 10});
	first = client(&b);
	send_text(first, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabcdefg");
	for (int i = 0; i < 5; i++)
		assert_int_equal(loop_once(b.loop, 10), 0);
	assert_non_null(
		strstr(ask(&b, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
			   "later\n"),
		       "HTTP/1.1 503"));
	send_text(first, "h");
	assert_non_null(strstr(answer(&b, first, "{}"), "HTTP/1.1 200"));
	close(first);
	(void)ask(&b, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd", "{}");
	end(&b);
}

static void a_header_over_the_limit_is_refused(void **state)
{
	static char request[40000];
	struct bed b;
	int n = snprintf(request, sizeof(request), "GET /hello HTTP/1.1\r\nHost: a\r\nX: ");

	begin(&b, (struct http_server_options){0});
	memset(request + n, 'x', sizeof(request) - 1 - (size_t)n);
	assert_non_null(strstr(ask(&b, request, NULL), "431"));
	assert_int_equal(b.calls, 0);
	end(&b);
}

static void an_answer_may_come_later(void **state)
{
	struct bed b;
	int fd;

	begin(&b, (struct http_server_options){0});
	fd = client(&b);
	send_text(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
	while (!b.kept)
		assert_int_equal(loop_once(b.loop, 100), 0);
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "hello");
	http_reply_text(b.kept, 202, "at last %s", b.kept->path);
	assert_non_null(strstr(answer(&b, fd, "at last /later\n"), "HTTP/1.1 202"));
	close(fd);
	end(&b);
}

static void who_went_away_is_answered_in_vain(void **state)
{
	struct bed b;
	int fd;

	begin(&b, (struct http_server_options){0});
	fd = client(&b);
	send_text(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
	while (!b.kept)
		assert_int_equal(loop_once(b.loop, 100), 0);
	close(fd);
	assert_int_equal(loop_once(b.loop, 10), 0);
	http_reply_text(b.kept, 200, "nobody listens");
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "hello");
	end(&b);
}

static void a_server_may_end_before_its_answers(void **state)
{
	struct bed b;
	int fd;

	begin(&b, (struct http_server_options){0});
	fd = client(&b);
	send_text(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
	while (!b.kept)
		assert_int_equal(loop_once(b.loop, 100), 0);
	b.server = http_server_free(b.server);
	assert_string_equal(b.kept->path, "/later");
	assert_null(http_call_header(b.kept, "Host"));
	http_reply_text(b.kept, 200, "nobody listens");
	close(fd);
	end(&b);
}

static void a_server_may_end_in_its_handler(void **state)
{
	struct bed b;
	int fd;

	begin(&b, (struct http_server_options){0});
	fd = client(&b);
	send_text(fd, "GET /end HTTP/1.1\r\nHost: a\r\n\r\n");
	(void)answer(&b, fd, NULL);
	close(fd);
	assert_null(b.server);
	end(&b);
}

static void who_is_slow_is_disconnected(void **state)
{
	struct bed b;
	struct http_server_stats stats;
	uint64_t start;
	int fd, quick;

	begin(&b, (struct http_server_options){.request_ms = 600});
	fd = client(&b);
	start = clock_ms();
	send_text(fd, "GET /hello HTTP/1.1\r\nHo");
	/* A byte now and then does not help. */
	for (uint64_t now = start; now < start + 400; now = clock_ms()) {
		send_text(fd, "s");
		assert_int_equal(loop_once(b.loop, 50), 0);
		usleep(20000);
	}
	quick = client(&b);
	send_text(quick, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
	(void)answer(&b, quick, "hello");
	assert_string_equal(answer(&b, fd, NULL), "");
	http_server_stats(b.server, &stats);
	assert_true(stats.refused[HTTP_REFUSED_SLOW] >= 1);
	close(fd);
	close(quick);
	end(&b);
}

static void the_idlest_makes_place_for_the_next(void **state)
{
	struct http_server_stats stats;
	struct bed b;
	int fds[40];

	begin(&b, (struct http_server_options){.max_connections = 4});
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client(&b);
		assert_int_equal(loop_once(b.loop, 10), 0);
	}
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "hello");
	http_server_stats(b.server, &stats);
	assert_true(stats.refused[HTTP_REFUSED_CROWDED] >= 36);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	end(&b);
}

static void a_password_is_asked_for_where_it_is_wanted(void **state)
{
	const char *const paths[] = {"/post"};
	struct bed b;

	begin(&b, (struct http_server_options){.auth = {"u", "p:q", NULL, 0, false}});
	assert_non_null(strstr(ask(&b, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "unauth"),
			       "WWW-Authenticate: Basic"));
	/* u:p:q, u:x and nonsense */
	assert_non_null(strstr(ask(&b,
				   "GET /hello HTTP/1.1\r\nHost: a\r\nAuthorization: Basic "
				   "dTpwOnE=\r\n\r\n",
				   "hello"),
			       "200"));
	assert_non_null(strstr(ask(&b,
				   "GET /hello HTTP/1.1\r\nHost: a\r\nAuthorization: Basic "
				   "dTp4\r\n\r\n",
				   "unauth"),
			       "401"));
	assert_non_null(strstr(ask(&b,
				   "GET /hello HTTP/1.1\r\nHost: a\r\nAuthorization: Basic "
				   "\xff=*\r\n\r\n",
				   "unauth"),
			       "401"));
	assert_int_equal(http_server_set_auth(
				 b.server, &(struct http_server_auth){"u", "p", paths, 1, false}),
			 0);
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "hello");
	(void)ask(&b, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "unauth");
	assert_int_equal(http_server_set_auth(b.server,
					      &(struct http_server_auth){"u", "p", paths, 1, true}),
			 0);
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "unauth");
	(void)ask(&b, "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "{}");
	end(&b);
}

static void a_foreign_name_is_refused_on_loopback(void **state)
{
	struct bed b;

	begin(&b, (struct http_server_options){.local_names = true});
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n", "localhost");
	assert_int_equal(b.calls, 0);
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: localhost:12345\r\n\r\n", "hello");
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "hello");
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: [::1]:8\r\n\r\n", "hello");
	(void)ask(&b, "GET /hello HTTP/1.0\r\n\r\n", "hello");
	assert_int_equal(b.calls, 4);
	end(&b);
}

static void garbage_harms_nobody(void **state)
{
	static const char *const garbage[] = {
		"\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"GET / HTTP/9.9\r\n\r\n",
		"\x16\x03\x01\x02\x01\xfc",
		"GET /%00%ff%zz?%%%=&&&==%0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx",
		"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\nx",
		"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nx",
		"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\n\r\nffffffffffffffffff\r\nx",
		"GET /hello HTTP/1.1\r\n: x\r\n\t\r\nHost\r\n\r\n",
	};
	struct bed b;

	begin(&b, (struct http_server_options){.request_ms = 300});
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
		(void)ask(&b, garbage[i], NULL);
	(void)ask(&b, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "hello");
	end(&b);
}

static void a_taken_or_bad_address_is_named(void **state)
{
	static const char *const bad[] = {"",	    "12345", "localhost:",     "host:x",
					  "::1:80", "a:b:1", "127.0.0.1:99999"};
	struct http_server *other = NULL;
	char why[256] = "";
	struct bed b;

	begin(&b, (struct http_server_options){0});
	assert_int_equal(http_server_new(b.loop,
					 &(struct http_server_options){
						 .address = http_server_address(b.server)},
					 why, sizeof(why), &other),
			 -EADDRINUSE);
	assert_non_null(strstr(why, http_server_address(b.server)));
	assert_non_null(strstr(why, "Address already in use"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct http_server_options o = {.address = bad[i]};

		why[0] = '\0';
		assert_true(http_server_new(b.loop, &o, why, sizeof(why), &other) < 0);
		assert_true(why[0] != '\0');
	}
	end(&b);
}

static void a_useless_certificate_is_named(void **state)
{
	struct http_server *s = NULL;
	char why[256] = "";
	struct loop *l = NULL;
	struct http_server_options o = {.address = "127.0.0.1:0", .tls = {.cert = "x", .key = "y"}};

	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(http_server_new(l, &o, why, sizeof(why), &s), -EINVAL);
	assert_non_null(strstr(why, "certificate"));
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_to_handlers),
		cmocka_unit_test(a_head_has_no_body),
		cmocka_unit_test(a_connection_serves_several_requests),
		cmocka_unit_test(a_body_arrives_whole),
		cmocka_unit_test(a_body_over_the_limit_is_refused),
		cmocka_unit_test(bodies_together_have_a_limit),
		cmocka_unit_test(a_header_over_the_limit_is_refused),
		cmocka_unit_test(an_answer_may_come_later),
		cmocka_unit_test(who_went_away_is_answered_in_vain),
		cmocka_unit_test(a_server_may_end_before_its_answers),
		cmocka_unit_test(a_server_may_end_in_its_handler),
		cmocka_unit_test(who_is_slow_is_disconnected),
		cmocka_unit_test(the_idlest_makes_place_for_the_next),
		cmocka_unit_test(a_password_is_asked_for_where_it_is_wanted),
		cmocka_unit_test(a_foreign_name_is_refused_on_loopback),
		cmocka_unit_test(garbage_harms_nobody),
		cmocka_unit_test(a_taken_or_bad_address_is_named),
		cmocka_unit_test(a_useless_certificate_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
