/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of turns, edits and decisions, against a model: two agents, and a
 * person who edits both the worktree and the project and decides, while hearthd
 * is killed now and then. After each step the files, the pending rows and whose
 * they are must be the model's.
 *
 * Files have few contents, each of one line, so that the same comes again often
 * and two different changes of one file always conflict. SEED=N repeats a run.
 */
#include "tests/e2e.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"

#define FILES 3
#define STEPS 40

/* Contents: 0 there is no file, else the number. */
struct model {
	int project[FILES], worktree[FILES];
	int told[FILES], reviewed[FILES];
	const char *owner[FILES]; /* of the pending change */
};

static struct model m;
static unsigned seed;

static int
any(int n)
{
	seed = seed * 1103515245 + 12345;
	return (int)(seed >> 16) % n;
}

static const char *
worktree(void)
{
	return value("select path from hearth.worktrees "
	    "where session_id = '%s'", session_of(chat));
}

static void
put(const char *where, int f, int content)
{
	if (content == 0)
		shell("rm -f %s/f%d", where, f);
	else
		shell("echo %d > %s/f%d", content, where, f);
}

/* What changed in the worktree since it was told is now told as somebody's. */
static void
tell(const char *owner)
{
	for (int f = 0; f < FILES; f++)
		if (m.told[f] != m.worktree[f]) {
			m.told[f] = m.worktree[f];
			m.owner[f] = owner;
		}
}

/* One line each, so: what one side left alone is the other's, else conflict. */
static bool
merge(int base, int *ours, int theirs)
{
	if (*ours == theirs || base == theirs)
		return true;
	if (*ours != base)
		return false;
	*ours = theirs;
	return true;
}

/* ---- steps */

static const char *
take_turn(void)
{
	const char *agent = any(2) ? "fake" : "other";
	struct buf script = { 0 };

	tell("person");
	buf_adds(&script, "say go");
	for (int n = any(3); n >= 0; n--) {
		int f = any(FILES);

		m.worktree[f] = any(4);
		if (m.worktree[f])
			buf_printf(&script, ";write f%d %d\\n", f,
			    m.worktree[f]);
		else
			buf_printf(&script, ";run rm -f f%d", f);
	}
	complete(chat, agent, "%s", script.data);
	buf_free(&script);
	tell(agent);
	return "turn";
}

static const char *
edit(void)
{
	int f = any(FILES);
	bool inside = any(2);

	*(inside ? &m.worktree[f] : &m.project[f]) = any(4);
	put(inside ? worktree() : project, f,
	    inside ? m.worktree[f] : m.project[f]);
	return inside ? "edit in the worktree" : "edit in the project";
}

/* Asks and waits; true when it was done. */
static bool
decide(const char *what, long long change)
{
	long long id = number("select hearth.%s_change(%lld)", what, change);

	wait_value("true", LIMIT, "select (ended_at is not null)::text "
	    "from hearth.commands where id = %lld", id);
	return strcmp(value("select status from hearth.commands "
	    "where id = %lld", id), "done") == 0;
}

static long long
pending(int f)
{
	return number("select coalesce(max(id), 0) from "
	    "hearth.pending_changes where status = 'pending' "
	    "and file_path = 'f%d'", f);
}

static const char *
accept(void)
{
	int f = any(FILES);
	long long change = pending(f);
	bool good;

	if (!change)
		return "nothing to accept";
	good = merge(m.reviewed[f], &m.project[f], m.told[f]);
	ck_assert_int_eq(decide("accept", change), good);
	if (good)
		m.reviewed[f] = m.told[f];
	return good ? "accept" : "accept with a conflict";
}

static const char *
reject(void)
{
	int f = any(FILES);
	long long change = pending(f);
	bool good;

	if (!change)
		return "nothing to reject";
	good = m.worktree[f] == m.told[f] || m.worktree[f] == m.reviewed[f];
	tell("person");
	ck_assert_int_eq(decide("reject", change), good);
	if (good)
		m.told[f] = m.worktree[f] = m.reviewed[f];
	return good ? "reject" : "reject what moved on";
}

