/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/demangle.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void shows_as_much_of_cxx_as_the_mode_asks_for(void **state)
{
	static const struct {
		const char *name, *simplified, *templates, *full;
	} cases[] = {
		{"_ZN1AIiE3addEi", "A::add", "A<int>::add", "A<int>::add(int)"},
		{"_ZZN1AIiE3addEiENKUlvE_clEv", "A::add::{lambda()#1}::operator()",
		 "A<int>::add::{lambda()#1}::operator()",
		 "A<int>::add(int)::{lambda()#1}::operator()() const"},
		{"_ZNKSt8functionIFiiEEclEi", "std::function::operator()",
		 "std::function<int (int)>::operator()",
		 "std::function<int (int)>::operator()(int) const"},
		{"_ZN12_GLOBAL__N_13fooEi", "(anonymous namespace)::foo",
		 "(anonymous namespace)::foo", "(anonymous namespace)::foo(int)"},
		{"_ZN3FooIXgtLi3ELi2EEE3barEv", "Foo::bar", "Foo<((3)>(2))>::bar",
		 "Foo<((3)>(2))>::bar()"},
		{"_ZN1AltERKS_", "A::operator<", "A::operator<", "A::operator<(A const&)"},
		{"_ZStlsISt11char_traitsIcEERSt13basic_ostreamIcT_ES5_PKc", "std::operator<<",
		 "std::operator<< <std::char_traits<char> >",
		 "std::basic_ostream<char, std::char_traits<char> >& std::operator<< "
		 "<std::char_traits<char> >(std::basic_ostream<char, std::char_traits<char> >&, "
		 "char const*)"},
		{"_Z1fIiEvT_", "f", "f<int>", "void f<int>(int)"},
		{"_Znwm@plt", "operator new@plt", "operator new@plt",
		 "operator new(unsigned long)@plt"},
		{"_Z3fooi.part.0", "foo.part.0", "foo.part.0", "foo(int) [clone .part.0]"},
		{"_ZN1AIiE3addEi.constprop.0.cold", "A::add.constprop.0.cold",
		 "A<int>::add.constprop.0.cold",
		 "A<int>::add(int) [clone .constprop.0] [clone .cold]"},
		{"_Z3fooi.lto_priv.0.cold", "foo.cold", "foo.cold",
		 "foo(int) [clone .lto_priv.0] [clone .cold]"},
	};
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *name = cases[i].name;

		assert_string_equal(demangle(name, DEMANGLE_NONE, &b), name);
		assert_string_equal(demangle(name, DEMANGLE_SIMPLIFIED, &b), cases[i].simplified);
		assert_string_equal(demangle(name, DEMANGLE_TEMPLATES, &b), cases[i].templates);
		assert_string_equal(demangle(name, DEMANGLE_FULL, &b), cases[i].full);
	}
	buf_done(&b);
}

static void shows_rust_and_d_without_hashes(void **state)
{
	static const char *const cases[][2] = {
		{"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"},
		{"_ZN63_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..iter..Extend$GT$"
		 "6extend17h0123456789abcdefE.llvm.123456",
		 "<alloc::vec::Vec<T> as core::iter::Extend>::extend"},
		{"_RNvMs_NtCsd4VYFwevHkG_4core3fmtNtB4_9Formatter3pad",
		 "<core::fmt::Formatter>::pad"},
		{"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE.cold",
		 "core::fmt::Formatter::pad.cold"},
		{"_RNvMs_NtCsd4VYFwevHkG_4core3fmtNtB4_9Formatter3pad.llvm.123",
		 "<core::fmt::Formatter>::pad"},
		{"_D4test3fooFZv", "test.foo()"},
	};
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(demangle(cases[i][0], DEMANGLE_SIMPLIFIED, &b), cases[i][1]);
		assert_string_equal(demangle(cases[i][0], DEMANGLE_FULL, &b), cases[i][1]);
	}
	buf_done(&b);
}

