/* SPDX-License-Identifier: Apache-2.0 */
/* Functions, variables, closures and what the compiler makes of them, and the machine itself. */
#include "symbolizer/demangle_swift_internal.h"

#include <string.h>

/* ---- entities ---- */

/* Adds "(label:_:)" and pops the labels. */
static void take_labels(struct swift *s, uint8_t n, struct swift_node *ret, size_t *ret_n)
{
	*ret_n = 0;
	/* 4.x has the labels in the tuple of the parameters. */
	if (s->old || swift_drop(s, SWIFT_EMPTY) || !n)
		return;
	for (size_t i = n; i > 0 && !s->failed; i--) {
		if (!swift_pop(s, SWIFT_IDENT, &ret[i - 1]) &&
		    !swift_pop(s, SWIFT_MARK, &ret[i - 1]))
			s->failed = true;
	}
	*ret_n = n;
}

static void add_labels(struct swift *s, uint8_t n, const struct swift_node *labels, size_t n_labels)
{
	if (!s->labels)
		return;
	swift_adds(s, "(");
	for (size_t i = 0; i < n && !s->failed; i++) {
		if (n_labels && labels[i].kind == SWIFT_IDENT)
			swift_add_node(s, &labels[i]);
		else
			swift_adds(s, "_");
		swift_adds(s, ":");
	}
	swift_adds(s, ")");
}

static void add_member(struct swift *s, struct swift_node *n, const struct swift_node *context)
{
	*n = swift_node_begin(s, SWIFT_ENTITY);
	swift_add_node(s, context);
	swift_adds(s, ".");
}

static void function(struct swift *s)
{
	struct swift_node labels[UINT8_MAX], name, context, n;
	size_t n_labels;
	uint8_t params;

	(void)swift_drop(s, SWIFT_SIGNATURE);
	params = swift_take_function_type(s);
	take_labels(s, params, labels, &n_labels);
	name = swift_take(s, SWIFT_IDENT);
	context = swift_take_context(s);
	add_member(s, &n, &context);
	swift_add_node(s, &name);
	add_labels(s, params, labels, n_labels);
	swift_node_end(s, &n);
}

static void add_accessor(struct swift *s)
{
	static const char *const accessors[] = {"p",	       "g.getter",   "G.getter",
						"s.setter",    "M.modify",   "x.modify",
						"r.read",      "y.read",     "w.willset",
						"W.didset",    "i.init",     "m.materializeForSet",
						"a.addressor", "l.addressor"};
	char c = swift_next(s);
	const char *name = swift_name_of(accessors, ARRAY_SIZE(accessors), c);

	if (!name)
		s->failed = true;
	else
		swift_adds(s, name);
	if (c == 'a' || c == 'l')
		(void)swift_next(s);
}

static void variable(struct swift *s)
{
	struct swift_node name, context, n;

	(void)swift_drop(s, SWIFT_SIGNATURE);
	(void)swift_take(s, SWIFT_TYPE);
	(void)swift_drop(s, SWIFT_EMPTY);
	name = swift_take(s, SWIFT_IDENT);
	context = swift_take_context(s);
	add_member(s, &n, &context);
	swift_add_node(s, &name);
	add_accessor(s);
	swift_node_end(s, &n);
}

static void subscript(struct swift *s)
{
	struct swift_node labels[UINT8_MAX], context, n, type;
	size_t n_labels;

	(void)swift_drop(s, SWIFT_SIGNATURE);
	type = swift_take(s, SWIFT_TYPE);
	take_labels(s, type.n, labels, &n_labels);
	context = swift_take_context(s);
	add_member(s, &n, &context);
	swift_adds(s, "subscript");
	add_labels(s, type.n, labels, n_labels);
	add_accessor(s);
	swift_node_end(s, &n);
}

static void initializer(struct swift *s)
{
	struct swift_node labels[UINT8_MAX], context, n, type;
	size_t n_labels;

	(void)swift_drop(s, SWIFT_SIGNATURE);
	type = swift_take(s, SWIFT_TYPE);
	take_labels(s, type.n, labels, &n_labels);
	context = swift_take_context(s);
	add_member(s, &n, &context);
	swift_adds(s, "init");
	add_labels(s, type.n, labels, n_labels);
	swift_node_end(s, &n);
}

static void add_number(struct swift *s, int v)
{
	char digits[12];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	swift_add(s, digits + n, sizeof(digits) - n);
}

/* "closure #1 in f", "default argument 0 of f". */
static void numbered(struct swift *s, const char *what, int number, const char *of)
{
	struct swift_node context = swift_take_context(s), n = swift_node_begin(s, SWIFT_ENTITY);

	swift_adds(s, what);
	if (number >= 0)
		add_number(s, number);
	swift_adds(s, of);
	swift_add_node(s, &context);
	swift_node_end(s, &n);
}

