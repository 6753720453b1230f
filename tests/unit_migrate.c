/* SPDX-License-Identifier: MIT */
/*
 * The schema's way into a database, on a real PostgreSQL: from nothing, again,
 * by several at once, without rights, and when something is in the way.
 */
#include <check.h>
#undef fail
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "sql/migrate.h"
#include "tests/pg_harness.h"

static void
must_migrate(const char *conninfo, int want_from)
{
	struct err e = { "" };
	int from = -1, to = -1, rc = migrate(conninfo, 0, &from, &to, &e);

	ck_assert_msg(rc == 0, "%s", e.text);
	ck_assert_int_eq(from, want_from);
	ck_assert_int_eq(to, migrate_known_version());
}

/* Fails, with all of these in the reason. */
static void
must_refuse(const char *conninfo, const char *one, const char *two)
{
	struct err e = { "" };
	int from, to;

	ck_assert_int_eq(migrate(conninfo, 0, &from, &to, &e), -1);
	ck_assert_msg(strstr(e.text, one) != NULL, "%s", e.text);
	ck_assert_msg(strstr(e.text, two) != NULL, "%s", e.text);
	ck_assert_ptr_null(strchr(e.text, '\n'));
}

/* The connection string with another user or database; libpq takes the last
 * of two values. */
static char *
with(const char *conninfo, const char *setting)
{
	return xasprintf("%s %s", conninfo, setting);
}

/* A login role without any rights, anew. */
static char *
weak_user(const char *conninfo, const char *name)
{
	char *setting = xasprintf("user=%s", name);
	char *weak = with(conninfo, setting);

	pg_execf(conninfo, "create role %s login", name);
	free(setting);
	return weak;
}

/* Roles outlive databases: what a test makes it drops. */
static void
drop_user(const char *conninfo, const char *name)
{
	pg_execf(conninfo, "drop owned by %s; drop role %s", name, name);
}

START_TEST(empty_database_gets_the_newest_version)
{
	const char *db = pg_empty_database();

	must_migrate(db, 0);
	ck_assert_str_eq(pg_value(db, "select count(*) = max(version) "
	    "and max(version) = %d from hearth.schema_migrations",
	    migrate_known_version()), "t");
	ck_assert_str_eq(pg_value(db, "select rolname from pg_namespace n "
	    "join pg_roles r on r.oid = nspowner where nspname = 'hearth'"),
	    "hearth_owner");
	ck_assert_str_eq(pg_value(db, "select count(*) from pg_class c "
	    "join pg_roles r on r.oid = c.relowner where relnamespace = "
	    "'hearth'::regnamespace and rolname <> 'hearth_owner'"), "0");
}
END_TEST

START_TEST(text_of_functions_arrives_unchanged)
{
	const char *db = pg_database();

	/* A backslash that the embedding lost would make this path good. */
	ck_assert_str_eq(pg_value(db, "select count(*) from pg_proc "
	    "where proname = 'clean_path' "
	    "and position('|/\\.\\.?(/|$)|' in prosrc) > 0"), "1");
}
END_TEST

START_TEST(second_time_changes_nothing)
{
	const char *db = pg_database();
	char *before = xstrdup(pg_value(db, "select applied_at "
	    "from hearth.schema_replaceable"));

	must_migrate(db, migrate_known_version());
	ck_assert_str_eq(pg_value(db, "select applied_at "
	    "from hearth.schema_replaceable"), before);
	free(before);
}
END_TEST

START_TEST(current_schema_needs_no_right_but_reading)
{
	const char *db = pg_database();
	char *weak = weak_user(db, "migrate_reader");

	pg_exec(db, "grant hearth_daemon to migrate_reader");
	must_migrate(weak, migrate_known_version());
	drop_user(db, "migrate_reader");
	free(weak);
}
END_TEST

START_TEST(functions_of_another_edition_are_replaced)
{
	const char *db = pg_database();

	pg_exec(db, "update hearth.schema_replaceable set hash = 'other'; "
	    "create or replace function hearth.schema_version() "
	    "returns integer language sql stable return -1");
	must_migrate(db, migrate_known_version());
	ck_assert_int_eq(atoi(pg_value(db, "select hearth.schema_version()")),
	    migrate_known_version());
	ck_assert_str_ne(pg_value(db, "select hash "
	    "from hearth.schema_replaceable"), "other");
}
END_TEST

