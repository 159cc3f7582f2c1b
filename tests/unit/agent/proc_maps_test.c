/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/maps: lines as the kernel writes them, and this process's own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/proc_maps.h"

static void a_line_is_taken_apart(void **state)
{
	char file[] = "7f5a3c200000-7f5a3c2a1000 r-xp 00028000 fd:01 1311 /usr/lib/a b (deleted)";
	char none[] = "7ffd1000-7ffd3000 rw-p 00000000 00:00 0 ";
	struct proc_mapping m;

	assert_int_equal(proc_maps_parse(file, &m), 0);
	assert_int_equal(m.start, 0x7f5a3c200000);
	assert_int_equal(m.end, 0x7f5a3c2a1000);
	assert_int_equal(m.offset, 0x28000);
	assert_int_equal(m.inode, 1311);
	assert_true(m.executable);
	assert_false(m.writable);
	assert_int_equal(m.device, 0xfdull << 32 | 1);
	assert_string_equal(m.path, "/usr/lib/a b (deleted)");
	assert_int_equal(proc_maps_parse(none, &m), 0);
	assert_false(m.executable);
	assert_true(m.writable);
	assert_int_equal(m.inode, 0);
	assert_string_equal(m.path, "");
}

static void what_is_no_line_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"-",
		"1000-2000",
		"1000-2000 r-xp",
		"1000-2000 r-xp 0 fd:01",
		"g-2 r-xp 0 1:1 1 ",
		"1000-2000 r-xp 00000000 fd:01 12a4 /x",
		"1000 2000 r-xp 0 fd:01 1 /x",
		"11111111111111111-2 r-xp 0 1:1 1 ",
		"1000-2000 r-x 00000000 fd:01 1 /x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char line[128];
		struct proc_mapping m;

		(void)snprintf(line, sizeof(line), "%s", bad[i]);
		assert_int_equal(proc_maps_parse(line, &m), -EBADMSG);
	}
}

struct found {
	uint64_t address;
	size_t n;
	bool executable;
};

static int look(void *data, const struct proc_mapping *m)
{
	struct found *f = data;

	f->n++;
	if (f->address - m->start >= m->end - m->start)
		return 0;
	f->executable = m->executable;
	return 5;
}

static void the_mapping_of_this_code_is_found(void **state)
{
	struct found f = {.address = (uintptr_t)look};
	_cleanup_close_ int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(proc_maps_read(self, look, &f), 5);
	assert_true(f.executable);
	f = (struct found){.address = 0};
	assert_int_equal(proc_maps_read(self, look, &f), 0);
	assert_true(f.n > 5);
	assert_int_equal(proc_maps_read(-1, look, &f), -ESRCH);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_taken_apart),
		cmocka_unit_test(what_is_no_line_is_refused),
		cmocka_unit_test(the_mapping_of_this_code_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
