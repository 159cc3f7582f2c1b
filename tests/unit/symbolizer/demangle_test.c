/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/demangle.h"

#include <errno.h>
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
		{"_Z3fooi.part.0", "foo", "foo", "foo(int) [clone .part.0]"},
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
		{"_D4test3fooFZv", "test.foo()"},
	};
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(demangle(cases[i][0], DEMANGLE_SIMPLIFIED, &b), cases[i][1]);
		assert_string_equal(demangle(cases[i][0], DEMANGLE_FULL, &b), cases[i][1]);
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

static void leaves_long_names_alone(void **state)
{
	struct buf b = BUF_INIT(DEMANGLE_BUF_MAX);
	char name[6000];

	for (size_t n = 100; n < sizeof(name); n += 700) {
		memset(name, 'P', n);
		memcpy(name, "_Z1f", 4);
		name[n - 1] = 'i';
		name[n] = '\0';
		if (n > 4096)
			assert_ptr_equal(demangle(name, DEMANGLE_FULL, &b), name);
		else
			assert_true(strlen(demangle(name, DEMANGLE_FULL, &b)) <= DEMANGLE_BUF_MAX);
	}
	buf_done(&b);
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
		cmocka_unit_test(leaves_other_names_alone),
		cmocka_unit_test(leaves_names_alone_that_would_unfold_without_end),
		cmocka_unit_test(leaves_long_names_alone),
		cmocka_unit_test(knows_the_modes_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