/* As migration 2 left it, with a view in the way and a row in the table. */
static const char version_2[] = "set role hearth_owner; "
	"drop index hearth.pending_changes_open; "
	"do $$ declare it text; begin for it in select viewname from pg_views "
	"where schemaname = 'hearth' loop execute 'drop view hearth.' || it; "
	"end loop; for it in select oid::regprocedure from pg_proc where "
	"pronamespace = 'hearth'::regnamespace and prosqlbody is not null loop "
	"execute 'drop function ' || it; end loop; end $$; "
	"alter table hearth.turns alter status type text, "
	"alter prompt type jsonb, add constraint turns_status_check check "
	"(status <> 'asleep'), add constraint turns_prompt_check check "
	"(jsonb_typeof(prompt) = 'array'); "
	"alter table hearth.messages alter role type text, alter status type "
	"text, add constraint messages_role_check check (role <> ''), "
	"add constraint messages_status_check check (status <> ''); "
	"alter table hearth.agent_sessions drop wanted, "
	"alter status type text, "
	"alter resumed_by type text, add constraint "
	"agent_sessions_status_check check (status <> ''), add constraint "
	"agent_sessions_resumed_by_check check (resumed_by <> ''); "
	"drop domain hearth.turn_status, hearth.prompt_blocks, "
	"hearth.message_role, hearth.message_status, hearth.agent_status, "
	"hearth.resumption; "
	"create view hearth.active_turns as select t.id as turn, t.chat_id, "
	"t.agent, t.status from hearth.turns t; "
	"create function hearth.cancel_unfinished(session uuid, chat uuid, "
	"requested_by text) returns void language sql begin atomic select "
	"t.status from hearth.turns t; end; "
	"insert into hearth.turns (chat_id, session_id, agent, prompt) values "
	"(gen_random_uuid(), gen_random_uuid(), 'qwen', '[]'); "
	"drop table hearth.permission_rules; "
	"alter table hearth.executions drop rss_kb; "
	"drop index hearth.artifacts_url, hearth.worktrees_active; "
	"alter table hearth.worktrees drop ahead, drop behind, "
	"drop changed_files, drop size_kb, drop measured_at, "
	"drop saved_commit, drop kept_reason, drop kept_at; "
	"alter table hearth.sessions drop deleted_at; "
	"alter table hearth.chats drop deleted_at; "
	"drop table hearth.snapshots; alter table hearth.projects drop include, "
	"drop snapshots, drop constraint projects_setup_command; "
	"alter table hearth.worktrees drop setup_exit_code, drop setup_ms, "
	"drop setup_output, drop setup_ended_at; "
	"insert into hearth.projects (name, path, setup_command) values "
	"('old', '/old', '{}'); "
	"create unique index pending_changes_open on hearth.pending_changes "
	"(session_id, file_path) where status = 'pending'; "
	"insert into hearth.sessions (project_id) select id from "
	"hearth.projects; "
	"insert into hearth.pending_changes (session_id, file_path, operation) "
	"select id, 'a.c', 'edit' from hearth.sessions; "
	"delete from hearth.schema_migrations where version > 2";

START_TEST(older_schema_in_use_is_upgraded)
{
	const char *db = pg_database();

	pg_exec(db, version_2);
	must_migrate(db, 2);
	ck_assert_str_eq(pg_value(db, "select concat_ws(' ', status, "
	    "pg_typeof(status), pg_typeof(prompt)) from hearth.turns"),
	    "queued hearth.turn_status hearth.prompt_blocks");
	ck_assert_str_eq(pg_value(db, "select count(age) from "
	    "hearth.active_turns"), "0");
	/* one pending change per file still, however long its path */
	ck_assert_str_eq(pg_value(db, "with k as (insert into "
	    "hearth.pending_changes (session_id, file_path, operation) "
	    "select id, 'a.c', 'edit' from hearth.sessions on conflict do "
	    "nothing returning id) select count(*) from k"), "0");
	pg_exec(db, "insert into hearth.pending_changes (session_id, "
	    "file_path, operation) select s.id, string_agg(sha512("
	    "n::text::bytea)::text, '/'), 'edit' from hearth.sessions s, "
	    "generate_series(1, 31) n group by s.id");
	must_migrate(db, migrate_known_version());
}
END_TEST

