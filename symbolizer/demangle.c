/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded way into libiberty, and what it lacks: names without template arguments. libiberty
 * gives its output in pieces to a callback that can not refuse; a few hundred bytes of C++ can
 * unfold to gigabytes, so the callback leaves by longjmp(). That is safe for the C++ demangler,
 * which has its memory on the stack, and for most of Rust's (binutils 2.40, libiberty/cp-demangle.c
 * and rust-demangle.c). Where it allocates, names that might unfold are not let in. Swift's,
 * OCaml's and Go's have readers of their own.
 */
#include "symbolizer/demangle.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include <libiberty/demangle.h>

#include "symbolizer/demangle_go.h"
#include "symbolizer/demangle_ocaml.h"
#include "symbolizer/demangle_swift.h"

#define INPUT_BYTES_MAX 4096
#define BACKREFS_MAX	10  /* each may double the output */
#define D_BYTES_MAX	512 /* the D demangler has no limit on recursion */
#define D_PLACES_MAX	8   /* where it may have to go back */

int demangle_mode_parse(const char *s, enum demangle_mode *ret)
{
	static const char *const names[] = {
		[DEMANGLE_NONE] = "none",
		[DEMANGLE_SIMPLIFIED] = "simplified",
		[DEMANGLE_TEMPLATES] = "templates",
		[DEMANGLE_FULL] = "full",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(s, names[i])) {
			*ret = (enum demangle_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- output ---- */

struct output {
	struct buf *buf;
	jmp_buf *too_long; /* NULL: ignore what is too long, buf becomes failed */
};

static void on_output(const char *s, size_t n, void *data)
{
	struct output *out = data;

	if (!out->buf->failed && n <= DEMANGLE_BUF_MAX - out->buf->len)
		buf_add(out->buf, s, n);
	else if (out->too_long)
		longjmp(*out->too_long, 1);
	else
		out->buf->failed = -E2BIG;
}

static bool is_utf8(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint8_t c = p[i++];
		uint32_t v, more, least;

		if (c < 0x80) {
			if (!c)
				return false;
			continue;
		}
		more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		least = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
		if (c < 0xc2 || c > 0xf4 || n - i < more)
			return false;
		v = c & (0x3fu >> more);
		for (; more; more--, i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			v = v << 6 | (p[i] & 0x3f);
		}
		if (v < least || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
			return false;
	}
	return true;
}

/* ---- the languages ---- */

/*
 * libiberty's own limit on recursion refuses names of more than 1 KiB without a look at them. The
 * limit on the input does what it is for: 4 KiB of anything need no more than 620 KiB of stack
 * (see the unit test), and printing stops at a depth of 1024.
 */
static bool demangle_cxx(const char *name, int options, struct buf *buf)
{
	jmp_buf too_long;
	struct output out = {buf, &too_long};

	if (setjmp(too_long))
		return false;
	return cplus_demangle_v3_callback(name, options | DMGL_NO_RECURSE_LIMIT, on_output, &out) ==
	       1;
}

static size_t count(const char *name, char c)
{
	size_t n = 0;

	for (; *name; name++)
		n += *name == c;
	return n;
}

/* v0 writes an identifier that is not ASCII as u<length>. */
static bool has_punycode(const char *name)
{
	for (; *name; name++) {
		if (name[0] == 'u' && name[1] >= '0' && name[1] <= '9')
			return true;
	}
	return false;
}

/* libiberty allocates only while it decodes punycode: names with that may not be left by longjmp()
 * and are let in with few back references ('B') only. */
static bool demangle_rust(const char *name, struct buf *buf)
{
	jmp_buf too_long;
	struct output out = {buf, &too_long};

	if (has_punycode(name)) {
		if (count(name, 'B') > BACKREFS_MAX)
			return false;
		out.too_long = NULL;
	}
	if (setjmp(too_long))
		return false;
	return rust_demangle_callback(name, 0, on_output, &out) == 1 && !buf->failed;
}

/*
 * At each identifier that a function type follows, libiberty tries that type and goes back when
 * the rest does not fit: these places may each double the time (binutils 2.40,
 * libiberty/d-demangle.c, dlang_parse_qualified()). 500 bytes could take hours.
 */
static bool may_backtrack(const char *name)
{
	size_t n = strlen(name), places = 0;

	for (size_t i = 0; i < n; i++) {
		size_t length = 0, k = i;

		/* Where digits are is not known without a parse: each of them may begin a number.
		 */
		for (; name[k] >= '0' && name[k] <= '9' && length < D_BYTES_MAX; k++)
			length = length * 10 + (size_t)(name[k] - '0');
		if (length && length < n - k && strchr("FUWVRYM", name[k + length]))
			places++;
	}
	return places > D_PLACES_MAX;
}

static bool demangle_d(const char *name, struct buf *buf)
{
	_cleanup_free_ char *s = NULL;

	if (strlen(name) > D_BYTES_MAX || count(name, 'Q') > BACKREFS_MAX || may_backtrack(name))
		return false;
	s = dlang_demangle(name, 0);
	if (s)
		buf_adds(buf, s);
	return s && !buf->failed && buf->len <= DEMANGLE_BUF_MAX;
}

/* ---- leaving out ---- */

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* "operator" and what belongs to it, where brackets are no brackets. 0: there is none at s. */
static size_t operator_length(const char *s, const char *before)
{
	static const char *const ops[] = {"()", "<=>", "<<=", ">>=", "->*", "<<",
					  ">>", "<=",  ">=",  "->",  "<",   ">"};

	if (!starts(s, "operator") ||
	    (before && (*before == '_' || (*before >= '0' && *before <= '9') ||
			((*before | 32) >= 'a' && (*before | 32) <= 'z'))))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (starts(s + 8, ops[i]))
			return 8 + strlen(ops[i]);
	}
	return 0;
}

/* The bytes of the bracket that s begins with up to its partner; 0 when it has none. Inside of
 * round brackets '<' and '>' may be comparisons. */
static size_t bracket_length(const char *s)
{
	size_t angle = 0, round = 0, curly = 0;
	bool in_angle = *s == '<';

	for (size_t i = 0; s[i]; i++) {
		size_t n = i ? operator_length(s + i, s + i - 1) : 0;

		if (n) {
			i += n - 1;
			continue;
		}
		round += s[i] == '(';
		curly += s[i] == '{';
		if (in_angle && !round && !curly) {
			angle += s[i] == '<';
			if (s[i] == '>' && s[i - 1] != '-')
				angle--;
		}
		if ((s[i] == ')' && !round--) || (s[i] == '}' && !curly--))
			return 0;
		if (!angle && !round && !curly)
			return i + 1;
	}
	return 0;
}

/* What a member function has behind its parameters. */
static size_t qualifiers_length(const char *s)
{
	static const char *const words[] = {" const", " volatile", " &&", " &"};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (starts(s + n, words[i])) {
			n += strlen(words[i]);
			i = (size_t)-1;
		}
	}
	return n;
}

/*
 * Copies a demangled C++ name that has no parameters of its own, without those of the functions
 * it is local to and, with `templates` unset, without template arguments. What lambdas have in
 * their braces stays. False when brackets do not pair: then the name stays as it is.
 */
static bool simplify(const char *s, bool templates, struct buf *to)
{
	size_t i = 0;

	while (s[i]) {
		size_t n = operator_length(s + i, i ? s + i - 1 : NULL);
		bool keep = true;

		if (!n && s[i] == '{') {
			n = bracket_length(s + i);
			if (!n)
				return false;
		} else if (!n && s[i] == '(') {
			n = bracket_length(s + i);
			keep = starts(s + i, "(anonymous namespace)");
			if (!n)
				return false;
			if (!keep)
				n += qualifiers_length(s + i + n);
		} else if (!n && s[i] == '<' && (!templates || i)) {
			n = bracket_length(s + i);
			keep = templates;
			if (!n)
				return false;
			/* "operator<< <char>" */
			if (!keep && to->len && to->data[to->len - 1] == ' ')
				to->len--;
		}
		n = n ? n : 1;
		if (keep)
			buf_add(to, s + i, n);
		i += n;
	}
	return !to->failed && to->len;
}

/* libiberty's modes: without DMGL_PARAMS a function's own parameters and return type are left
 * out. */
static bool demangle_cxx_mode(const char *name, enum demangle_mode mode, struct buf *buf)
{
	struct buf all = BUF_INIT(DEMANGLE_BUF_MAX);
	bool ok;

	if (mode == DEMANGLE_FULL)
		return demangle_cxx(name, DMGL_PARAMS | DMGL_ANSI, buf);
	ok = demangle_cxx(name, DMGL_ANSI, &all);
	if (ok && !simplify(buf_cstr(&all), mode == DEMANGLE_TEMPLATES, buf)) {
		buf_reset(buf);
		buf_add(buf, all.data, all.len);
	}
	buf_done(&all);
	return ok;
}

/* ---- suffixes ---- */

/* What compilers put behind a name that says nothing to people, and differs in each build. */
static bool is_noise(const char *s, size_t n)
{
	static const char *const words[] = {".llvm.", ".lto_priv.", ".__uniq."};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (n > strlen(words[i]) && starts(s, words[i]))
			return true;
	}
	return false;
}