/* What a change made of what; the model asks the rows. */
static int
side(long long change, const char *column)
{
	const char *oid = value("select %s from hearth.pending_changes "
	    "where id = %lld", column, change);

	for (int i = 1; i < 4 && *oid; i++) {
		char *blob = xasprintf("echo %d | git hash-object --stdin | "
		    "grep -q %s", i, oid);
		bool is = system(blob) == 0;

		free(blob);
		if (is)
			return i;
	}
	return 0;
}

static const char *
revert(void)
{
	int f = any(FILES), old, new, project_now = m.project[f];
	long long change = number("select coalesce(max(id), 0) from "
	    "hearth.pending_changes where status = 'applied' "
	    "and file_path = 'f%d'", f);
	const char *owner;
	bool good;

	if (!change)
		return "nothing to revert";
	old = side(change, "old_oid");
	new = side(change, "new_oid");
	owner = keep(xstrdup(value("select coalesce(agent, 'person') from "
	    "hearth.pending_changes where id = %lld", change)));
	good = m.reviewed[f] == old || (m.reviewed[f] == new &&
	    merge(new, &project_now, old));
	ck_assert_int_eq(decide("revert", change), good);
	if (good && m.reviewed[f] != old) {
		if (m.told[f] == m.reviewed[f])
			m.owner[f] = owner;
		m.reviewed[f] = old;
		m.project[f] = project_now;
	}
	return good ? "revert" : "revert with a conflict";
}

static const char *
crash(void)
{
	daemon_crash();
	start(NULL);
	return "kill -9";
}

/* ---- after each */

static int
content(const char *where, int f)
{
	return atoi(file_text("%s/f%d", where, f));
}

static void
check(const char *step, int n)
{
	struct buf rows = { 0 };
	const char *there;

	buf_adds(&rows, "");
	for (int f = 0; f < FILES; f++) {
		ck_assert_msg(content(project, f) == m.project[f],
		    "step %d, %s: the project's f%d is %d, not %d", n, step,
		    f, content(project, f), m.project[f]);
		ck_assert_msg(content(worktree(), f) == m.worktree[f],
		    "step %d, %s: the worktree's f%d is %d, not %d", n, step,
		    f, content(worktree(), f), m.worktree[f]);
		if (m.told[f] != m.reviewed[f])
			buf_printf(&rows, "f%d %s %s, ", f, !m.reviewed[f] ?
			    "create" : m.told[f] ? "edit" : "delete",
			    m.owner[f]);
	}
	there = value("select coalesce(string_agg(concat_ws(' ', file_path, "
	    "operation, coalesce(agent, 'person')) || ', ', '' order by "
	    "file_path), '') from hearth.pending_changes "
	    "where status = 'pending'");
	ck_assert_msg(strcmp(rows.data, there) == 0, "step %d, %s: pending "
	    "are \"%s\", not \"%s\"", n, step, there, rows.data);
	check_value("0", "select count(*) from hearth.pending_changes "
	    "where decision is not null");
	buf_free(&rows);
}

START_TEST(any_sequence_keeps_files_and_rows_together)
{
	static const char *(*const steps[])(void) = {
		take_turn, take_turn, edit, edit, accept, accept, reject,
		revert, revert,
	};
	const char *given = getenv("SEED");

	seed = given ? (unsigned)atoi(given) :
	    (unsigned)now_ms() + 7919 * (unsigned)_i;
	printf("# SEED=%u\n", seed);
	fflush(stdout);
	m = (struct model){ .owner = { "", "", "" } };
	prepare();
	add_agent("other", NULL);
	start(NULL);
	complete(chat, "fake", "say hello");
	for (int i = 0; i < STEPS; i++) {
		const char *done = any(20) == 0 ? crash() :
		    steps[any(sizeof steps / sizeof *steps)]();

		if (getenv("VERBOSE"))
			printf("# %d %s\n", i, done);
		check(done, i);
	}
}
END_TEST

static void
add(TCase *tc)
{
	tcase_add_loop_test(tc, any_sequence_keeps_files_and_rows_together,
	    0, 3);
}

int
main(void)
{
	return e2e_main("review", add);
}
