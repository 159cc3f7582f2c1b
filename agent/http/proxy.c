/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http/proxy.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

struct ip {
	int family; /* 0: no address */
	uint8_t bytes[16];
};

static struct ip ip_of(const char *s, size_t n)
{
	char text[INET6_ADDRSTRLEN + 1];
	struct ip ip = {0};

	if (n >= 2 && s[0] == '[' && s[n - 1] == ']') {
		s++;
		n -= 2;
	}
	if (n >= sizeof(text))
		return ip;
	memcpy(text, s, n);
	text[n] = '\0';
	if (inet_pton(AF_INET, text, ip.bytes) == 1)
		ip.family = AF_INET;
	else if (inet_pton(AF_INET6, text, ip.bytes) == 1)
		ip.family = AF_INET6;
	return ip;
}

static bool is_loopback(const struct ip *ip)
{
	static const uint8_t one[16] = {[15] = 1};

	if (ip->family == AF_INET)
		return ip->bytes[0] == 127;
	return ip->family == AF_INET6 && !memcmp(ip->bytes, one, sizeof(one));
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return !rest || !((a[whole] ^ b[whole]) >> (8 - rest));
}

/* "10.0.0.0/8"; false also when it is no network. */
static bool in_network(const char *s, size_t n, const struct ip *ip)
{
	const char *slash = memchr(s, '/', n);
	struct ip net = slash ? ip_of(s, (size_t)(slash - s)) : (struct ip){0};
	unsigned int bits = 0;
	size_t digits;

	if (!net.family || net.family != ip->family)
		return false;
	digits = (size_t)(s + n - slash - 1);
	if (!digits || digits > 3)
		return false;
	for (const char *d = slash + 1; d < s + n; d++) {
		if (*d < '0' || *d > '9')
			return false;
		bits = bits * 10 + (unsigned int)(*d - '0');
	}
	return bits <= (net.family == AF_INET ? 32 : 128) && same_bits(net.bytes, ip->bytes, bits);
}

/* Takes ":port" off the end; 0 when there is none, -1 when it is another one. */
static int take_port(const char *s, size_t *n, uint16_t port)
{
	const char *colon = memrchr(s, ':', *n);
	unsigned int v = 0;

	if (!colon || memchr(s, ':', *n) != colon) {
		/* Several colons: an IPv6 address, with a port only behind its bracket. */
		if (!colon || colon == s || colon[-1] != ']')
			return 0;
	}
	for (const char *d = colon + 1; d < s + *n; d++) {
		if (*d < '0' || *d > '9' || v > UINT16_MAX)
			return -1;
		v = v * 10 + (unsigned int)(*d - '0');
	}
	*n = (size_t)(colon - s);
	return v == port ? 1 : -1;
}

static bool in_domain(const char *s, size_t n, const char *host)
{
	size_t len = strlen(host);

	if (n > 1 && s[0] == '*' && s[1] == '.') {
		s++;
		n--;
	}
	if (!n)
		return false;
	if (*s != '.' && len == n && !strncasecmp(s, host, n))
		return true;
	if (*s == '.') {
		s++;
		n--;
	}
	return len > n && host[len - n - 1] == '.' && !strncasecmp(s, host + len - n, n);
}

static bool entry_matches(const char *s, size_t n, const char *host, const struct ip *ip,
			  uint16_t port)
{
	struct ip own;

	if (n == 1 && *s == '*')
		return true;
	if (ip->family && in_network(s, n, ip))
		return true;
	if (take_port(s, &n, port) < 0)
		return false;
	own = ip_of(s, n);
	if (own.family)
		return own.family == ip->family && !memcmp(own.bytes, ip->bytes, sizeof(ip->bytes));
	return in_domain(s, n, host);
}

static bool is_exempt(const char *no_proxy, const char *host, uint16_t port)
{
	struct ip ip = ip_of(host, strlen(host));

	if (!strcasecmp(host, "localhost") || is_loopback(&ip))
		return true;
	for (const char *s = no_proxy; s && *s;) {
		const char *end = strchrnul(s, ','), *next = *end ? end + 1 : end;

		while (s < end && strchr(" \t", *s))
			s++;
		while (end > s && strchr(" \t", end[-1]))
			end--;
		if (end > s && entry_matches(s, (size_t)(end - s), host, &ip, port))
			return true;
		s = next;
	}
	return false;
}

static const char *env_any(http_getenv env, const char *upper, const char *lower)
{
	const char *s = env(upper);

	if (!s || !*s)
		s = env(lower);
	return s && *s ? s : NULL;
}

const char *http_proxy_for(const struct http_proxy_options *p, const char *scheme, const char *host,
			   uint16_t port, http_getenv env)
{
	const char *url = p->url && *p->url ? p->url : NULL, *no_proxy = p->no_proxy;

	if (p->from_environment) {
		bool tls = !strcmp(scheme, "https");

		/* In a CGI program HTTP_PROXY is the header "Proxy" of whoever asks. */
		if (!tls && env("REQUEST_METHOD"))
			return NULL;
		url = env_any(env, tls ? "HTTPS_PROXY" : "HTTP_PROXY",
			      tls ? "https_proxy" : "http_proxy");
		no_proxy = env_any(env, "NO_PROXY", "no_proxy");
		return url && !is_exempt(no_proxy, host, port) ? url : NULL;
	}
	/* A proxy without exceptions is asked for everything, the own host too. */
	if (url && no_proxy && *no_proxy && is_exempt(no_proxy, host, port))
		return NULL;
	return url;
}
