/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/import.h"

#include <errno.h>
#include <string.h>

struct value *import_text(const char *name, const char *text, size_t len)
{
	struct value_list l = {0};

	value_list_add(&l, "name", value_cstr(name));
	value_list_add(&l, "text", value_string(text, len));
	return value_object(&l);
}

struct value *import_exports(struct value *files, const char *dir)
{
	struct value_list l = {0};

	value_list_add(&l, "files", files);
	if (dir)
		value_list_add(&l, "dir", value_cstr(dir));
	return value_object(&l);
}

/* ---- import.string ---- */

struct string_args {
	char *content;
};

static const struct option string_options[] = {
	{"content", OPTION_SECRET, NULL, OPTION_REQUIRED, offsetof(struct string_args, content),
	 NULL, "the text of the module"},
};

static const struct schema string_schema = {
	.size = sizeof(struct string_args),
	.options = string_options,
	.n = ARRAY_SIZE(string_options),
};

static int string_build(struct component *c, char *why, size_t size)
{
	const struct string_args *a = c->args;
	struct value_list files = {0};
	struct value *v;

	value_list_add(&files, NULL, import_text(c->id, a->content, strlen(a->content)));
	v = import_exports(value_array(&files), NULL);
	component_export(c, v);
	return v ? 0 : -ENOMEM;
}

static int string_update(struct component *c, const void *old, char *why, size_t size)
{
	return string_build(c, why, size);
}

const struct component_type import_string_type = {
	.name = "import.string",
	.help = "custom components from a text",
	.schema = &string_schema,
	.size = sizeof(struct component),
	.import = true,
	.build = string_build,
	.update = string_update,
};

/* ---- import.git ---- */

struct git_args {
	char *text[4];
	int64_t pull_frequency;
	struct git_basic_auth {
		bool set;
		char *username, *password, *password_file;
	} basic_auth;
	struct git_ssh_key {
		bool set;
		char *username, *key, *key_file, *passphrase;
	} ssh_key;
};

#define AUTH(member) offsetof(struct git_basic_auth, member)
static const struct option git_basic_auth_options[] = {
	{"username", OPTION_STRING, .offset = AUTH(username), .help = "the name"},
	{"password", OPTION_SECRET, .offset = AUTH(password), .help = "the password"},
	{"password_file", OPTION_STRING, .offset = AUTH(password_file),
	 .help = "a file with the password, read for each request"},
};

static const struct schema git_basic_auth_schema = {
	.size = sizeof(struct git_basic_auth),
	.options = git_basic_auth_options,
	.n = ARRAY_SIZE(git_basic_auth_options),
};

#define KEY(member) offsetof(struct git_ssh_key, member)
static const struct option git_ssh_key_options[] = {
	{"username", OPTION_STRING, .offset = KEY(username), .help = "the name"},
	{"key", OPTION_SECRET, .offset = KEY(key), .help = "the key as text"},
	{"key_file", OPTION_STRING, .offset = KEY(key_file), .help = "the same in a file"},
	{"passphrase", OPTION_SECRET, .offset = KEY(passphrase), .help = "what opens the key"},
};

static const struct schema git_ssh_key_schema = {
	.size = sizeof(struct git_ssh_key),
	.options = git_ssh_key_options,
	.n = ARRAY_SIZE(git_ssh_key_options),
};

#define GIT(member) offsetof(struct git_args, member)
static const struct option git_options[] = {
	{"repository", OPTION_STRING, .offset = GIT(text[0]), .help = "its address"},
	{"path", OPTION_STRING, .offset = GIT(text[1]), .help = "the file or directory in it"},
	{"revision", OPTION_STRING, "main", .offset = GIT(text[2]),
	 .help = "a branch, tag or commit"},
	{"pull_frequency", OPTION_DURATION, "1m", .offset = GIT(pull_frequency),
	 .help = "how often it is fetched"},
	{"basic_auth", OPTION_BLOCK, .offset = GIT(basic_auth), .block = &git_basic_auth_schema,
	 .help = "credentials of the basic kind"},
	{"ssh_key", OPTION_BLOCK, .offset = GIT(ssh_key), .block = &git_ssh_key_schema,
	 .help = "the key for SSH"},
};

static int git_validate(const void *args, char *why, size_t size)
{
	(void)snprintf(why, size,
		       "import.git is not supported: check the repository out and use import.file "
		       "with its path, or import.http with the URL of the file");
	return -EINVAL;
}

static const struct schema git_schema = {
	.size = sizeof(struct git_args),
	.options = git_options,
	.n = ARRAY_SIZE(git_options),
	.validate = git_validate,
};

const struct component_type import_git_type = {
	.name = "import.git",
	.help = "custom components from a Git repository",
	.schema = &git_schema,
	.size = sizeof(struct component),
	.import = true,
};