static void member(struct swift *s, const char *what)
{
	struct swift_node context = swift_take_context(s), n;

	add_member(s, &n, &context);
	swift_adds(s, what);
	swift_node_end(s, &n);
}

static void function_entity(struct swift *s)
{
	char c = swift_next(s);
	int i;

	switch (c) {
	case 'C':
	case 'c':
		initializer(s);
		break;
	case 'D':
	case 'Z':
		member(s, "__deallocating_deinit");
		break;
	case 'd':
		member(s, "deinit");
		break;
	case 'E':
		member(s, "__ivar_destroyer");
		break;
	case 'e':
		member(s, "__ivar_initializer");
		break;
	case 'U':
	case 'u':
		i = swift_index_of(s);
		(void)swift_drop(s, SWIFT_SIGNATURE);
		(void)swift_take(s, SWIFT_TYPE);
		numbered(s, c == 'U' ? "closure #" : "implicit closure #", i + 1, " in ");
		break;
	case 'A':
		numbered(s, "default argument ", swift_index_of(s), " of ");
		break;
	case 'i':
		numbered(s, "variable initialization expression", -1, " of ");
		break;
	default:
		s->failed = true;
		break;
	}
}

static void extension(struct swift *s)
{
	struct swift_node type;

	(void)swift_drop(s, SWIFT_SIGNATURE);
	(void)swift_take_context(s);
	type = swift_take(s, SWIFT_TYPE);
	type.kind = SWIFT_ENTITY;
	swift_push(s, type);
}

/* ---- what the compiler makes for itself ---- */

/* Puts words before the last thing that has a name; what lies above it on the stack is how it was
 * specialized. */
static void describe(struct swift *s, const char *what, int number, const char *of)
{
	while (s->n_stack && s->stack[s->n_stack - 1].kind != SWIFT_ENTITY)
		s->n_stack--;
	numbered(s, what, number, of);
}

static void thunk(struct swift *s)
{
	static const char *const plain[] = {"Apartial apply for ",
					    "apartial apply for ",
					    "mmerged ",
					    "o@objc ",
					    "O@nonobjc ",
					    "Wprotocol witness for ",
					    "jdispatch thunk of ",
					    "Ddynamic ",
					    "ddirect method reference to ",
					    "uasync function pointer to ",
					    "iinlined ",
					    "gspecialized ",
					    "Gspecialized ",
					    "Bspecialized ",
					    "sspecialized ",
					    "fspecialized "};
	char c = swift_next(s);
	const char *name = swift_name_of(plain, ARRAY_SIZE(plain), c);

	if (c == 'R' || c == 'r') {
		swift_push_text(s, SWIFT_ENTITY, "reabstraction thunk helper");
	} else if (c == 'Q') {
		describe(s, "(", swift_index_of(s), ") await resume partial function for ");
	} else if (c == 'Y') {
		describe(s, "(", swift_index_of(s), ") suspend resume partial function for ");
	} else if (!name) {
		s->failed = true;
	} else {
		if (strchr("gGBsi", c)) {
			(void)swift_next_if(s, 'm');
			(void)swift_next_if(s, 'q');
			(void)swift_next_if(s, 'a');
			if (!swift_is_digit(swift_next(s)))
				s->failed = true;
		}
		s->done = c == 'f'; /* how its arguments were specialized fills the rest */
		describe(s, name, -1, "");
	}
}

static void of_type(struct swift *s, const char *what)
{
	struct swift_node type = {0};

	(void)swift_drop(s, SWIFT_SIGNATURE);
	type = swift_take(s, SWIFT_TYPE);
	type.kind = SWIFT_ENTITY;
	swift_push(s, type);
	numbered(s, what, -1, "");
}

static void witness(struct swift *s)
{
	static const char *const outlined[] = {
		"boutlined init with take of ",	  "coutlined init with copy of ",
		"doutlined assign with take of ", "foutlined assign with copy of ",
		"houtlined destroy of ",	  "routlined retain of ",
		"soutlined release of ",	  "youtlined copy of ",
		"eoutlined consume of "};
	const char *name = NULL;

	if (swift_next_if(s, 'l')) {
		s->n_stack = MIN(s->n_stack, 1u);
		name = "lazy protocol witness table accessor for type ";
		s->done = true;
	} else if (swift_next_if(s, 'O')) {
		name = swift_name_of(outlined, ARRAY_SIZE(outlined), swift_next(s));
	}
	if (name)
		of_type(s, name);
	else
		s->failed = true;
}

static void metadata(struct swift *s)
{
	static const char *const kinds[] = {"atype metadata accessor for ",
					    "rtype metadata completion function for ",
					    "itype metadata instantiation function for "};
	const char *name = swift_name_of(kinds, ARRAY_SIZE(kinds), swift_next(s));

	if (name)
		of_type(s, name);
	else
		s->failed = true;
}

