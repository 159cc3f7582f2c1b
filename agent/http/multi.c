/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http/multi.h"

#include <errno.h>

#include "agent/http/multi_curl.h"
#include "agent/http/oauth2.h"

/* Idle connections that are kept for the next request. */
#define MAX_KEPT 64L

static void reap(struct http_multi *m)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(m->curl, &left))) {
		struct fetch *f = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		fetch_ended(f, msg->data.result);
	}
}

static void act(struct http_multi *m, curl_socket_t fd, int what)
{
	int running;

	m->inside = true;
	curl_multi_socket_action(m->curl, fd, what, &running);
	m->inside = false;
	reap(m);
}

static void on_fd(int fd, uint32_t events, void *data)
{
	int what = 0;

	what |= events & EPOLLIN ? CURL_CSELECT_IN : 0;
	what |= events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
	what |= events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
	act(data, fd, what);
}

void http_multi_run(struct http_multi *m)
{
	act(m, CURL_SOCKET_TIMEOUT, 0);
}

static void on_timer(void *data)
{
	http_multi_run(data);
}

static int set_timer(CURLM *curl, long ms, void *data)
{
	struct http_multi *m = data;

	if (ms < 0)
		loop_stop_timer(m->timer);
	else
		loop_set_timer(m->timer, (uint64_t)ms, 0);
	return 0;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *source)
{
	struct http_multi *m = data;
	struct loop_source *s = source;
	uint32_t events =
		(what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);

	if (what == CURL_POLL_REMOVE) {
		loop_remove(s);
		curl_multi_assign(m->curl, fd, NULL);
	} else if (s) {
		(void)loop_set_events(s, events);
	} else {
		s = loop_add_fd(m->loop, fd, events, on_fd, m);
		if (!s)
			return -1;
		curl_multi_assign(m->curl, fd, s);
	}
	return 0;
}

int http_multi_new(struct loop *loop, struct http_multi **ret)
{
	_cleanup_(http_multi_freep) struct http_multi *m = NULL;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	m = calloc(1, sizeof(*m));
	if (!m) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	m->loop = loop;
	m->curl = curl_multi_init();
	m->timer = loop_add_timer(loop, on_timer, m);
	if (!m->curl || !m->timer)
		return -ENOMEM;
	curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
	curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
	curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, MAX_KEPT);
	/*
	 * HTTP/2, but one transfer a connection: multiplexed uploads stall in some versions of
	 * libcurl (curl #11426), and an endless watch would share its fate with all others.
	 */
	curl_multi_setopt(m->curl, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	*ret = TAKE_PTR(m);
	return 0;
}

struct http_multi *http_multi_free(struct http_multi *m)
{
	if (!m)
		return NULL;
	fetch_free_all(m);
	oauth2_free_all(m);
	/* Closes kept connections, which takes their sockets off the loop. */
	curl_multi_cleanup(m->curl);
	loop_remove(m->timer);
	free(m);
	curl_global_cleanup();
	return NULL;
}

struct loop *http_multi_loop(const struct http_multi *m)
{
	return m->loop;
}