START_TEST(newer_schema_is_refused)
{
	const char *db = pg_database();

	pg_exec(db, "insert into hearth.schema_migrations (version, name) "
	    "values (9999, '9999_future')");
	must_refuse(db, "the schema is version 9999", "use a newer hearth");
}
END_TEST

START_TEST(missing_database_is_made_only_when_asked)
{
	const char *db = pg_empty_database();
	char *missing = with(db, "dbname=migrate_made");
	struct err e = { "" };
	int from, to, rc;

	must_refuse(missing, "migrate_made", "");
	rc = migrate(missing, 1, &from, &to, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	ck_assert_int_eq(from, 0);
	ck_assert_str_eq(pg_value(db, "select pg_encoding_to_char(encoding) "
	    "from pg_database where datname = 'migrate_made'"), "UTF8");
	pg_exec(db, "drop database migrate_made with (force)");
	free(missing);
}
END_TEST

START_TEST(user_without_rights_is_told_what_an_administrator_runs)
{
	const char *db = pg_empty_database();
	char *weak = weak_user(db, "migrate_weak");

	pg_exec(db, "alter role hearth_app rename to migrate_aside");
	must_refuse(weak, "the user migrate_weak may not create roles",
	    "create role hearth_app nologin; grant hearth_owner to "
	    "\"migrate_weak\";");
	pg_exec(db, "alter role migrate_aside rename to hearth_app");
	ck_assert_str_eq(pg_value(db, "select count(*) from pg_namespace "
	    "where nspname = 'hearth'"), "0");
	drop_user(db, "migrate_weak");
	free(weak);
}
END_TEST

/* The roles are the server's: they say nothing of a database. */
START_TEST(user_of_the_wrong_database_is_told_that_it_is)
{
	const char *db = pg_empty_database();
	char *weak = weak_user(db, "migrate_weak");

	must_refuse(weak, "has no schema of Hearth: name the one that has it",
	    "run hearth init on it");
	drop_user(db, "migrate_weak");
	free(weak);
	db = pg_database();
	weak = weak_user(db, "migrate_weak");
	pg_exec(db, "grant hearth_daemon to migrate_weak; "
	    "update hearth.schema_replaceable set hash = 'another'");
	must_refuse(weak, "of another edition", "run hearth init on it");
	drop_user(db, "migrate_weak");
	free(weak);
}
END_TEST

START_TEST(user_of_the_app_alone_is_told_what_is_missing)
{
	const char *db = pg_database();
	char *weak = weak_user(db, "migrate_app");

	pg_exec(db, "grant hearth_app to migrate_app");
	must_refuse(weak, "the user migrate_app has no rights",
	    "hearth_daemon");
	drop_user(db, "migrate_app");
	free(weak);
}
END_TEST

START_TEST(user_who_may_not_create_the_database_is_told_so)
{
	const char *db = pg_empty_database();
	char *weak = weak_user(db, "migrate_weak");
	char *missing = with(weak, "dbname=migrate_missing");
	int from, to;
	struct err e;

	ck_assert_int_eq(migrate(missing, 1, &from, &to, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "migrate_missing does not exist"));
	ck_assert_ptr_nonnull(strstr(e.text, "user migrate_weak"));
	drop_user(db, "migrate_weak");
	free(missing);
	free(weak);
}
END_TEST

START_TEST(member_of_the_owner_needs_no_superuser)
{
	const char *db = pg_empty_database();
	char *weak = weak_user(db, "migrate_member");

	pg_exec(db, "grant hearth_owner to migrate_member");
	pg_execf(db, "grant create on database \"%s\" to migrate_member",
	    pg_value(db, "select current_database()"));
	must_migrate(weak, 0);
	drop_user(db, "migrate_member");
	free(weak);
}
END_TEST

START_TEST(failed_migration_leaves_nothing_and_names_file_and_line)
{
	const char *db = pg_empty_database();

	pg_exec(db, "create schema hearth authorization hearth_owner; "
	    "create table hearth.turns (x int)");
	must_refuse(db, "0001_schema.sql", "\"turns\" already exists");
	ck_assert_str_eq(pg_value(db, "select count(*) from "
	    "hearth.schema_migrations"), "0");
	ck_assert_str_eq(pg_value(db, "select to_regclass('hearth.nodes') "
	    "is null"), "t");
	pg_exec(db, "drop table hearth.turns");
	must_migrate(db, 0);
}
END_TEST

START_TEST(database_that_is_not_utf8_is_refused)
{
	const char *db = pg_empty_database();
	char *latin = with(db, "dbname=migrate_latin");

	pg_exec(db, "create database migrate_latin encoding 'SQL_ASCII' "
	    "locale 'C' template template0");
	must_refuse(latin, "SQL_ASCII", "UTF8");
	pg_exec(db, "drop database migrate_latin with (force)");
	free(latin);
}
END_TEST

START_TEST(several_at_once_do_it_once)
{
	enum { N = 4 };
	const char *db = pg_empty_database();
	pid_t pids[N];

	for (int i = 0; i < N; i++) {
		pids[i] = fork();
		ck_assert_int_ne(pids[i], -1);
		if (pids[i] == 0) {
			struct err e;
			int from, to;

			_exit(migrate(db, 0, &from, &to, &e) == 0 ? 0 : 1);
		}
	}
	for (int i = 0; i < N; i++) {
		int status;

		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_str_eq(pg_value(db, "select count(*) = max(version) "
	    "from hearth.schema_migrations"), "t");
}
END_TEST

START_TEST(login_role_of_the_embedded_cluster_is_made)
{
	const char *db = pg_empty_database();
	char *super = with(db, "user=hearth_super");

	pg_exec(db, "create role hearth_super login superuser");
	must_migrate(super, 0);
	ck_assert_str_eq(pg_value(db, "select rolcanlogin and not rolsuper "
	    "and pg_has_role('hearth', 'hearth_daemon', 'usage') "
	    "and pg_has_role('hearth', 'hearth_admin', 'usage') "
	    "and pg_has_role('hearth', 'hearth_app', 'usage') "
	    "and not pg_has_role('hearth', 'hearth_owner', 'member') "
	    "from pg_roles where rolname = 'hearth'"), "t");
	pg_exec(db, "drop role hearth");
	drop_user(db, "hearth_super");
	free(super);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("migrate");
	TCase *t = tcase_create("migrate");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, empty_database_gets_the_newest_version);
	tcase_add_test(t, text_of_functions_arrives_unchanged);
	tcase_add_test(t, second_time_changes_nothing);
	tcase_add_test(t, current_schema_needs_no_right_but_reading);
	tcase_add_test(t, functions_of_another_edition_are_replaced);
	tcase_add_test(t, older_schema_in_use_is_upgraded);
	tcase_add_test(t, newer_schema_is_refused);
	tcase_add_test(t, missing_database_is_made_only_when_asked);
	tcase_add_test(t,
	    user_without_rights_is_told_what_an_administrator_runs);
	tcase_add_test(t, user_of_the_wrong_database_is_told_that_it_is);
	tcase_add_test(t, user_of_the_app_alone_is_told_what_is_missing);
	tcase_add_test(t, user_who_may_not_create_the_database_is_told_so);
	tcase_add_test(t, member_of_the_owner_needs_no_superuser);
	tcase_add_test(t,
	    failed_migration_leaves_nothing_and_names_file_and_line);
	tcase_add_test(t, database_that_is_not_utf8_is_refused);
	tcase_add_test(t, several_at_once_do_it_once);
	tcase_add_test(t, login_role_of_the_embedded_cluster_is_made);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner *runner;
	int failed;

	if (!pg_start())
		return 0;
	runner = srunner_create(suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