/* Names of swift's test/Demangle/Inputs/manglings.txt, shown without types. */
static void shows_what_swift_names_name(void **state)
{
	static const char *const cases[][2] = {
		{"$s4main3FooV3baryS2iF", "main.Foo.bar(_:)"},
		{"$s4main3FooC5countSivg", "main.Foo.count.getter"},
		{"$s4main3FooCfD", "main.Foo.__deallocating_deinit"},
		{"$s4main3FooCMa", "type metadata accessor for main.Foo"},
		{"$s10Foundation4DataV4mainE5helloyyF", "Foundation.Data.hello()"},
		{"_$s3foo3barC3bas3zimyAaEC_tFTo", "@objc foo.bar.bas(zim:)"},
		{"$s4main3fooyySiFyyXEfU_TA", "partial apply for closure #1 in main.foo(_:)"},
		{"$S3nix8MystructV1xACyxGx_tcfc", "nix.Mystruct.init(x:)"},
		{"$S3nix8MystructVyS2icig", "nix.Mystruct.subscript(_:).getter"},
		{"_$S8mangling14varargsVsArray3arr1nySid_SStF", "mangling.varargsVsArray(arr:n:)"},
		{"_$Ss10DictionaryV3t17E6Index2V1loiySbAEyxq__G_AGtFZ",
		 "Swift.Dictionary.Index2.< infix(_:_:)"},
		{"_$"
		 "Ss17MutableCollectionP1asAARzs012RandomAccessB0RzsAA11SubSequences013Bidirectiona"
		 "lB0PRpzsAdHRQlE06rotatecD015shiftingToStart5Indexs01_A9IndexablePQzAN_tFAKs01_"
		 "M4Bas"
		 "ePQzAQcfU_",
		 "closure #1 in Swift.MutableCollection.rotateRandomAccess(shiftingToStart:)"},
		{"$s5Actor02MyA0C17testAsyncFunctionyyYaKFTY0_",
		 "(1) suspend resume partial function for Actor.MyActor.testAsyncFunction()"},
		{"$sSUss17FixedWidthIntegerRzrlEyxqd__cSzRd__lufCSu_SiTgm5",
		 "specialized Swift.UnsignedInteger.init(_:)"},
		{"_T04main1_yyF", "main._"},
		{"_T0s24_UnicodeScalarExceptions33_0E4228093681F6920F0AB2E48B4F1C69LLVACycfC",
		 "Swift._UnicodeScalarExceptions.init"},
	};
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(demangle(cases[i][0], DEMANGLE_FULL, &b), cases[i][1]);
	assert_string_equal(demangle(cases[0][0], DEMANGLE_SIMPLIFIED, &b), "main.Foo.bar");
	buf_done(&b);
}

static void shows_ocaml_and_go(void **state)
{
	static const char *const cases[][3] = {
		{"camlStdlib__List__map_498", "Stdlib.List.map", "Stdlib.List.map"},
		{"camlStdlib__List.map_498", "Stdlib.List.map", "Stdlib.List.map"},
		{"camlMain__fun_123", "Main.fun", "Main.fun"},
		{"camlMain__go$27_12", "Main.go'", "Main.go'"},
		{"camlFoo", "camlFoo", "camlFoo"},
		{"caml_alloc_shr", "caml_alloc_shr", "caml_alloc_shr"},
		{"main.Map[go.shape.int_0,go.shape.string_1]", "main.Map[...]",
		 "main.Map[int,string]"},
		{"main.(*tree[go.shape.[]string]).add", "main.(*tree[...]).add",
		 "main.(*tree[[]string]).add"},
		{"main.f[go.shape.int].func1", "main.f[...].func1", "main.f[int].func1"},
		{"main.(*tree[...]).add", "main.(*tree[...]).add", "main.(*tree[...]).add"},
		{"main.f[go.shape.int", "main.f[go.shape.int", "main.f[go.shape.int"},
	};
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(demangle(cases[i][0], DEMANGLE_SIMPLIFIED, &b), cases[i][1]);
		assert_string_equal(demangle(cases[i][0], DEMANGLE_FULL, &b), cases[i][2]);
	}
	buf_done(&b);
}

