/* SPDX-License-Identifier: Apache-2.0 */
/* What a process is called that nobody has named: container, systemd unit, executable. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/process_start.h"
#include "discovery/service.h"

static const struct {
	const char *path, *want; /* NULL: no unit that says something */
} units[] = {
	{"/system.slice/nginx.service", "nginx"},
	{"/system.slice/nginx.service/worker-1", "nginx"},
	{"/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main"},
	{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1"},
	{"/system.slice/dev-disk\\x2dfoo.service", "dev-disk-foo"},
	{"/system.slice/b\\xc3\\xa4r.service", "b\xc3\xa4r"},
	{"/system.slice/b\\xc3.service", "b_"},
	{"/system.slice/a\\x0ab.service", "a_b"},
	{"/system.slice/half\\x2.service", "half\\x2"},
	{"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", "machine-qemu-1-vm"},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "foo"},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-2171.scope",
	 "firefox"},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/"
	 "app-gnome-org.gnome.Evolution\\x2dalarm@autostart.service",
	 "org.gnome.Evolution-alarm"},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/"
	 "dbus-:1.2-org.gnome.Shell@0.service",
	 "org.gnome.Shell"},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/"
	 "snap.code.code-0f1e2d3c-1111-2222-3333-444455556666.scope",
	 "snap.code.code"},
	{"/user.slice/user-1000.slice/user@1000.service/init.scope", NULL},
	{"/user.slice/user-1000.slice/user@1000.service", NULL},
	{"/user.slice/user-1000.slice/session-3.scope", NULL},
	{"/system.slice/run-u17.service", NULL},
	{"/system.slice/run-r0123456789abcdef.scope", NULL},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1234.scope", NULL},
	{"/init.scope", NULL},
	{"/system.slice", NULL},
	{"/", NULL},
	{"", NULL},
	{"/.service", NULL},
	{"/.scope", NULL},
	{"///.service//", NULL},
	{"/a.service.d", NULL},
	{"/app-.scope", "app"},
	{"/app-@.service", NULL},
};

static void a_unit_is_the_innermost_one_that_says_something(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		char name[SERVICE_NAME_MAX + 1] = "";
		int r = service_unit(units[i].path, name);

		if (!units[i].want != (r < 0) || (r == 0 && strcmp(name, units[i].want) != 0))
			fail_msg("%s: \"%s\"", units[i].path, name);
	}
}

static void a_name_is_cut_and_printable(void **state)
{
	char path[400], name[SERVICE_NAME_MAX + 1];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[7] = '\x1b';
	path[9] = '\xff';
	memcpy(path + sizeof(path) - 9, ".service", 9);
	assert_int_equal(service_unit(path, name), 0);
	assert_int_equal(strlen(name), SERVICE_NAME_MAX);
	for (size_t i = 0; name[i]; i++)
		assert_true(name[i] == 'x' || name[i] == '_');
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
	struct service_of of;
	const char *want;
} names[] = {
	{{ID, "/system.slice/docker-" ID ".scope", "/bin/x", "x", false}, "container/0123456789ab"},
	{{"", "/system.slice/cron.service", "/usr/sbin/cron", "cron", false}, "cron"},
	{{"", "/user.slice/user-0.slice/session-1.scope", "/usr/bin/gcc (deleted)", "cc", false},
	 "gcc"},
	{{"", "", "/opt/my app", "my", false}, "my app"},
	{{"", "", "", "gone\xff", false}, "gone_"},
	{{"", "", "", "", false}, ""},
	{{"", "/", "/", "slash", false}, "slash"},
	{{"", "/", "/memfd:sealed-91173221a7ea (deleted)", "runc", false}, "runc"},
	{{"", "/", "", "kworker/0:1", true}, "kernel"},
};

static void container_then_unit_then_executable_then_name(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char name[SERVICE_NAME_MAX + 1] = "?";

		service_name(&names[i].of, name);
		assert_string_equal(name, names[i].want);
	}
}

static void the_start_of_a_process_is_read_behind_its_name(void **state)
{
	uint64_t own = process_start_ticks((uint32_t)getpid());

	assert_int_equal(process_start_parse("7 (a) b) c) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 "
					     "17 18 4711 20\n"),
			 4711);
	assert_int_equal(process_start_parse("7 (x) R 1 2"), 0);
	assert_int_equal(process_start_parse(""), 0);
	assert_int_equal(process_start_ticks(1u << 30), 0);
	assert_true(own > 0);
	assert_int_equal(own, process_start_ticks((uint32_t)getpid()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_unit_is_the_innermost_one_that_says_something),
		cmocka_unit_test(a_name_is_cut_and_printable),
		cmocka_unit_test(container_then_unit_then_executable_then_name),
		cmocka_unit_test(the_start_of_a_process_is_read_behind_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