/* Adds ".part.0.cold" of ".part.0.llvm.123.cold": a part is a word and maybe a number. */
static void add_suffix(const char *s, struct buf *to)
{
	while (*s == '.') {
		size_t n = 1 + strcspn(s + 1, ".");

		if (s[n] == '.' && s[n + 1] >= '0' && s[n + 1] <= '9')
			n += 1 + strcspn(s + n + 1, ".");
		if (!is_noise(s, n))
			buf_add(to, s, n);
		s += n;
	}
}

/* Rust's legacy names end with a hash of 16 digits: "17h...E". NULL: it is none. */
static const char *rust_hash(const char *name)
{
	const char *last = NULL;

	for (const char *p = strstr(name, "17h"); p; p = strstr(p + 1, "17h"))
		last = p;
	return last && strnlen(last, 20) == 20 && last[19] == 'E' ? last : NULL;
}

/* Where the suffixes of compilers begin (".part.0", ".cold", ".llvm.123"); NULL: there is none.
 * Rust's legacy names have dots inside. */
static const char *suffix_of(const char *name)
{
	const char *hash = starts(name, "_ZN") ? rust_hash(name) : NULL;

	return strchr(hash ? hash : name, '.');
}

static bool demangle_base(const char *name, enum demangle_mode mode, struct buf *buf)
{
	bool types = mode != DEMANGLE_SIMPLIFIED;

	if (starts(name, "_R"))
		return demangle_rust(name, buf);
	if (starts(name, "_D"))
		return demangle_d(name, buf);
	if (starts(name, "_T0") || starts(name, "_$") || name[0] == '$')
		return demangle_swift(name, types, buf);
	if (starts(name, "caml"))
		return demangle_ocaml(name, buf);
	if (name[0] != '_')
		return demangle_go(name, types, buf);
	/* Rust's legacy names are C++ names with a hash: try the narrower one first. */
	if (starts(name, "_ZN") && rust_hash(name) && demangle_rust(name, buf))
		return true;
	buf_reset(buf);
	return demangle_cxx_mode(name, mode, buf);
}

