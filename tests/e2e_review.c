/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of turns, edits and decisions, against a model: two agents, and
 * a person who edits both the worktree and the project, asks for files to be
 * changed and decides, on whole changes, on parts and on all at once, while
 * hearthd is killed now and then, also in the middle of what it was asked for.
 * After each step the files, the pending rows and whose they are must be the
 * model's.
 *
 * A file has two halves, each one of few, so that the same comes again often,
 * two different changes of one half always conflict and those of different ones
 * never do. SEED=N repeats a run, STEPS=N makes it longer, VERBOSE=1 tells its
 * steps.
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
#define STEPS 50

/* Contents: 0 there is no file, else the upper half times 4 and the lower. */
enum { UPPER = 4, CONTENTS = 16 };

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

static int
any_content(void)
{
	return any(6) == 0 ? 0 : UPPER * (1 + any(3)) + 1 + any(3);
}

/* So far from each other that a diff has two hunks. eol: a newline. */
static char *
text_of_content(int content, const char *eol)
{
	return xasprintf("upper %d%s.%s.%s.%s.%s.%s.%s.%s.%slower %d%s",
	    content / UPPER, eol, eol, eol, eol, eol, eol, eol, eol, eol,
	    content % UPPER, eol);
}

static void
put(const char *where, int f, int content)
{
	char *text = text_of_content(content, "\\n");

	if (content == 0)
		shell("rm -f %s/f%d", where, f);
	else
		shell("printf '%s' > %s/f%d", text, where, f);
	free(text);
}

/* What is asked for finds something that nobody has told yet. If hearthd is
 * killed then, whose it is is only told with the next turn. */
static bool finds;

/* What changed in the worktree since it was told is now told as somebody's. */
static void
tell(const char *owner)
{
	for (int f = 0; f < FILES; f++)
		if (m.told[f] != m.worktree[f]) {
			m.told[f] = m.worktree[f];
			m.owner[f] = owner;
			finds = true;
		}
}

static bool
merge_half(int base, int *ours, int theirs)
{
	if (*ours == theirs || base == theirs)
		return true;
	if (*ours != base)
		return false;
	*ours = theirs;
	return true;
}

/* What one side left alone is the other's, else each half for itself. */
static bool
merge(int base, int *ours, int theirs)
{
	int upper = *ours / UPPER, lower = *ours % UPPER;

	if (merge_half(base, ours, theirs))
		return true;
	if (base == 0 || *ours == 0 || theirs == 0 ||
	    !merge_half(base / UPPER, &upper, theirs / UPPER) ||
	    !merge_half(base % UPPER, &lower, theirs % UPPER))
		return false;
	*ours = upper * UPPER + lower;
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

		char *text;

		m.worktree[f] = any_content();
		text = text_of_content(m.worktree[f], "\\n");
		if (m.worktree[f])
			buf_printf(&script, ";write f%d %s", f, text);
		else
			buf_printf(&script, ";run rm -f f%d", f);
		free(text);
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

	*(inside ? &m.worktree[f] : &m.project[f]) = any_content();
	put(inside ? worktree() : project, f,
	    inside ? m.worktree[f] : m.project[f]);
	return inside ? "edit in the worktree" : "edit in the project";
}

