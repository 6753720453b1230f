/* SPDX-License-Identifier: MIT */
/*
 * The soak: one hearthd with small limits, a dozen chats, three kinds of
 * agents, and a random stream of everything that users and accidents do.
 *
 *   make soak [SOAK_MINUTES=30] [SOAK_SEED=N]
 *
 * In the first third of the time the daemon itself is killed and restarted
 * again and again; then one daemon lives to the end, so that it can be seen
 * whether it grows. Then all that is queued is let finish, the daemon stops,
 * and every invariant is checked. The seed gives the same stream of acts, not
 * the same moments. It is no part of `make check`.
 *
 * Each prompt has a number that the agent appends to a file when it gets it:
 * how often a prompt was delivered is what the agents say, not the daemon.
 */
#include "tests/soak.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "tests/e2e.h"

#define CHATS 12
#define SESSIONS 5
#define QUEUE_MAX 40
#define SETTLE_MS 240000

unsigned long long soak_seed;
const char *delivered;

static const char *chats[CHATS];
static const char *const agents[] = { "fake", "resumer", "loader" };
static unsigned long long dice;
static long long n_prompts;
static int64_t first_life_until; /* restarts of the daemon end then */

static unsigned
roll(unsigned sides)
{
	dice += 0x9e3779b97f4a7c15ULL;
	unsigned long long z = dice;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (unsigned)((z ^ (z >> 31)) % sides);
}

static void
run_daemon(void)
{
	start("max_agents=6", "idle_timeout=2s", "turn_timeout=15s",
	    "silence_timeout=6s", "permission_timeout=4s",
	    "cancel_timeout=1s", "drain_timeout=2s", "start_timeout=20s",
	    "crash_limit=1000 in 1min", NULL);
}

/* ---- acts; false: there was nothing to do it to */

/* @ becomes a number below 5, # one below 100. */
static const char *const scripts[] = {
	"say hello",
	"say hello;count 200 1;say and done",
	"chunks 20 1000 2",
	"think hm;say yes",
	"count 50 10",
	"tool read looks;say seen",
	"tool-start t1 execute make;sleep 50;tool-update t1 in_progress x;"
	    "tool-end t1;say made",
	"tool-start t1 execute make;sleep 20;say the call stays open",
	"tool-flood t1 50 100;tool-end t1",
	"edit f@.txt line #\\n;say edited",
	"write g@.txt text #\\n;append a.txt more #\\n",
	"delete g@.txt;write dir/h.txt #\\n",
	"permission;allowed write p@.txt yes;say x",
	"permission allow_once reject_once allow_always;say x",
	"permission-async;sleep 100;say on",
	"permissions 3;say x",
	"say a;hang",
	"tool-start t1 execute x;on-cancel never;hang;hang",
	"on-cancel late 300;say a;hang",
	"on-cancel exit 3;say a;hang",
	"say a;exit #",
	"say a;tool-start t1 execute x;signal KILL",
	"write half.txt #\\n;signal SEGV",
	"empty",
	"result null",
	"say x;error -32603 broken",
	"auth",
	"usage 1000 200000 0.01;usage-result 10 20;say x",
	"plan 4;info a title;say x",
	"setsid-grandchild;say x",
	"grandchild;say x;exit 0",
	"terminal sleep 1;terminal-wait;say x",
	"terminal sleep 3;say left open",
	"terminal sleep 60;signal KILL",
	"bad-utf8;nul;surrogate;deep 100",
	"foreign-response;error-no-id;unknown-update;say x",
	"stderr-flood 100000;say x",
	"close-stdout",
	"say x;stop;sleep 100;say late",
	"say x;stop;sleep 50;tool read late",
	"big 1;say x",
	"echo-turn;echo-session;echo-blocks",
};

static bool
submit_one(void)
{
	struct buf script = { 0 };
	const char *p = scripts[roll(sizeof scripts / sizeof *scripts)];
	const char *agent = agents[roll(3)];
	long long waiting = number("select count(*) from hearth.turns "
	    "where status = 'queued'");

	if (waiting >= QUEUE_MAX)
		return false;
	for (; *p; p++) {
		if (*p == '@' || *p == '#')
			buf_printf(&script, "%u", roll(*p == '@' ? 5 : 100));
		else
			buf_add(&script, p, 1);
	}
	n_prompts++;
	sql("insert into soak.submitted select %lld, hearth.submit('%s', "
	    "'%s', $e2e$append %s %lld\\n;%s$e2e$, mode => '%s')",
	    n_prompts, chats[roll(CHATS)], agent, delivered, n_prompts,
	    script.data, roll(10) == 0 ? "interrupt" : "queue");
	buf_free(&script);
	return true;
}

