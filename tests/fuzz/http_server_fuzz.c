/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a client to the HTTP server, over a real connection: the first byte says how many of
 * the others come first, as a stream has no borders. A password is asked for, so that headers are
 * looked at too.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/http/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_call(struct http_call *c, void *data)
{
	const char *name = http_call_argument(c, "name"), *host = http_call_header(c, "Host");

	http_reply_text(c, 200, "%s %s %s %s %zu", c->path, c->query, name ? name : "",
			host ? host : "", c->len);
}

static struct http_server *start(struct loop **ret_loop)
{
	static const char *const paths[] = {"/secret"};
	const struct http_server_options o = {
		.address = "127.0.0.1:0",
		.max_body_bytes = 1024,
		.local_names = true,
		.auth = {"u", "p", paths, 1, false},
	};
	struct http_server *s = NULL;
	char why[256];

	if (loop_new(ret_loop) < 0 || http_server_new(*ret_loop, &o, why, sizeof(why), &s) < 0 ||
	    http_server_route(s, NULL, "/", false, on_call, NULL) < 0)
		abort();
	return s;
}

static int client(const struct http_server *s)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(http_server_port(s)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Thousands of them a second: none may stay in TIME_WAIT. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ||
	    connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_server *server;
	static struct loop *loop;
	size_t first = size ? MIN((size_t)data[0] * 4, size - 1) : 0;
	char answer[4096];
	int fd;

	if (!server)
		server = start(&loop);
	fd = client(server);
	if (size) {
		(void)send(fd, data + 1, first, MSG_NOSIGNAL);
		(void)loop_once(loop, 0);
		(void)send(fd, data + 1 + first, size - 1 - first, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	for (int i = 0; i < 6; i++)
		(void)loop_once(loop, 0);
	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
	close(fd);
	for (int i = 0; i < 3; i++)
		(void)loop_once(loop, 0);
	return 0;
}
