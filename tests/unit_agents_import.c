/* SPDX-License-Identifier: MIT */
/*
 * agent.json files against a machine made for the test, a folder with npm's
 * layout and some programs; and what `hearth agents import` makes of them in a
 * real registry.
 */
#include <check.h>
#undef fail
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/agent_json.h"
#include "cli/agents.h"
#include "tests/pg_harness.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static char root[] = "/tmp/hearth-unit-import-XXXXXX";

static void
shell(const char *command)
{
	char *line = xasprintf("cd %s && %s", root, command);

	ck_assert_int_eq(system(line), 0);
	free(line);
}

static void
make_machine(void)
{
	strcpy(root + strlen(root) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	shell("mkdir -p bin home/.local/bin lib/node_modules/@acme/agent-cli "
	    "lib/node_modules/two lib/node_modules/broken && "
	    "for p in bin/acme bin/two-acp bin/native home/.local/bin/pyagent; "
	    "do printf '#!/bin/sh\\n' > $p && chmod 755 $p; done");
	shell("echo '{\"version\": \"1.2.3\", \"bin\": {\"acme\": \"x.js\"}}' "
	    "> lib/node_modules/@acme/agent-cli/package.json && "
	    "echo '{\"bin\": {\"other\": \"a\", \"two-acp\": \"b\"}}' "
	    "> lib/node_modules/two/package.json && "
	    "echo '{\"bin\"' > lib/node_modules/broken/package.json");
}

static void
remove_machine(void)
{
	shell("rm -rf bin home lib *.json && rmdir \"$PWD\"");
}

static const struct {
	const char *json;
	const char *command; /* without root; NULL: not installed */
	const char *says;    /* of install, note or the error */
	int rc;
} cases[] = {
	{ "{'id': 'acme', 'unknown': 1, 'distribution': {'npx': {'package': "
	    "'@acme/agent-cli@1.2.3', 'args': ['--acp']}}}",
	    "[\"/bin/acme\",\"--acp\"]", NULL, 0 },
	{ "{'id': 'acme', 'distribution': {'npx': {'package': "
	    "'@acme/agent-cli@2.0.0'}}}", "[\"/bin/acme\"]",
	    "version 1.2.3 is installed, the file names 2.0.0", 0 },
	{ "{'id': 'two-acp', 'distribution': {'npx': {'package': 'two'}}}",
	    "[\"/bin/two-acp\"]", NULL, 0 },
	{ "{'id': 'broken', 'distribution': {'npx': {'package': "
	    "'broken@1.0.0'}}}", NULL, "npm install -g broken@1.0.0", 0 },
	{ "{'id': 'py', 'distribution': {'uvx': {'package': "
	    "'pyagent==0.4'}}}", "[\"/home/.local/bin/pyagent\"]", NULL, 0 },
	{ "{'id': 'py', 'distribution': {'uvx': {'package': 'nopy@1'}}}",
	    NULL, "uv tool install nopy@1", 0 },
	{ "{'id': 'n', 'distribution': {'binary': {'linux-x86_64': {'archive':"
	    " 'https://x.org/a.tgz', 'cmd': './native', 'args': ['acp']}}}}",
	    "[\"/bin/native\",\"acp\"]", NULL, 0 },
	{ "{'id': 'n', 'distribution': {'binary': {'linux-x86_64': {'archive':"
	    " 'https://x.org/a.tgz', 'cmd': './gone'}}}}", NULL,
	    "download https://x.org/a.tgz, unpack it, and put gone on", 0 },
	{ "{'id': 'n', 'distribution': {'binary': {'darwin-arm64': {}}}}",
	    NULL, "not distributed for linux-x86_64", 0 },
	{ "{'id': 'n', 'distribution': {'npx': {'package': 'gone'}, 'binary': "
	    "{'linux-x86_64': {'archive': 'https://x.org/a', 'cmd': "
	    "'native'}}}}", "[\"/bin/native\"]", NULL, 0 },
	{ "{}", NULL, "no id", -1 },
	{ "{'id': 'x'}", NULL, "has no distribution", -1 },
	{ "{'id': 'x', 'distribution': {'pip': {}}}", NULL,
	    "in no way that is known", -1 },
	{ "{'id': 'x', 'distribution': {'npx': {}}}", NULL,
	    "npx.package is missing", -1 },
	{ "{'id': 'x', 'distribution': {'npx': {'package': 'a; rm -rf /'}}}",
	    NULL, "not what belongs there", -1 },
	{ "{'id': 'x', 'distribution': {'npx': {'package': '../../x'}}}",
	    NULL, "not what belongs there", -1 },
	{ "{'id': 'x', 'distribution': {'npx': {'package': '--global'}}}",
	    NULL, "not what belongs there", -1 },
	{ "{'id': 'acme', 'distribution': {'npx': {'package': "
	    "'@acme/agent-cli', 'args': [1]}}}", NULL, "args has", -1 },
	{ "{'id': 'acme', 'distribution': {'npx': {'package': "
	    "'@acme/agent-cli', 'env': {'A': 1}}}}", NULL, "npx.env", -1 },
};

/* For reading, the cases have single quotes. */
static json_t *
load(const char *text)
{
	char *copy = xstrdup(text);
	json_t *json;

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	json = json_loads(copy, 0, NULL);
	ck_assert_ptr_nonnull(json);
	free(copy);
	return json;
}

static char *
command_without_root(const struct agent_json *a)
{
	char *text = json_dumps(a->command, JSON_COMPACT);
	char *at = text != NULL ? strstr(text, root) : NULL;

	if (at != NULL)
		memmove(at, at + strlen(root), strlen(at + strlen(root)) + 1);
	return text;
}

START_TEST(agent_json_names_what_is_installed)
{
	char *path = xasprintf("/nonexistent:%s/bin:relative", root);
	char *home = xasprintf("%s/home", root), *command;
	struct agent_machine m = { path, home, "linux-x86_64" };
	struct agent_json a;
	struct err e = { "" };
	json_t *json = load(cases[_i].json);
	const char *said;

	ck_assert_int_eq(agent_json_read(json, &m, &a, &e), cases[_i].rc);
	if (cases[_i].rc == 0) {
		command = command_without_root(&a);
		ck_assert_pstr_eq(command, cases[_i].command);
		free(command);
	}
	said = cases[_i].rc == -1 ? e.text : a.command == NULL ? a.install :
	    a.note;
	if (cases[_i].says == NULL)
		ck_assert_ptr_null(said);
	else
		ck_assert_msg(strstr(said, cases[_i].says) != NULL, "%s",
		    said);
	agent_json_free(&a);
	json_decref(json);
	free(home);
	free(path);
}
END_TEST

/* ---- into a registry */

static int
import(const char *db, const char *content, const char *option)
{
	char *file = xasprintf("%s/a.json", root);
	char *path = xasprintf("%s/bin", root);
	char *argv[] = { (char *)"import", file, (char *)option, NULL };
	struct cli cli = { db };
	FILE *f = fopen(file, "w");
	int status;

	for (const char *p = content; *p != '\0'; p++)
		fputc(*p == '\'' ? '"' : *p, f);
	fclose(f);
	setenv("PATH", path, 1);
	status = agents_import(&cli, option != NULL ? 3 : 2, argv);
	setenv("PATH", "/usr/bin:/bin", 1);
	free(path);
	free(file);
	return status;
}

#define ACME(args) "{'id': 'acme', 'name': 'Acme', 'distribution': {'npx': " \
	"{'package': '@acme/agent-cli', 'args': [" args "], " \
	"'env': {'K': 'v'}}}}"
#define GONE "{'id': 'gone', 'distribution': {'npx': {'package': 'gone'}}}"

START_TEST(installed_agent_is_registered_once)
{
	const char *db = pg_database();
	char *want = xasprintf("{%s/bin/acme,--acp}true", root);

	ck_assert_int_eq(import(db, ACME("'--acp'"), NULL), 0);
	ck_assert_str_eq(pg_value(db, "select command::text || enabled::text "
	    "from hearth.agents"), want);
	ck_assert_str_eq(pg_value(db, "select title || (env ->> 'K') || "
	    "(env ->> 'NO_BROWSER') from hearth.agents"), "Acmev1");
	ck_assert_int_eq(import(db, ACME("'--acp'"), NULL), 0);
	ck_assert_str_eq(pg_value(db, "select count(*) from hearth.agents"),
	    "1");
	free(want);
}
END_TEST

START_TEST(agent_that_differs_is_replaced_by_force_only)
{
	const char *db = pg_database();

	ck_assert_int_eq(import(db, ACME("'--acp'"), NULL), 0);
	ck_assert_int_eq(import(db, ACME("'--new'"), NULL), CLI_FAILED);
	ck_assert_str_eq(pg_value(db, "select command[2] from hearth.agents"),
	    "--acp");
	ck_assert_int_eq(import(db, ACME("'--new'"), "--force"), 0);
	ck_assert_str_eq(pg_value(db, "select command[2] from hearth.agents"),
	    "--new");
	ck_assert_int_eq(import(db, ACME("'--acp'"), "--name=other"), 0);
	ck_assert_str_eq(pg_value(db, "select string_agg(name, ' ' order by "
	    "name) from hearth.agents"), "acme other");
	ck_assert_int_eq(import(db, ACME(""), "--name=Not this"), CLI_FAILED);
}
END_TEST

START_TEST(what_is_not_installed_is_not_registered)
{
	const char *db = pg_database();

	ck_assert_int_eq(import(db, GONE, NULL), CLI_FAILED);
	ck_assert_int_eq(import(db, "{'agents': [" GONE ", {}, " ACME("")
	    "]}", NULL), 0);
	ck_assert_str_eq(pg_value(db, "select string_agg(name, ' ') "
	    "from hearth.agents"), "acme");
}
END_TEST

START_TEST(malformed_file_changes_nothing)
{
	static const char *const bad[] = { "", "{", "[]", "7",
		"{'agents': []}", "{'agents': 3}", "{'agents': [1, null]}" };
	const char *db = pg_database();

	for (int i = 0; i < COUNT(bad); i++)
		ck_assert_int_eq(import(db, bad[i], NULL), CLI_FAILED);
	ck_assert_int_eq(import(db, "{'agents': [" ACME("") ", " GONE "]}",
	    "--name=x"), CLI_FAILED);
	ck_assert_str_eq(pg_value(db, "select count(*) from hearth.agents"),
	    "0");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agents_import");
	TCase *t = tcase_create("agents_import");
	SRunner *runner;
	int failed;

	if (!pg_start())
		return 0;
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, make_machine, remove_machine);
	tcase_add_loop_test(t, agent_json_names_what_is_installed, 0,
	    COUNT(cases));
	tcase_add_test(t, installed_agent_is_registered_once);
	tcase_add_test(t, agent_that_differs_is_replaced_by_force_only);
	tcase_add_test(t, what_is_not_installed_is_not_registered);
	tcase_add_test(t, malformed_file_changes_nothing);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