static bool
cancel_one(void)
{
	return strcmp(value("select hearth.cancel(id) from (select id from "
	    "hearth.turns where ended_at is null order by hashint8(id + %u) "
	    "limit 1) t", roll(1000)), "") != 0;
}

static bool
answer_one(void)
{
	return strcmp(value("select hearth.answer_permission(id, "
	    "options -> (%u %% jsonb_array_length(options)) ->> 'optionId') "
	    "from (select id, options from hearth.permission_requests where "
	    "status = 'pending' and not exists (select from hearth.commands "
	    "c where c.kind = 'answer_permission' and (c.args ->> "
	    "'request')::bigint = permission_requests.id) "
	    "order by id limit 1) p", roll(3)), "") != 0;
}

/* Calls a function of a chat and an agent that have a child. */
static bool
for_a_child(const char *function)
{
	return strcmp(value("select hearth.%s(chat_id, agent) from "
	    "(select chat_id, agent from hearth.agent_sessions where pid is "
	    "not null order by hashint4(pid + %u) limit 1) a", function,
	    roll(1000)), "") != 0;
}

static bool
close_one(void)
{
	return for_a_child("close_agent");
}

static bool
reset_one(void)
{
	return for_a_child("reset_agent");
}

static bool
kill_one(const char *comm)
{
	pid_t pids[64];
	int n = soak_pids(comm, pids, 64);

	return n > 0 && kill(pids[roll((unsigned)n)], SIGKILL) == 0;
}

static bool
kill_child(void)
{
	return kill_one("fake_agent");
}

static bool
kill_keeper(void)
{
	return kill_one("hearth-keeper");
}

/* They live for some milliseconds. */
static bool
kill_helper(void)
{
	int64_t until = now_ms() + 300;

	while (now_ms() < until)
		if (kill_one("hearth-worktree"))
			return true;
	return false;
}

static bool
restart(void (*end)(void))
{
	if (now_ms() > first_life_until)
		return false;
	end();
	run_daemon();
	return true;
}

static bool
kill_daemon(void)
{
	return restart(daemon_crash);
}

static bool
stop_daemon(void)
{
	return restart(stop);
}

static bool
end_backends(void)
{
	sql("select pg_terminate_backend(pid) from pg_stat_activity "
	    "where datname = current_database() "
	    "and pid <> pg_backend_pid()");
	return true;
}

static bool
restart_server(const char *mode)
{
	pg_server_stop(mode);
	poll(NULL, 0, (int)roll(1500));
	pg_server_start();
	return true;
}

static bool
stop_server(void)
{
	return restart_server("fast");
}

static bool
crash_server(void)
{
	return restart_server("immediate");
}

static struct act {
	const char *name;
	bool (*run)(void);
	unsigned weight;
	int times;
} acts[] = {
	{ "submit", submit_one, 1400, 0 },
	{ "cancel", cancel_one, 160, 0 },
	{ "answer_permission", answer_one, 200, 0 },
	{ "close_agent", close_one, 60, 0 },
	{ "reset_agent", reset_one, 15, 0 },
	{ "kill -9 of an agent", kill_child, 80, 0 },
	{ "kill -9 of a keeper", kill_keeper, 30, 0 },
	{ "kill -9 of a git helper", kill_helper, 10, 0 },
	{ "SIGKILL of hearthd", kill_daemon, 25, 0 },
	{ "SIGTERM of hearthd", stop_daemon, 15, 0 },
	{ "pg_terminate_backend", end_backends, 10, 0 },
	{ "restart of PostgreSQL", stop_server, 4, 0 },
	{ "crash of PostgreSQL", crash_server, 4, 0 },
};
#define ACTS (sizeof acts / sizeof *acts)

static void
act(void)
{
	unsigned all = 0, at;
	struct act *a = acts;

	for (size_t i = 0; i < ACTS; i++)
		all += acts[i].weight;
	for (at = roll(all); at >= a->weight; a++)
		at -= a->weight;
	a->times += a->run();
}

/* ---- the whole */

