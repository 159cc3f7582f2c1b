/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/kallsyms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/bpf.h>

static struct kallsyms *parse(const char *text)
{
	struct kallsyms *k = NULL;

	assert_int_equal(kallsyms_parse(text, strlen(text), &k), 0);
	return k;
}

static const char *at(struct kallsyms *k, uint64_t addr)
{
	static char s[256];
	struct kallsyms_hit hit;

	if (kallsyms_lookup(k, addr, &hit) < 0)
		return "-";
	(void)snprintf(s, sizeof(s), "%s %s %lu", hit.name, hit.module, (unsigned long)hit.offset);
	return s;
}

static void names_kernel_modules_and_bpf_programs(void **state)
{
	_cleanup_(kallsyms_freep) struct kallsyms *k =
		parse("0000000000000000 A fixed_percpu_data\n"
		      "ffffffff81000000 T _text\n"
		      "ffffffff81001000 t do_one_initcall\n"
		      "ffffffff81002000 D not_code\n"
		      "ffffffff81003000 W weak_one\n"
		      "ffffffffc0001000 t ext4_read\t[ext4]\n"
		      "ffffffffc0001800 t ext4_write\t[ext4]\n"
		      "ffffffffc0003000 t bpf_prog_6deef7357e7b4530_sd_fw\t[bpf]\n"
		      "ffffffffc0004000 t ftrace_trampoline\t[__builtin__ftrace]\n");

	assert_int_equal(kallsyms_count(k), 7);
	assert_string_equal(at(k, 0xffffffff81001010), "do_one_initcall  16");
	assert_string_equal(at(k, 0xffffffff81002010), "do_one_initcall  4112");
	assert_string_equal(at(k, 0xffffffff81003000), "weak_one  0");
	assert_string_equal(at(k, 0xffffffffc0001801), "ext4_write ext4 1");
	assert_string_equal(at(k, 0xffffffffc0003008), "bpf_prog_6deef7357e7b4530_sd_fw bpf 8");
	assert_string_equal(at(k, 0xffffffffc0004008), "ftrace_trampoline __builtin__ftrace 8");
	assert_string_equal(at(k, 0xffffffff80ffffff), "-");
	assert_string_equal(at(k, 0), "-");
	/* Too far behind the last one to be in it. */
	assert_string_equal(at(k, 0xffffffffc4000000), "-");
}

static void keeps_functions_further_apart_than_32_bits(void **state)
{
	_cleanup_(kallsyms_freep) struct kallsyms *k = parse("ffff800010000000 T low\n"
							     "ffff800010000100 T low2\n"
							     "ffffa00010000000 t jit\t[bpf]\n"
							     "fffffe0010000000 T high\n");

	assert_string_equal(at(k, 0xffff800010000101), "low2  1");
	assert_string_equal(at(k, 0xffffa00010000002), "jit bpf 2");
	assert_string_equal(at(k, 0xfffffe0010000003), "high  3");
	assert_string_equal(at(k, 0xffff900010000003), "-");
}

static void chooses_one_of_several_names(void **state)
{
	_cleanup_(kallsyms_freep) struct kallsyms *k =
		parse("ffffffff81000000 T __irqentry_text_start\n"
		      "ffffffff81000000 t common_interrupt\n"
		      "ffffffff81000100 t sys_read\n"
		      "ffffffff81000100 T __x64_sys_read\n"
		      "ffffffff81000200 T __do_it\n"
		      "ffffffff81000200 T do_it\n"
		      "ffffffff81000200 T $x\n");

	assert_int_equal(kallsyms_count(k), 3);
	assert_string_equal(at(k, 0xffffffff81000000), "common_interrupt  0");
	assert_string_equal(at(k, 0xffffffff81000100), "__x64_sys_read  0");
	assert_string_equal(at(k, 0xffffffff81000200), "do_it  0");
}

static void tells_hidden_addresses_from_no_kernel(void **state)
{
	struct kallsyms *k = NULL;
	const char *hidden = "0000000000000000 T _text\n0000000000000000 t do_one_initcall\n";

	assert_int_equal(kallsyms_parse(hidden, strlen(hidden), &k), -EPERM);
	assert_int_equal(kallsyms_parse("", 0, &k), -ENODATA);
	assert_int_equal(kallsyms_parse("gibberish\n\n\n0 \n 1 t\n", 20, &k), -ENODATA);
	assert_null(k);
}