/* A function's type as the optimizer knows it: only helpers between such types have it. */
static void optimizer_type(struct swift *s)
{
	const char *thunk_at = strstr(s->p, "TR");

	if (!thunk_at || thunk_at >= s->end) {
		s->failed = true;
		return;
	}
	s->p = thunk_at;
	s->n_stack = 0;
}

/* ---- the machine ---- */

static void throws(struct swift *s)
{
	swift_push_text(s, SWIFT_ANNOTATION, "");
}

static void is_static(struct swift *s)
{
}

static void any_of_protocols(struct swift *s)
{
	swift_protocol_list(s);
	swift_push_text(s, SWIFT_TYPE, "any");
}

static void dependent_type(struct swift *s)
{
	swift_generic_parameter(s);
	swift_push_text(s, SWIFT_TYPE, "generic parameter");
}

static void first_parameter(struct swift *s)
{
	swift_push_text(s, SWIFT_TYPE, "generic parameter");
}

static void swift_module(struct swift *s)
{
	swift_push_text(s, SWIFT_MODULE, "Swift");
}

static void empty_list(struct swift *s)
{
	swift_push_text(s, SWIFT_EMPTY, "");
}

static void first_element(struct swift *s)
{
	swift_push_text(s, SWIFT_MARK, "");
}

static void variadic(struct swift *s)
{
	swift_push_text(s, SWIFT_VARIADIC, "");
}

static void generic_type(struct swift *s)
{
	(void)swift_take(s, SWIFT_SIGNATURE);
	swift_push(s, swift_take(s, SWIFT_TYPE));
}

/* Metatypes, inout and the conventions of one parameter. */
static void qualified_type(struct swift *s)
{
	struct swift_node type = swift_take(s, SWIFT_TYPE);

	type.n = 1;
	swift_push(s, type);
}

static void (*const operators[128])(struct swift *s) = {
	['A'] = swift_substitutions,
	['B'] = swift_builtin,
	['C'] = swift_nominal,
	['E'] = extension,
	['F'] = function,
	['G'] = swift_bound_generic,
	['I'] = optimizer_type,
	['K'] = throws,
	['L'] = swift_local_name,
	['M'] = metadata,
	['O'] = swift_nominal,
	['P'] = swift_nominal,
	['Q'] = swift_archetype,
	['R'] = swift_requirement,
	['S'] = swift_standard,
	['T'] = thunk,
	['V'] = swift_nominal,
	['W'] = witness,
	['X'] = swift_special_type,
	['Y'] = swift_annotation,
	['Z'] = is_static,
	['_'] = first_element,
	['a'] = swift_nominal,
	['c'] = swift_function_type,
	['d'] = variadic,
	['f'] = function_entity,
	['h'] = qualified_type,
	['i'] = subscript,
	['l'] = swift_signature,
	['m'] = qualified_type,
	['n'] = qualified_type,
	['o'] = swift_operator_name,
	['p'] = any_of_protocols,
	['q'] = dependent_type,
	['r'] = swift_signature_with_counts,
	['s'] = swift_module,
	['t'] = swift_tuple,
	['u'] = generic_type,
	['v'] = variable,
	['x'] = first_parameter,
	['y'] = empty_list,
	['z'] = qualified_type,
};

static void step(struct swift *s)
{
	unsigned char c = (unsigned char)*s->p;

	if (swift_is_digit(*s->p)) {
		swift_identifier(s);
	} else if (c < ARRAY_SIZE(operators) && operators[c]) {
		s->p++;
		operators[c](s);
	} else {
		s->failed = true;
	}
}

static const char *skip_prefix(const char *name)
{
	if (!strncmp(name, "_T0", 3))
		return name + 3;
	name += *name == '_';
	if (name[0] == '$' && (name[1] == 's' || name[1] == 'S' || name[1] == 'e'))
		return name + 2;
	return NULL;
}

bool demangle_swift(const char *name, bool labels, struct buf *to)
{
	const char *p = skip_prefix(name), *dot;
	struct swift_node result;
	struct swift s;

	if (!p)
		return false;
	dot = strchr(p, '.');
	s.p = p;
	s.end = dot ? dot : p + strlen(p);
	s.labels = labels && strncmp(name, "_T0", 3) != 0;
	s.old = !strncmp(name, "_T0", 3);
	s.failed = s.done = false;
	s.n_stack = s.n_subst = s.n_words = s.n_text = 0;
	while (s.p < s.end && !s.failed && !s.done)
		step(&s);
	if (s.failed || !swift_pop(&s, SWIFT_ENTITY, &result))
		return false;
	buf_add(to, s.text + result.at, result.bytes);
	if (dot)
		buf_adds(to, dot);
	return !to->failed;
}