static void
make_chats(void)
{
	const char *store, *session = NULL;

	prepare();
	delivered = keep(xasprintf("%s/delivered", folder));
	store = keep(xasprintf("%s/sessions", folder));
	shell("mkdir -p -m 0777 '%s'", store);
	add_agent("resumer", "--store", store, "--resume", NULL);
	add_agent("loader", "--store", store, "--load", "--replay-late", "20",
	    NULL);
	sql("update hearth.agents set client_capabilities = "
	    "'{\"terminal\": true}' where name <> 'loader'");
	sql("create schema soak; create table soak.submitted (number bigint "
	    "primary key, turn bigint not null); "
	    "create table soak.delivered (number bigint)");
	for (int i = 0; i < CHATS; i++) {
		if (i < SESSIONS)
			session = new_session(project);
		else
			session = keep(xstrdup(session_of(
			    chats[i - SESSIONS])));
		chats[i] = new_chat(session);
	}
	sql("update hearth.sessions set concurrent_turns = true where id in "
	    "('%s', '%s')", session_of(chats[0]),
	    keep(xstrdup(session_of(chats[1]))));
}

static void
settle(void)
{
	int64_t until = now_ms() + SETTLE_MS;

	while (number("select count(*) from hearth.turns "
	    "where ended_at is null") > 0) {
		if (now_ms() > until)
			violated("%s", value("select count(*) || ' turns "
			    "have not ended; the first: ' || min(t::text) "
			    "from hearth.turns t where ended_at is null"));
		blink();
	}
	/* One more for each working copy: it sees what the others left. */
	for (int i = 0; i < SESSIONS; i++) {
		int64_t turn = submit(chats[i], "fake",
		    "append %s %lld\\n;say the end", delivered, ++n_prompts);

		sql("insert into soak.submitted values (%lld, %lld)",
		    n_prompts, (long long)turn);
		wait_turn(turn, "completed", LIMIT);
	}
	if (!comes_true(LIMIT, "0", "select count(*) "
	    "from hearth.agent_sessions where pid is not null"))
		violated("agents stay");
}

static void
print_summary(void)
{
	fprintf(stderr, "# acts of seed %llu:\n", soak_seed);
	for (size_t i = 0; i < ACTS; i++)
		fprintf(stderr, "#   %-24s %6d\n", acts[i].name,
		    acts[i].times);
	fprintf(stderr, "# turns: %s\n", value("select string_agg(status || "
	    "' ' || n, ', ' order by status) from (select status::text, "
	    "count(*) as n from hearth.turns group by status) s"));
	fprintf(stderr, "# %s executions, %s events, evicted %s, resumed by "
	    "%s\n", value("select count(*) from hearth.executions"),
	    value("select count(*) from hearth.events"),
	    value("select count(*) from hearth.executions "
	    "where end_reason like '%%evict%%'"),
	    value("select string_agg(by || ' ' || n, ', ') from (select "
	    "payload ->> 'resumed_by' as by, count(*) as n "
	    "from hearth.events where kind = 'agent_status' "
	    "group by 1) s"));
}

static double
minutes(void)
{
	const char *said = getenv("SOAK_MINUTES");

	return said && *said ? atof(said) : 30;
}

static void
take_seed(void)
{
	const char *said = getenv("SOAK_SEED");

	soak_seed = said && *said ? strtoull(said, NULL, 10) :
	    (unsigned long long)now_ms();
	dice = soak_seed;
	fprintf(stderr, "# SOAK_SEED=%llu SOAK_MINUTES=%g\n", soak_seed,
	    minutes());
}

START_TEST(nothing_is_lost_doubled_or_left_behind)
{
	int64_t whole = (int64_t)(minutes() * 60000), begin, until;
	int64_t looked = 0, sampled = 0, every = whole / 40;
	bool is_one_life = false;

	take_seed();
	make_chats();
	ignore_errors();
	run_daemon();
	begin = now_ms();
	until = begin + whole;
	first_life_until = begin + whole / 3;
	while (now_ms() < until) {
		act();
		for (int i = (int)roll(12); i > 0; i--)
			blink();
		if (now_ms() > looked + 2000) {
			check_while_running();
			looked = now_ms();
		}
		if (!is_one_life && now_ms() > first_life_until) {
			is_one_life = true;
			forget_samples();
		}
		if (now_ms() > sampled + (every < 60000 ? every : 60000)) {
			take_sample();
			sampled = now_ms();
		}
	}
	settle();
	take_sample();
	stop();
	print_summary();
	check_at_the_end();
	check_growth();
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, nothing_is_lost_doubled_or_left_behind);
}

int
main(void)
{
	char *times = xasprintf("%d", (int)minutes() + 10);

	/* e2e_main() gives a test one minute. */
	setenv("CK_TIMEOUT_MULTIPLIER", times, 1);
	free(times);
	return e2e_main("soak", add_tests);
}
