/* SPDX-License-Identifier: MIT */
/*
 * What must be true of a daemon during and after a soak. Each query names a
 * row that contradicts a promise of doc/architecture.md, or gives no row.
 */
#include "tests/soak.h"

#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "tests/e2e.h"

#define SAMPLES 1000
#define RSS_SLACK_KB 6144  /* what the last quarter may have more, and 20 % */
#define FDS_SLACK 12

static struct sample {
	long rss_kb;
	int fds;
} samples[SAMPLES];
static int n_samples;

void
soak_violated(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	e2e_fail(file, line, "SOAK_SEED=%llu: %s", soak_seed, text);
}

/* ---- /proc */

int
soak_pids(const char *comm, pid_t *pids, int most)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	int n = 0;

	while (proc && n < most && (d = readdir(proc)) != NULL) {
		const char *name;

		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		name = file_text("/proc/%s/comm", d->d_name);
		if (strncmp(name, comm, strlen(comm)) == 0 &&
		    is_of_test(d->d_name))
			pids[n++] = (pid_t)atoi(d->d_name);
	}
	if (proc)
		closedir(proc);
	return n;
}

/* ---- rows */

static const char *const always[] = {
	"select 'two live turns of ' || chat_id || ' ' || agent "
	"from hearth.turns where status in ('starting', 'running', "
	"'waiting_permission') group by chat_id, agent having count(*) > 1",

	"select 'live turns besides an exclusive one in ' || t.session_id "
	"from hearth.turns t join hearth.sessions s on s.id = t.session_id "
	"where t.status in ('starting', 'running', 'waiting_permission') "
	"and not s.concurrent_turns "
	"group by t.session_id having count(*) > 1",

	"select 'chat ' || c.id || ' ends at ' || c.last_seq || ', its events "
	"at ' || m.seq from hearth.chats c, lateral (select max(e.seq) as seq "
	"from hearth.events e where e.chat_id = c.id) m "
	"where c.last_seq <> coalesce(m.seq, 0)",

	"select 'turn ' || id || ' is ' || status || ' and ended' "
	"from hearth.turns where (status in ('completed', 'failed', "
	"'cancelled', 'interrupted')) <> (ended_at is not null)",
};

static const char *const in_the_end[] = {
	"select 'turn ' || id || ' is ' || status from hearth.turns "
	"where ended_at is null",

	/* as after every test, with what helps to find the cause */
	"select 'turn ' || t.id || ' has ended more than once: ' || t::text || "
	"' events ' || string_agg(e::text, ' ' order by e.seq) "
	"from hearth.turns t join hearth.events e on e.chat_id = t.chat_id "
	"and e.turn_id = t.id group by t.id having "
	"count(*) filter (where e.kind = 'turn_ended') > 1",

	"select 'turn ' || id || ' is ' || status || ' without saying why' "
	"from hearth.turns where status <> 'completed' "
	"and end_reason is null and error is null",

	/* at most once, whatever died when */
	"select 'prompt ' || d.number || ' of turn ' || s.turn || ' (' || "
	"t.status || ', attempts ' || t.attempts || ') was delivered ' || "
	"count(*) || ' times' from soak.delivered d "
	"left join soak.submitted s using (number) "
	"left join hearth.turns t on t.id = s.turn "
	"group by d.number, s.turn, t.status, t.attempts having count(*) > 1",

	"select 'turn ' || t.id || ' is completed and was not delivered' "
	"from hearth.turns t join soak.submitted s on s.turn = t.id "
	"where t.status = 'completed' and not exists "
	"(select from soak.delivered d where d.number = s.number)",

	"select 'turn ' || t.id || ' was delivered before it was running' "
	"from hearth.turns t join soak.submitted s on s.turn = t.id "
	"where t.started_at is null and exists "
	"(select from soak.delivered d where d.number = s.number)",

	"select 'turn ' || t.id || ' was submitted by nobody' "
	"from hearth.turns t where not exists "
	"(select from soak.submitted s where s.turn = t.id)",

	"select 'execution ' || id || ' of ' || agent || ' has not ended' "
	"from hearth.executions where ended_at is null",

	"select 'execution ' || id || ' ended without saying why' "
	"from hearth.executions where end_reason is null",

	"select 'tool call ' || c.id || ' ' || c.tool_call_id || ' of turn ' || "
	"coalesce(t::text, 'none') || ' is ' || c.status || ' and open' "
	"from hearth.tool_calls c left join hearth.turns t on t.id = c.turn_id "
	"where c.ended_at is null",

	"select 'question ' || id || ' is pending' "
	"from hearth.permission_requests where status = 'pending'",

	"select 'command ' || id || ' ' || kind || ' is ' || status "
	"from hearth.commands where status in ('pending', 'running')",

	"select 'change of ' || file_path || ' is pending ' || count(*) || "
	"' times' from hearth.pending_changes where status = 'pending' "
	"group by session_id, file_path having count(*) > 1",

	"select 'agent session of ' || agent || ' is ' || status || ', pid ' "
	"|| coalesce(pid::text, 'null') from hearth.agent_sessions "
	"where pid is not null or status in ('warming', 'active', 'idle')",

	/* What a crash cut off is told by whoever works there next. */
	"select 'turn ' || t.id || ' has events of another chat' "
	"from hearth.turns t join hearth.events e on e.turn_id = t.id "
	"join hearth.chats c on c.id = e.chat_id "
	"where e.chat_id <> t.chat_id and (e.kind <> 'change' "
	"or c.session_id <> t.session_id)",

	/* it may have been cancelled between running and its delivery */
	"select 'turn ' || t.id || ' (' || t.status || ') has no message of "
	"the user' from hearth.turns t join soak.submitted s on s.turn = t.id "
	"join soak.delivered d using (number) where t.status <> 'interrupted' "
	"and not exists (select from hearth.messages m "
	"where m.turn_id = t.id and m.role = 'user')",
};