static void refreshes_only_when_there_is_a_reason(void **state)
{
	_cleanup_(kallsyms_freep) struct kallsyms *k = parse("ffffffff81000000 T _text\n");
	struct kallsyms *real = NULL;
	struct kallsyms_hit hit;

	if (kallsyms_load(&real) < 0)
		skip();
	kallsyms_free(real);
	/* The first rounds learn which modules there are. */
	(void)kallsyms_refresh(k, 1000);
	(void)kallsyms_refresh(k, 20000);
	/* A miss is one, but not twice in 10 s, and less often when reading did not help. */
	assert_int_equal(kallsyms_lookup(k, 5, &hit), -ENOENT);
	assert_int_equal(kallsyms_refresh(k, 60000), 1);
	/* What the kernel itself has stays as it was read first. */
	assert_int_equal(kallsyms_lookup(k, 0xffffffff81000004, &hit), 0);
	assert_string_equal(hit.name, "_text");
	assert_int_equal(kallsyms_lookup(k, 5, &hit), -ENOENT);
	assert_int_equal(kallsyms_refresh(k, 60001), 0);
	assert_int_equal(kallsyms_refresh(k, 70001), 0);
	assert_int_equal(kallsyms_refresh(k, 200001), 1);
}

/* A program that does nothing, as a filter of sockets. -1: not allowed here. */
static int load_bpf_program(const char *name)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)code,
		.insn_cnt = ARRAY_SIZE(code),
		.license = (uintptr_t) "GPL",
	};

	memcpy(attr.prog_name, name, strlen(name));
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

/* Where the kernel says that it is; 0: it does not (no JIT). */
static unsigned long address_of(const char *name)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/kallsyms", "re");
	_cleanup_free_ char *line = NULL;
	unsigned long addr;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0) {
		if (strstr(line, name) && sscanf(line, "%lx", &addr) == 1)
			return addr;
	}
	return 0;
}

static void names_a_bpf_program_that_was_loaded_later(void **state)
{
	_cleanup_(kallsyms_freep) struct kallsyms *k = NULL;
	_cleanup_close_ int fd = -1;
	struct kallsyms_hit hit;
	unsigned long addr;

	if (kallsyms_load(&k) < 0)
		skip();
	(void)kallsyms_refresh(k, 1000);
	fd = load_bpf_program("late_comer");
	addr = fd < 0 ? 0 : address_of("_late_comer");
	if (!addr)
		skip();
	/* Without a lookup: not even once it is taken for what was there before. */
	assert_int_equal(kallsyms_refresh(k, 20000), 1);
	assert_int_equal(kallsyms_lookup(k, addr + 4, &hit), 0);
	assert_non_null(strstr(hit.name, "_late_comer"));
	assert_string_equal(hit.module, "bpf");
	close(TAKE_FD(fd));
	/* The kernel frees it a moment later; who was seen in it, is asked for again. */
	for (int i = 0; i < 200 && address_of("_late_comer"); i++)
		usleep(10000);
	assert_int_equal(kallsyms_refresh(k, 40000), 1);
	if (kallsyms_lookup(k, addr + 4, &hit) == 0)
		assert_null(strstr(hit.name, "_late_comer"));
}

/* All of what this kernel prints, when it shows addresses. */
static void agrees_with_this_kernel(void **state)
{
	_cleanup_(kallsyms_freep) struct kallsyms *k = NULL;
	_cleanup_fclose_ FILE *f = fopen("/proc/kallsyms", "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0, n = 0, other = 0;
	int r = kallsyms_load(&k);

	if (r == -EPERM || !f)
		skip();
	assert_int_equal(r, 0);
	while (getline(&line, &cap, f) > 0) {
		unsigned long addr;
		char type, name[600];
		struct kallsyms_hit hit;

		if (sscanf(line, "%lx %c %599s", &addr, &type, name) != 3 || !addr ||
		    !strchr("tTwW", type))
			continue;
		n++;
		assert_int_equal(kallsyms_lookup(k, addr, &hit), 0);
		assert_int_equal(hit.offset, 0);
		other += strcmp(hit.name, name) != 0;
	}
	/* Aliases; and modules or programs may have come meanwhile. */
	assert_true(other * 100 <= n);
	assert_true(kallsyms_bytes(k) < 6u << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_kernel_modules_and_bpf_programs),
		cmocka_unit_test(keeps_functions_further_apart_than_32_bits),
		cmocka_unit_test(chooses_one_of_several_names),
		cmocka_unit_test(tells_hidden_addresses_from_no_kernel),
		cmocka_unit_test(refreshes_only_when_there_is_a_reason),
		cmocka_unit_test(names_a_bpf_program_that_was_loaded_later),
		cmocka_unit_test(agrees_with_this_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
