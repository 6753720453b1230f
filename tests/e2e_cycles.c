/* SPDX-License-Identifier: MIT */
/*
 * Many lives of children, one after the other, ended in every way there is:
 * nothing of them may add up in the daemon. HEARTH_CYCLES says how many; the
 * growth that is allowed is the same for any number of them.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdlib.h>

#include "base/alloc.h"

#define CYCLES 150
#define GROWTH_KB 300 /* from a fifth of the cycles to the last */

#ifndef __has_feature
#define __has_feature(x) 0
#endif
/* A sanitizer keeps what was freed. */
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
#define MEMORY_IS_TOLD 0
#else
#define MEMORY_IS_TOLD 1
#endif

static const char *chats[2];
static int at; /* the chat that has the child */

static void
wait_ended(const char *status)
{
	wait_value(status, LIMIT, "select status from hearth.agent_sessions "
	    "where chat_id = '%s' and pid is null", chats[at]);
}

static void
it_exits(pid_t pid)
{
	(void)pid;
	wait_turn(submit(chats[at], "keeper", "say x;exit 3"), "failed",
	    LIMIT);
	wait_ended("crashed");
}

static void
it_is_killed(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_ended("crashed");
}

static void
it_is_closed(pid_t pid)
{
	(void)pid;
	sql("select hearth.close_agent('%s', 'keeper')", chats[at]);
	wait_ended("closed");
}

static void
it_makes_room(pid_t pid)
{
	int of = at;

	(void)pid;
	at = !at;
	complete(chats[at], "keeper", "say my turn");
	wait_value("evicted: max_agents reached", LIMIT, "select end_reason "
	    "from hearth.executions where chat_id = '%s' "
	    "order by id desc limit 1", chats[of]);
	it_is_closed(0);
}

static void (*const ends[])(pid_t pid) = {
	it_exits, it_is_killed, it_is_closed, it_makes_room
};

static void
cycle(int i)
{
	pid_t pid;

	complete(chats[at], "keeper", "say hello;tool read it");
	pid = agent_pid(chats[at], "keeper");
	ends[i % 4](pid);
	wait_gone(pid, LIMIT);
}

static int
cycles(void)
{
	const char *said = getenv("HEARTH_CYCLES");

	return said && atoi(said) >= 20 ? atoi(said) : CYCLES;
}

/* The daemon; who samples memory goes soon after the last child. */
static void
wait_alone(void)
{
	int64_t until = now_ms() + LIMIT;

	while (count_processes() > 1) {
		check_true(now_ms() < until);
		blink();
	}
}

START_TEST(lives_of_children_leave_nothing_behind)
{
	int n = cycles(), fds = 0;
	const char *store;
	long rss = 0, grown;

	prepare();
	store = keep(xasprintf("%s/sessions", folder));
	shell("mkdir -m 0777 '%s'", store);
	add_agent("keeper", "--store", store, "--resume", NULL);
	start("max_agents=1", "crash_limit=100000 in 1s", NULL);
	chats[0] = chat;
	chats[1] = new_chat(session_of(chat));
	for (int i = 0; i < n; i++) {
		cycle(i);
		if (i != n / 5)
			continue;
		wait_alone();
		fds = daemon_fds();
		rss = daemon_kb("VmRSS:");
	}
	wait_value("0", LIMIT, "select count(*) from hearth.executions "
	    "where ended_at is null");
	wait_alone();
	ck_assert_int_le(daemon_fds(), fds);
	grown = daemon_kb("VmRSS:") - rss;
	if (MEMORY_IS_TOLD && grown > GROWTH_KB)
		e2e_fail(__FILE__, __LINE__, "%d cycles: memory grew by "
		    "%ld kB from %ld", n, grown, rss);
	ck_assert_int_eq(number("select count(*) from hearth.executions"),
	    n + n / 4);
}
END_TEST

static void
add(TCase *tc)
{
	tcase_add_test(tc, lives_of_children_leave_nothing_behind);
}

int
main(void)
{
	char *times = xasprintf("%d", 1 + cycles() / 200);

	setenv("CK_TIMEOUT_MULTIPLIER", times, 0);
	free(times);
	return e2e_main("cycles", add);
}