static void
check_queries(const char *const *queries, size_t n)
{
	const char *first = "";

	for (size_t i = 0; i < n; i++) {
		const char *wrong = value("%s", queries[i]);

		if (!wrong[0])
			continue;
		fprintf(stderr, "# violated: %s\n", wrong);
		if (!first[0])
			first = keep(xstrdup(wrong));
	}
	if (first[0])
		violated("%s", first);
}

void
check_while_running(void)
{
	pid_t pids[64];
	int n = soak_pids("fake_agent", pids, 64);

	check_queries(always, sizeof always / sizeof *always);
	/* Those that are ending are not counted against the limit. */
	if (n > 3 * MAX_AGENTS)
		violated("%d agents with max_agents=%d", n, MAX_AGENTS);
}

/* The agents' numbers as rows of soak.delivered. */
static void
take_delivered(void)
{
	char *text = xstrdup(file_text("%s", delivered));
	struct buf b = { 0 };

	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = p[1] ? ',' : '\0';
	buf_printf(&b, "insert into soak.delivered "
	    "select unnest('{%s}'::bigint[])", text);
	pg_exec(db, b.data);
	buf_free(&b);
	free(text);
}

/*
 * The working copy of a session is what its base and its pending changes make
 * of it: what was changed by whoever died when is there to be reviewed.
 */
static void
check_working_copies(void)
{
	const char *wrong = NULL;
	int n = (int)number("select count(*) from hearth.worktrees");

	for (int i = 0; i < n; i++) {
		const char *path = keep(xstrdup(value("select path "
		    "from hearth.worktrees order by id offset %d limit 1",
		    i)));

		shell("cd %s && git -c core.fsmonitor=false -c "
		    "core.quotePath=false status --porcelain "
		    "--untracked-files=all | cut -c 4- | LC_ALL=C sort > "
		    "%s/status", path, folder);
		wrong = value("select string_agg(c.file_path || e'\\n', '' "
		    "order by c.file_path collate \"C\") from "
		    "hearth.pending_changes c join hearth.worktrees w using "
		    "(session_id) where w.path = '%s' and c.status = "
		    "'pending'", path);
		if (strcmp(wrong, file_text("%s/status", folder)) != 0)
			violated("%s has\n%sand pending are\n%s", path,
			    file_text("%s/status", folder), wrong);
	}
}

void
check_at_the_end(void)
{
	pid_t pids[8];
	int n;

	take_delivered();
	check_queries(in_the_end, sizeof in_the_end / sizeof *in_the_end);
	check_working_copies();
	n = soak_pids("", pids, 8);
	if (n > 0)
		violated("%d processes are left, one is %d: %s", n,
		    (int)pids[0], file_text("/proc/%d/comm", (int)pids[0]));
}

/* ---- growth */

void
take_sample(void)
{
	struct sample *s = &samples[n_samples];

	if (n_samples == SAMPLES)
		return;
	s->rss_kb = daemon_kb("VmRSS:");
	s->fds = daemon_fds();
	n_samples++;
	fprintf(stderr, "# sample %d: RSS %ld kB, %d fds\n", n_samples,
	    s->rss_kb, s->fds);
}

void
forget_samples(void)
{
	n_samples = 0;
}

/* The mean of a quarter of the samples. */
static struct sample
mean(int from, int n)
{
	struct sample sum = { 0 };

	for (int i = from; i < from + n; i++) {
		sum.rss_kb += samples[i].rss_kb;
		sum.fds += samples[i].fds;
	}
	sum.rss_kb /= n;
	sum.fds /= n;
	return sum;
}

void
check_growth(void)
{
	int quarter = n_samples / 4;
	struct sample a, z;

	if (quarter == 0)
		return;
	a = mean(0, quarter);
	z = mean(n_samples - quarter, quarter);
	fprintf(stderr, "# first quarter: RSS %ld kB, %d fds; "
	    "last: RSS %ld kB, %d fds\n", a.rss_kb, a.fds, z.rss_kb, z.fds);
	if (z.rss_kb > a.rss_kb + a.rss_kb / 5 + RSS_SLACK_KB)
		violated("memory grew from %ld to %ld kB", a.rss_kb, z.rss_kb);
	if (z.fds > a.fds + FDS_SLACK)
		violated("fds grew from %d to %d", a.fds, z.fds);
}