/* In full, C++ has "[clone .part.0]", as from every other tool. */
static bool demangle_any(const char *name, enum demangle_mode mode, struct buf *buf)
{
	bool itanium = starts(name, "_Z"), rust = starts(name, "_R");
	const char *suffix = itanium || rust ? suffix_of(name) : NULL;
	_cleanup_free_ char *base = NULL;

	if (!suffix)
		return demangle_base(name, mode, buf);
	if (mode == DEMANGLE_FULL && itanium && !rust_hash(name) &&
	    demangle_cxx_mode(name, mode, buf))
		return true;
	buf_reset(buf);
	base = strndup(name, (size_t)(suffix - name));
	if (!base || !demangle_base(base, mode, buf))
		return false;
	add_suffix(suffix, buf);
	return true;
}

static bool is_mangled(const char *name, size_t n)
{
	if (n > INPUT_BYTES_MAX || n < 4)
		return false;
	if (name[0] == '_')
		return strchr("ZRDT$", name[1]) || starts(name, "_GLOBAL_");
	return starts(name, "$s") || starts(name, "$S") || starts(name, "$e") ||
	       starts(name, "caml") || strchr(name, '[');
}

const char *demangle(const char *name, enum demangle_mode mode, struct buf *scratch)
{
	_cleanup_free_ char *base = NULL;
	size_t n = strnlen(name, INPUT_BYTES_MAX + 1);
	bool plt;

	if (mode == DEMANGLE_NONE || !is_mangled(name, n))
		return name;
	plt = n > 4 && !strcmp(name + n - 4, "@plt");
	if (plt) {
		base = strndup(name, n - 4);
		if (!base)
			return name;
	}
	buf_reset(scratch);
	if (!demangle_any(base ? base : name, mode, scratch) || scratch->failed || !scratch->len)
		return name;
	if (plt)
		buf_adds(scratch, "@plt");
	if (scratch->failed || !is_utf8(scratch->data, scratch->len))
		return name;
	return buf_cstr(scratch);
}