/* Asks and waits, maybe killing hearthd on the way; true when it was done. */
static bool __attribute__((format(printf, 1, 2)))
ask(const char *fmt, ...)
{
	char call[2048];
	bool is_killed;
	long long id;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(call, sizeof call, fmt, ap);
	va_end(ap);
	id = number("select hearth.%s", call);
	is_killed = any(6) == 0 && !finds;
	if (getenv("VERBOSE"))
		printf("# %s%s\n", call, is_killed ? ", killed" : "");
	if (is_killed) {
		usleep((useconds_t)any(60) * 1000);
		daemon_crash();
		start(NULL);
	}
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

/* A file for which there is something to do, if there is one. */
static int
pick(bool (*fits)(int f))
{
	int f = any(FILES);

	for (int i = 0; i < FILES && !fits(f); i++)
		f = (f + 1) % FILES;
	return f;
}

static bool
has_pending(int f)
{
	return m.told[f] != m.reviewed[f];
}

static bool
has_parts(int f)
{
	int old = m.reviewed[f], new = m.told[f];

	return old != 0 && new != 0 && old / UPPER != new / UPPER &&
	    old % UPPER != new % UPPER;
}

static long long
applied(int f)
{
	return number("select coalesce(max(id), 0) from "
	    "hearth.pending_changes where status = 'applied' "
	    "and file_path = 'f%d'", f);
}

static bool
has_applied(int f)
{
	return applied(f) != 0;
}

static bool
model_accept(int f, int content)
{
	bool good = merge(m.reviewed[f], &m.project[f], content);

	if (good)
		m.reviewed[f] = content;
	return good;
}

static const char *
accept(void)
{
	int f = pick(has_pending);
	long long change = pending(f);
	bool good;

	if (!change)
		return "nothing to accept";
	good = model_accept(f, m.told[f]);
	ck_assert_int_eq(ask("accept_change(%lld)", change), good);
	return good ? "accept" : "accept with a conflict";
}

/* One of two halves that were changed. */
static const char *
accept_part(void)
{
	int f = pick(has_parts), hunk = 1 + any(2), part;
	long long change = pending(f);
	int old = m.reviewed[f], new = m.told[f];
	bool good;

	if (!has_parts(f))
		return "no parts to accept";
	part = hunk == 1 ? new / UPPER * UPPER + old % UPPER :
	    old / UPPER * UPPER + new % UPPER;
	good = model_accept(f, part);
	ck_assert_int_eq(ask("accept_hunks(%lld, array[%d])", change, hunk),
	    good);
	return good ? "accept a part" : "accept a part with a conflict";
}

static const char *
accept_all(void)
{
	bool good = true;

	for (int f = 0; f < FILES; f++)
		if (has_pending(f) && !model_accept(f, m.told[f]))
			good = false;
	ck_assert_int_eq(ask("accept_changes('%s')", session_of(chat)), good);
	return good ? "accept all" : "accept all, some with a conflict";
}

/* What is in the worktree is told before. */
static bool
model_reject(int f, int told)
{
	bool good = m.worktree[f] == told || m.worktree[f] == m.reviewed[f];

	if (good)
		m.told[f] = m.worktree[f] = m.reviewed[f];
	return good;
}

static const char *
reject(void)
{
	int f = pick(has_pending), told = m.told[f];
	long long change = pending(f);
	bool good;

	if (!change)
		return "nothing to reject";
	tell("person");
	good = model_reject(f, told);
	ck_assert_int_eq(ask("reject_change(%lld)", change), good);
	return good ? "reject" : "reject what moved on";
}

static const char *
reject_all(void)
{
	struct model before = m;
	bool good = true, some = false;

	for (int f = 0; f < FILES; f++)
		some = some || has_pending(f);
	if (some)
		tell("person");
	for (int f = 0; f < FILES; f++)
		if (before.told[f] != before.reviewed[f] &&
		    !model_reject(f, before.told[f]))
			good = false;
	ck_assert_int_eq(ask("reject_changes('%s')", session_of(chat)), good);
	return good ? "reject all" : "reject all, some of which moved on";
}

static void
model_queue(int f, int content, const char *owner)
{
	m.told[f] = m.worktree[f] = content;
	m.owner[f] = owner;
}

/* For an agent or by hand. */
static const char *
queue(void)
{
	int f = any(FILES), content = any_content(), was;
	bool for_agent = any(2);
	const char *owner = for_agent ? "other" : "person";
	const char *agent = for_agent ? "'other'" : "null";
	const char *session = keep(xstrdup(session_of(chat)));
	bool good;

	was = m.worktree[f];
	if (content != 0 && was != 0) {
		content = content / UPPER * UPPER + was % UPPER;
		if (content == was)
			return "nothing to edit";
	}
	tell("person");
	if (content == 0) {
		good = ask("queue_delete('%s', 'f%d', %s)", session, f, agent);
		ck_assert_int_eq(good, was != 0);
	} else if (was == 0 || any(3) == 0) {
		char *text = text_of_content(content, "\\n");

		good = ask("queue_create('%s', 'f%d', E'%s', %s)", session, f,
		    text, agent);
		ck_assert_int_eq(good, was == 0);
		free(text);
	} else {
		good = ask("queue_edit('%s', 'f%d', 'upper %d', 'upper %d', "
		    "%s)", session, f, was / UPPER, content / UPPER, agent);
		ck_assert(good);
	}
	if (good)
		model_queue(f, content, owner);
	return good ? "a file is asked for" : "a file cannot be changed";
}

static char oids[CONTENTS][72];

static void
learn_oids(void)
{
	for (int i = UPPER + 1; i < CONTENTS; i++) {
		char *text = text_of_content(i, "\\n");

		shell("printf '%s' | git hash-object --stdin > %s/oid", text,
		    folder);
		snprintf(oids[i], sizeof oids[i], "%s",
		    file_text("%s/oid", folder));
		oids[i][strcspn(oids[i], "\n")] = '\0';
		free(text);
	}
}

/* What a change made of what; the model asks the rows. */
static int
side(long long change, const char *column)
{
	const char *oid = value("select %s from hearth.pending_changes "
	    "where id = %lld", column, change);

	for (int i = 1; i < CONTENTS && *oid; i++)
		if (strcmp(oids[i], oid) == 0)
			return i;
	return 0;
}

static const char *
revert(void)
{
	int f = pick(has_applied), old, new;
	int project_now = m.project[f], reviewed_now = m.reviewed[f];
	long long change = applied(f);
	const char *owner;
	bool good;

	if (!change)
		return "nothing to revert";
	old = side(change, "old_oid");
	new = side(change, "new_oid");
	owner = keep(xstrdup(value("select coalesce(agent, 'person') from "
	    "hearth.pending_changes where id = %lld", change)));
	good = m.reviewed[f] == old || (merge(new, &reviewed_now, old) &&
	    merge(new, &project_now, old));
	ck_assert_int_eq(ask("revert_change(%lld)", change), good);
	if (good && m.reviewed[f] != old) {
		if (m.told[f] == m.reviewed[f])
			m.owner[f] = owner;
		m.reviewed[f] = reviewed_now;
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
	const char *text = file_text("%s/f%d", where, f);
	int upper = 0, lower = 0;

	if (*text == '\0')
		return 0;
	ck_assert_int_eq(sscanf(text, "upper %d", &upper), 1);
	text = strstr(text, "lower ");
	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(sscanf(text, "lower %d", &lower), 1);
	return upper * UPPER + lower;
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
		take_turn, take_turn, take_turn, edit, edit, edit, accept,
		accept, accept_part, accept_part, accept_all, reject, reject,
		reject_all, queue, queue, revert, revert, revert,
	};
	const char *given = getenv("SEED"), *longer = getenv("STEPS");

	seed = given ? (unsigned)atoi(given) :
	    (unsigned)now_ms() + 7919 * (unsigned)_i;
	printf("# SEED=%u\n", seed);
	fflush(stdout);
	m = (struct model){ .owner = { "", "", "" } };
	prepare();
	add_agent("other", NULL);
	start(NULL);
	complete(chat, "fake", "say hello");
	learn_oids();
	for (int i = 0; i < (longer ? atoi(longer) : STEPS); i++) {
		const char *done;

		finds = false;
		done = any(20) == 0 ? crash() :
		    steps[any(sizeof steps / sizeof *steps)]();
		if (getenv("VERBOSE")) {
			printf("# %d %s\n", i, done);
			fflush(stdout);
		}
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
