/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers, types and generic signatures: of most of it only that it is there matters. */
#include "symbolizer/demangle_swift_internal.h"

#include <string.h>

/* ---- identifiers ---- */

/* The words of an identifier can be used again by their number. */
static void add_words(struct swift *s, const char *p, size_t n)
{
	size_t start = SIZE_MAX;

	for (size_t i = 0; i <= n; i++) {
		char c = i < n ? p[i] : '\0';

		if (start != SIZE_MAX &&
		    (!c || c == '_' || (!swift_is_upper(p[i - 1]) && swift_is_upper(c)))) {
			if (i - start >= 2 && s->n_words < SWIFT_WORDS_MAX) {
				s->words[s->n_words].s = p + start;
				s->words[s->n_words++].n = i - start;
			}
			start = SIZE_MAX;
		}
		if (start == SIZE_MAX && c && c != '_' && !swift_is_digit(c))
			start = i;
	}
}

static void add_word(struct swift *s, size_t i)
{
	if (i < s->n_words)
		swift_add(s, s->words[i].s, s->words[i].n);
	else
		s->failed = true;
}

void swift_identifier(struct swift *s)
{
	struct swift_node n = swift_node_begin(s, SWIFT_IDENT);
	bool words = swift_next_if(s, '0');

	/* "00" is Punycode. */
	if (words && s->p < s->end && *s->p == '0')
		s->failed = true;
	do {
		int bytes;

		while (words && s->p < s->end && (swift_is_lower(*s->p) || swift_is_upper(*s->p))) {
			char c = *s->p++;

			words = swift_is_lower(c);
			add_word(s, (size_t)(c - (swift_is_lower(c) ? 'a' : 'A')));
		}
		if (swift_next_if(s, '0'))
			break;
		bytes = swift_natural(s);
		if (bytes <= 0 || bytes > s->end - s->p) {
			s->failed = true;
			return;
		}
		swift_add(s, s->p, (size_t)bytes);
		add_words(s, s->p, (size_t)bytes);
		s->p += bytes;
	} while (words);
	swift_node_end(s, &n);
	swift_remember(s);
}

/* Operators are spelled with letters. */
void swift_operator_name(struct swift *s)
{
	static const char chars[] = "& @/= >    <*!|+?%-~   ^ .";
	struct swift_node from = swift_take(s, SWIFT_IDENT), n = swift_node_begin(s, SWIFT_IDENT);
	char fix = swift_next(s);

	for (size_t i = 0; i < from.bytes && !s->failed; i++) {
		char c = s->text[from.at + i];

		c = swift_is_lower(c) ? chars[c - 'a'] : c;
		swift_add(s, &c, 1);
	}
	swift_adds(s, fix == 'p' ? " prefix" : fix == 'P' ? " postfix" : " infix");
	swift_node_end(s, &n);
}

void swift_local_name(struct swift *s)
{
	struct swift_node name;

	/* A name that is private to a file: its file's hash is of no use to people. */
	if (swift_next_if(s, 'L')) {
		(void)swift_take(s, SWIFT_IDENT);
		return;
	}
	if (swift_next_if(s, 'l')) {
		(void)swift_take(s, SWIFT_IDENT);
		return;
	}
	if (s->p < s->end && (swift_is_lower(*s->p) || swift_is_upper(*s->p))) {
		s->p++;
		return;
	}
	(void)swift_index_of(s);
	name = swift_take(s, SWIFT_IDENT);
	swift_push(s, name);
}

/* ---- types ---- */