static void leaves_other_names_alone(void **state)
{
	static const char *const names[] = {
		"",
		"_",
		"main",
		"_start",
		"__libc_start_main",
		"_Z",
		"_ZN",
		"_R",
		"_D",
		"_DYNAMIC",
		"runtime.(*mheap).alloc[...]",
		"_ZN1",
		"@plt",
		"_Z@plt",
		"_GLOBAL_OFFSET_TABLE_",
		"$s",
		"$s4main",
		"$s4main3FooV3bar",
		"$sAA",
		"$s99999999999999999999a",
		"_T0",
		"caml",
		"a[0]",
	};
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(demangle(names[i], DEMANGLE_FULL, &b), names[i]);
	buf_done(&b);
}

/* Base-36 or base-62 numbers of back references: none for 0, else one less. */
static void add_number(struct buf *b, size_t n, unsigned int base)
{
	static const char cxx[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char rust[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *digits = base == 36 ? cxx : rust;

	if (n > base)
		buf_add_u8(b, (uint8_t)digits[(n - 1) / base % base]);
	if (n)
		buf_add_u8(b, (uint8_t)digits[(n - 1) % base]);
	buf_add_u8(b, '_');
}

static void leaves_names_alone_that_would_unfold_without_end(void **state)
{
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX), name = BUF_INIT(4096);
	size_t at;

	/* Each argument is a template of twice the argument before it. */
	buf_adds(&name, "_Z1f1AI1B1BE");
	for (size_t i = 2; i < 120; i++) {
		buf_adds(&name, "S_IS");
		add_number(&name, i, 36);
		buf_adds(&name, "S");
		add_number(&name, i, 36);
		buf_adds(&name, "E");
	}
	assert_ptr_equal(demangle(buf_cstr(&name), DEMANGLE_FULL, &b), buf_cstr(&name));
	/* The same with Rust's tuples. */
	buf_reset(&name);
	buf_adds(&name, "_RINvC1a1bTmmE");
	at = 8;
	for (size_t i = 0; i < 60; i++) {
		size_t here = name.len - 2;

		buf_adds(&name, "TB");
		add_number(&name, at, 62);
		buf_adds(&name, "B");
		add_number(&name, at, 62);
		buf_adds(&name, "E");
		at = here;
	}
	buf_adds(&name, "E");
	assert_ptr_equal(demangle(buf_cstr(&name), DEMANGLE_FULL, &b), buf_cstr(&name));
	buf_done(&name);
	buf_done(&b);
}

static void leaves_names_alone_that_would_take_hours(void **state)
{
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX), name = BUF_INIT(4096);

	/* libiberty's D demangler takes twice as long for each class more. */
	buf_adds(&name, "_D1a1bF");
	for (int i = 0; i < 80; i++)
		buf_adds(&name, "YC1a1b");
	assert_ptr_equal(demangle(buf_cstr(&name), DEMANGLE_FULL, &b), buf_cstr(&name));
	buf_done(&name);
	buf_done(&b);
}

static void shows_names_of_more_than_a_kibibyte(void **state)
{
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX), name = BUF_INIT(8192);
	const char *shown;

	buf_adds(&name, "_Z4joinISt5tupleIJ");
	for (int i = 0; i < 300; i++)
		buf_adds(&name, "4item");
	buf_adds(&name, "EEEvT_");
	assert_string_equal(demangle(buf_cstr(&name), DEMANGLE_SIMPLIFIED, &b), "join");
	shown = demangle(buf_cstr(&name), DEMANGLE_FULL, &b);
	assert_memory_equal(shown, "void join<std::tuple<item", 25);
	buf_reset(&name);
	for (int i = 0; i < 4097; i++)
		buf_adds(&name, i == 0 ? "_" : i == 1 ? "Z" : i == 2 ? "1" : i == 3 ? "f" : "i");
	assert_ptr_equal(demangle(buf_cstr(&name), DEMANGLE_FULL, &b), buf_cstr(&name));
	buf_done(&name);
	buf_done(&b);
}

