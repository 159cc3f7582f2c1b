/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of the OAuth 2 client credentials grant (RFC 6749, 4.4), as golang.org/x/oauth2 asks for
 * them: the client's name and secret in the header Authorization, and should the server not take
 * that, in the body. A token is kept in the struct http_multi until shortly before its end and
 * shared by all who ask the same server with the same client and parameters.
 */
#pragma once

#include "agent/http/access.h"
#include "agent/http/multi.h"

/* Who waits for a token; part of the waiting. */
struct oauth2_wait {
	struct oauth2_wait *next;
	struct oauth2_token *token; /* NULL: it waits for none */
	/* r 0: text is what oauth2_get() would have given. Else why there is none. */
	void (*fn)(struct oauth2_wait *w, int r, const char *text);
};

/*
 * a has oauth2 options. 1: *ret is the value of the header Authorization, valid until the loop
 * goes on. 0: w->fn is called later. -ENOMEM, or -EINVAL with the reason in why.
 */
int oauth2_get(struct http_multi *m, struct http_access *a, struct oauth2_wait *w, const char **ret,
	       char *why, size_t size);
/* w waits no more. */
void oauth2_unwait(struct oauth2_wait *w);
/* A server refused this value: should it be the one that is kept, the next is a new one. */
void oauth2_refused(struct http_multi *m, const struct http_access *a, const char *value);
void oauth2_free_all(struct http_multi *m);

/*
 * The reply of a token server: JSON, or a form when the content type says so. *ret_value gets
 * "Bearer abc"; *ret_expires_s 0: it does not say. -EBADMSG with the reason in why. Parses
 * untrusted bytes.
 */
int oauth2_parse_reply(const char *content_type, const char *body, size_t len, char **ret_value,
		       uint32_t *ret_expires_s, char *why, size_t size);