static const char *const standard_types[] = {"AAutoreleasingUnsafeMutablePointer",
					     "aArray",
					     "bBool",
					     "cUnicodeScalar",
					     "DDictionary",
					     "dDouble",
					     "fFloat",
					     "hSet",
					     "IDefaultIndices",
					     "iInt",
					     "JCharacter",
					     "NClosedRange",
					     "nRange",
					     "OObjectIdentifier",
					     "PUnsafePointer",
					     "pUnsafeMutablePointer",
					     "RUnsafeBufferPointer",
					     "rUnsafeMutableBufferPointer",
					     "SString",
					     "sSubstring",
					     "uUInt",
					     "VUnsafeRawPointer",
					     "vUnsafeMutableRawPointer",
					     "WUnsafeRawBufferPointer",
					     "wUnsafeMutableRawBufferPointer",
					     "qOptional",
					     "BBinaryFloatingPoint",
					     "EEncodable",
					     "eDecodable",
					     "FFloatingPoint",
					     "GRandomNumberGenerator",
					     "HHashable",
					     "jNumeric",
					     "KBidirectionalCollection",
					     "kRandomAccessCollection",
					     "LComparable",
					     "lCollection",
					     "MMutableCollection",
					     "mRangeReplaceableCollection",
					     "QEquatable",
					     "TSequence",
					     "tIteratorProtocol",
					     "UUnsignedInteger",
					     "XRangeExpression",
					     "xStrideable",
					     "YRawRepresentable",
					     "yStringProtocol",
					     "ZSignedInteger",
					     "zBinaryInteger"};

/* Behind 'c': the concurrency library. */
static const char *const concurrency_types[] = {"AActor",
						"CCheckedContinuation",
						"cUnsafeContinuation",
						"ECancellationError",
						"FExecutor",
						"fSerialExecutor",
						"GTaskGroup",
						"gThrowingTaskGroup",
						"hTaskLocal",
						"IAsyncIteratorProtocol",
						"iAsyncSequence",
						"JUnownedJob",
						"MMainActor",
						"PTaskPriority",
						"SAsyncStream",
						"sAsyncThrowingStream",
						"TTask",
						"tUnsafeCurrentTask",
						"eUnownedSerialExecutor"};

static void push_standard(struct swift *s, const char *name)
{
	struct swift_node n = swift_node_begin(s, SWIFT_TYPE);

	swift_adds(s, "Swift.");
	swift_adds(s, name);
	swift_node_end(s, &n);
}

void swift_standard(struct swift *s)
{
	const char *name;
	int times;

	if (swift_next_if(s, 'o')) {
		swift_push_text(s, SWIFT_MODULE, "__C");
		return;
	}
	if (swift_next_if(s, 'C')) {
		swift_push_text(s, SWIFT_MODULE, "__C_Synthesized");
		return;
	}
	if (swift_next_if(s, 'g')) {
		swift_push(s, swift_take(s, SWIFT_TYPE)); /* Optional<T> */
		swift_remember(s);
		return;
	}
	times = swift_natural(s);
	/* A UnicodeScalar is followed by something else. */
	name = s->end - s->p > 1 && *s->p == 'c'
		       ? swift_name_of(concurrency_types, ARRAY_SIZE(concurrency_types), s->p[1])
		       : NULL;
	s->p += name ? 2 : 0;
	if (!name)
		name = swift_name_of(standard_types, ARRAY_SIZE(standard_types), swift_next(s));
	if (!name) {
		s->failed = true;
		return;
	}
	for (int i = 0; i < MAX(times, 1) && !s->failed; i++)
		push_standard(s, name);
}

static void substitute(struct swift *s, size_t index, int times)
{
	for (int i = 0; i < MAX(times, 1) && !s->failed; i++) {
		if (index < s->n_subst)
			swift_push(s, s->subst[index]);
		else
			s->failed = true;
	}
}

/* "AbC": substitutions 1 and 2; a number before a letter repeats it; "A3_": a large index. */
void swift_substitutions(struct swift *s)
{
	int times = -1;

	while (!s->failed) {
		char c = swift_next(s);

		if (swift_is_lower(c)) {
			substitute(s, (size_t)(c - 'a'), times);
		} else if (swift_is_upper(c)) {
			substitute(s, (size_t)(c - 'A'), times);
			return;
		} else if (c == '_') {
			substitute(s, (size_t)(times + 27), 1);
			return;
		} else if (swift_is_digit(c)) {
			s->p--;
			times = swift_natural(s);
			continue;
		} else {
			s->failed = true;
		}
		times = -1;
	}
}

/* Context and name become a type. */
void swift_nominal(struct swift *s)
{
	struct swift_node name = swift_take(s, SWIFT_IDENT), context = swift_take_context(s),
			  n = swift_node_begin(s, SWIFT_TYPE);

	swift_add_node(s, &context);
	swift_adds(s, ".");
	swift_add_node(s, &name);
	swift_node_end(s, &n);
	swift_remember(s);
}