/* What nests deepest in each language, 4 KiB of it. */
static void *demangle_hostile(void *unused)
{
	static const char *const starts[] = {"_Z1f", "_Z",	 "_Z1fI",   "_ZN",
					     "_RNv", "_RIC1a1b", "_D1a1bF", "$s",
					     "$s1a", "_T0",	 "camlA",   "a[go.shape."};
	static const char *const units[] = {
		"P",	  "K",	"1aI",	"N1aI", "FvP",	"A_",	"M1a",	 "U1a",	      "XadL_Z1f",
		"Dp",	  "O",	"cv",	"1aIX", "XcvT", "DTXL", "Z",	 "ZN",	      "1aIJ",
		"1aIXst", "T_", "Dv4_", "S_",	"R",	"C",	"NvC1a", "INvC1a1bT", "T",
		"A",	  "FK", "D",	"YNt",	"F",	"AyA",	"y",	 "x_t",	      "Sg",
		"A9a",	  "I",	"L_",	"__a",	"[",	"Q",	"G"};
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX), name = BUF_INIT(4096);

	for (size_t i = 0; i < ARRAY_SIZE(starts) * ARRAY_SIZE(units); i++) {
		const char *unit = units[i / ARRAY_SIZE(starts)];

		buf_reset(&name);
		buf_adds(&name, starts[i % ARRAY_SIZE(starts)]);
		while (name.len + strlen(unit) < 4090)
			buf_adds(&name, unit);
		for (int mode = DEMANGLE_SIMPLIFIED; mode <= DEMANGLE_FULL; mode++)
			(void)demangle(buf_cstr(&name), (enum demangle_mode)mode, &b);
	}
	buf_done(&name);
	buf_done(&b);
	return NULL;
}

static void needs_a_small_stack_for_any_name(void **state)
{
	/* Frames are several times as large with AddressSanitizer. */
	size_t stack_bytes = 8u << 20;
	pthread_attr_t attr;
	pthread_t thread;

#if !defined(__SANITIZE_ADDRESS__)
	stack_bytes = 1u << 20;
#endif
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstacksize(&attr, stack_bytes), 0);
	assert_int_equal(pthread_create(&thread, &attr, demangle_hostile, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
}

static void knows_the_modes_by_name(void **state)
{
	enum demangle_mode mode = DEMANGLE_NONE;

	assert_int_equal(demangle_mode_parse("templates", &mode), 0);
	assert_int_equal(mode, DEMANGLE_TEMPLATES);
	assert_int_equal(demangle_mode_parse("", &mode), -EINVAL);
	assert_int_equal(demangle_mode_parse("Full", &mode), -EINVAL);
	assert_int_equal(mode, DEMANGLE_TEMPLATES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_as_much_of_cxx_as_the_mode_asks_for),
		cmocka_unit_test(shows_rust_and_d_without_hashes),
		cmocka_unit_test(shows_what_swift_names_name),
		cmocka_unit_test(shows_ocaml_and_go),
		cmocka_unit_test(leaves_other_names_alone),
		cmocka_unit_test(leaves_names_alone_that_would_unfold_without_end),
		cmocka_unit_test(leaves_names_alone_that_would_take_hours),
		cmocka_unit_test(shows_names_of_more_than_a_kibibyte),
		cmocka_unit_test(needs_a_small_stack_for_any_name),
		cmocka_unit_test(knows_the_modes_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
