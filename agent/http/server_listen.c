/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: addresses as Go's net.Listen takes them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/http/server_internal.h"

#define BACKLOG 128

/* Splits "HOST:PORT" and "[HOST]:PORT" at the last colon. */
static int split(const char *address, char *host, size_t size, const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	unsigned int port = 0;
	size_t len;

	/* getaddrinfo() would take the low 16 bits of a larger number. */
	for (const char *p = colon ? colon + 1 : ""; *p; p++) {
		port = port * 10 + (unsigned int)(*p - '0');
		if (*p < '0' || *p > '9' || port > UINT16_MAX)
			return -EINVAL;
	}
	if (!colon || !colon[1])
		return -EINVAL;
	len = (size_t)(colon - address);
	if (len >= 2 && address[0] == '[' && colon[-1] == ']') {
		address++;
		len -= 2;
	} else if (memchr(address, ':', len)) {
		return -EINVAL;
	}
	if (len >= size)
		return -EINVAL;
	memcpy(host, address, len);
	host[len] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static int listen_at(const struct addrinfo *a)
{
	_cleanup_close_ int fd =
		socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1, off = 0;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* The first address of this name that can be listened on, or the first error. */
static int listen_name(const char *host, const char *port, const char **ret_why)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int r = getaddrinfo(host, port, &hints, &list), error = -EADDRNOTAVAIL;

	if (r) {
		*ret_why = gai_strerror(r);
		return -EINVAL;
	}
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		r = listen_at(a);
		if (r >= 0)
			break;
		if (a == list)
			error = r;
	}
	freeaddrinfo(list);
	return r >= 0 ? r : error;
}

int server_listen(const char *address, char *why, size_t size)
{
	const char *port, *text = NULL;
	char host[256];
	int r = split(address, host, sizeof(host), &port);

	if (r < 0) {
		(void)snprintf(why, size,
			       "\"%.64s\" is no address to listen on: write HOST:PORT or :PORT",
			       address);
		return r;
	}
	if (*host) {
		r = listen_name(host, port, &text);
	} else {
		/* Both families on one socket; where there is no IPv6, the other one. */
		r = listen_name("::", port, &text);
		if (r < 0 && r != -EADDRINUSE && r != -EACCES)
			r = listen_name("0.0.0.0", port, &text);
	}
	if (r < 0)
		(void)snprintf(why, size, "cannot listen on %.64s: %s", address,
			       text ? text : strerror(-r));
	return r;
}

int server_local_address(int fd, char *ret, size_t size, uint16_t *ret_port, bool *ret_loopback)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);
	char text[INET6_ADDRSTRLEN] = "";

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	if (ss.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;

		(void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		*ret_port = ntohs(in6->sin6_port);
		*ret_loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
		(void)snprintf(ret, size, "[%s]:%u", text, *ret_port);
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;

		(void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		*ret_port = ntohs(in->sin_port);
		*ret_loopback = ntohl(in->sin_addr.s_addr) >> 24 == 127;
		(void)snprintf(ret, size, "%s:%u", text, *ret_port);
	}
	return 0;
}