static void take_protocol(struct swift *s)
{
	if (swift_drop(s, SWIFT_TYPE))
		return;
	(void)swift_take(s, SWIFT_IDENT);
	(void)swift_take_context(s);
}

void swift_generic_parameter(struct swift *s)
{
	if (swift_next_if(s, 'd')) {
		(void)swift_index_of(s);
		(void)swift_index_of(s);
	} else if (!swift_next_if(s, 'z') && !swift_next_if(s, 's')) {
		(void)swift_index_of(s);
	}
}

static void take_associated_name(struct swift *s)
{
	(void)swift_drop(s, SWIFT_TYPE); /* its protocol */
	(void)swift_take(s, SWIFT_IDENT);
}

static void take_associated_names(struct swift *s)
{
	bool first = false;

	while (!first && !s->failed) {
		first = swift_drop(s, SWIFT_MARK);
		take_associated_name(s);
	}
}

void swift_bound_generic(struct swift *s)
{
	while (!s->failed) {
		while (swift_drop(s, SWIFT_TYPE))
			;
		if (swift_drop(s, SWIFT_EMPTY))
			break;
		(void)swift_take(s, SWIFT_MARK);
	}
	swift_push(s, swift_take(s, SWIFT_TYPE));
	swift_remember(s);
}

/* 'Q': types of generic types, results that are not named. */
void swift_archetype(struct swift *s)
{
	char c = swift_next(s);

	switch (c) {
	case 'y':
		swift_generic_parameter(s);
		take_associated_name(s);
		break;
	case 'z':
		take_associated_name(s);
		break;
	case 'Y':
		swift_generic_parameter(s);
		take_associated_names(s);
		break;
	case 'Z':
		take_associated_names(s);
		break;
	case 'x':
		take_associated_name(s);
		(void)swift_take(s, SWIFT_TYPE);
		break;
	case 'X':
		take_associated_names(s);
		(void)swift_take(s, SWIFT_TYPE);
		break;
	case 'r':
		swift_push_text(s, SWIFT_TYPE, "some");
		return;
	case 'R':
		(void)swift_index_of(s);
		swift_push_text(s, SWIFT_TYPE, "some");
		return;
	case 'O':
		(void)swift_take_context(s);
		swift_push_text(s, SWIFT_TYPE, "some");
		return;
	case 'o':
		(void)swift_index_of(s);
		swift_bound_generic(s);
		return;
	case 'p':
		(void)swift_take(s, SWIFT_TYPE);
		(void)swift_take(s, SWIFT_TYPE);
		swift_push_text(s, SWIFT_TYPE, "each");
		return;
	default:
		s->failed = true;
		return;
	}
	swift_push_text(s, SWIFT_TYPE, "associated type");
	swift_remember(s);
}

void swift_tuple(struct swift *s)
{
	struct swift_node n = swift_node_begin(s, SWIFT_TYPE);
	bool first = swift_drop(s, SWIFT_EMPTY);

	n.n = 0;
	while (!first && !s->failed) {
		first = swift_drop(s, SWIFT_MARK);
		(void)swift_drop(s, SWIFT_VARIADIC);
		(void)swift_drop(s, SWIFT_IDENT);
		(void)swift_take(s, SWIFT_TYPE);
		n.n++;
	}
	swift_node_end(s, &n);
}

void swift_protocol_list(struct swift *s)
{
	bool first = swift_drop(s, SWIFT_EMPTY);

	while (!first && !s->failed) {
		first = swift_drop(s, SWIFT_MARK);
		take_protocol(s);
	}
}

static uint8_t take_list(struct swift *s)
{
	return swift_drop(s, SWIFT_EMPTY) ? 0 : swift_take(s, SWIFT_TYPE).n;
}

uint8_t swift_take_function_type(struct swift *s)
{
	uint8_t n;

	while (swift_drop(s, SWIFT_ANNOTATION))
		;
	n = take_list(s);
	(void)take_list(s);
	return n;
}

void swift_function_type(struct swift *s)
{
	struct swift_node n = swift_node_begin(s, SWIFT_TYPE);

	n.n = swift_take_function_type(s);
	swift_adds(s, "function");
	swift_node_end(s, &n);
}

/* 'X': conventions of functions, references, existential types. */
void swift_special_type(struct swift *s)
{
	char c = swift_next(s);

	switch (c) {
	case 'E':
	case 'A':
	case 'f':
	case 'K':
	case 'U':
	case 'L':
	case 'B':
	case 'C':
		swift_function_type(s);
		break;
	case 'o':
	case 'u':
	case 'w':
	case 'D':
	case 'p':
		swift_push(s, swift_take(s, SWIFT_TYPE));
		break;
	case 'M':
	case 'm':
		(void)swift_next(s);
		swift_push(s, swift_take(s, SWIFT_TYPE));
		break;
	case 'c':
		(void)swift_take(s, SWIFT_TYPE);
		swift_protocol_list(s);
		swift_push_text(s, SWIFT_TYPE, "any");
		break;
	case 'l':
		swift_protocol_list(s);
		swift_push_text(s, SWIFT_TYPE, "any");
		break;
	default:
		s->failed = true;
		break;
	}
}

/* 'Y': what functions and parameters are marked with. */
void swift_annotation(struct swift *s)
{
	char c = swift_next(s);

	switch (c) {
	case 'j':
		(void)swift_next(s);
		swift_push_text(s, SWIFT_ANNOTATION, "");
		break;
	case 'c':
	case 'K':
		(void)swift_take(s, SWIFT_TYPE);
		swift_push_text(s, SWIFT_ANNOTATION, "");
		break;
	case 'a':
	case 'b':
	case 'A':
	case 'C':
	case 'T':
		swift_push_text(s, SWIFT_ANNOTATION, "");
		break;
	case 'i':
	case 'k':
	case 't':
	case 'u':
		swift_push(s, swift_take(s, SWIFT_TYPE));
		break;
	default:
		s->failed = true;
		break;
	}
}

void swift_builtin(struct swift *s)
{
	char c = swift_next(s);

	if (c == 'i' || c == 'f') {
		(void)swift_index_of(s);
	} else if (c == 'v') {
		(void)swift_index_of(s);
		(void)swift_take(s, SWIFT_TYPE);
	} else if (!c || !strchr("bBODdecjoptw", c)) {
		s->failed = true;
	}
	swift_push_text(s, SWIFT_TYPE, "Builtin");
}

/* ---- generic signatures ---- */

void swift_requirement(struct swift *s)
{
	char c = swift_next(s);
	bool layout = c == 'l' || c == 'L' || c == 'm' || c == 'M';

	if (c == 'i')
		(void)swift_index_of(s);
	switch (c) {
	case 'c':
	case 't':
	case 'p':
	case 'm':
		swift_generic_parameter(s);
		take_associated_name(s);
		break;
	case 'C':
	case 'T':
	case 'P':
	case 'M':
		swift_generic_parameter(s);
		take_associated_names(s);
		break;
	case 'B':
	case 'S':
	case 'Q':
	case 'L':
		(void)swift_take(s, SWIFT_TYPE);
		break;
	case 'b':
	case 's':
	case 'l':
	case 'h':
	case 'i':
	case 'v':
		swift_generic_parameter(s);
		break;
	default:
		s->p--;
		swift_generic_parameter(s);
		break;
	}
	if (c && strchr("cCtTpPmM", c)) {
		swift_push_text(s, SWIFT_TYPE, "associated type");
		swift_remember(s);
		(void)swift_take(s, SWIFT_TYPE);
	}
	if (layout) {
		c = swift_next(s);
		if (c == 'E' || c == 'M')
			(void)swift_index_of(s);
		if (c && strchr("EeMm", c))
			(void)swift_index_of(s);
	} else if (c && strchr("cCbBtTsSh", c)) {
		(void)swift_take(s, SWIFT_TYPE);
	} else if (c != 'i' && c != 'v') {
		take_protocol(s);
	}
	swift_push_text(s, SWIFT_REQUIREMENT, "");
}

void swift_signature(struct swift *s)
{
	while (swift_drop(s, SWIFT_REQUIREMENT))
		;
	swift_push_text(s, SWIFT_SIGNATURE, "");
}

void swift_signature_with_counts(struct swift *s)
{
	while (!s->failed && !swift_next_if(s, 'l')) {
		if (!swift_next_if(s, 'z'))
			(void)swift_index_of(s);
	}
	swift_signature(s);
}
