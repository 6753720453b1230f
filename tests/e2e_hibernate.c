/* SPDX-License-Identifier: MIT */
/*
 * Idle children that give their memory back and stay: before any is ended for
 * max_memory, and by hand. Only where the machine has swap (or zram) and the
 * tests run with CAP_SYS_NICE or in a cgroup v2 that is delegated, as in the
 * virtual machine of tests/vm/run; elsewhere all of it is skipped, and says
 * why.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/child.h"

#define STATUS "select status from hearth.agent_sessions " \
	"where chat_id = '%s'"
#define DONE "select status from hearth.commands where id = %lld"

static long long
ask(const char *function, const char *chat_id)
{
	return number("select hearth.%s('%s', 'fake')", function, chat_id);
}

/* Where daemons have cgroups for their agents; NULL: here they have none. */
static const char *cgroups;

/* The folder of the agent's cgroup. */
static const char *
cgroup_of(pid_t pid)
{
	const char *text = file_text("/proc/%d/cgroup", (int)pid);
	const char *path = strstr(text, "0::/");

	check_true(path != NULL);
	return keep(xasprintf("/sys/fs/cgroup%.*s", (int)strcspn(path + 3,
	    "\n"), path + 3));
}

/* Stopped, as ps(1) shows it, or by its cgroup. */
static bool
stands_still(pid_t pid)
{
	const char *end;

	if (cgroups)
		return strstr(file_text("%s/cgroup.events", cgroup_of(pid)),
		    "frozen 1") != NULL;
	end = strrchr(file_text("/proc/%d/stat", (int)pid), ')');
	return end && end[2] == 'T';
}

static void
hibernate(const char *chat_id)
{
	wait_value("done", LIMIT, DONE, ask("suspend_agent", chat_id));
	wait_value("hibernated", LIMIT, STATUS, chat_id);
	check_true(stands_still(agent_pid(chat_id, "fake")));
}

START_TEST(the_oldest_are_hibernated_before_any_is_ended)
{
	const char *other;
	int64_t turn;
	pid_t pid;

	start("max_memory=180MiB", NULL);
	other = new_chat(session_of(chat));
	complete(chat, "fake", "memory 100");
	pid = agent_pid(chat, "fake");
	complete(other, "fake", "memory 100");
	wait_value("hibernated", LIMIT, STATUS, chat);
	check_true(stands_still(pid));
	check_value("2", "select count(*) from hearth.pool");
	wait_value("t", LIMIT, "select rss_kb < 60000 from "
	    "hearth.executions where chat_id = '%s'", chat);
	check_value("idle", STATUS, other);
	/* its next turn finds it as it was; then it is the other one's turn */
	turn = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(turn), "[turn 2]");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
	check_true(agent_pid(chat, "fake") == pid);
	check_value("idle/t", "select concat_ws('/', status, suspended_at is "
	    "null) from hearth.agent_sessions where chat_id = '%s'", chat);
	check_value("0", "select count(*) from hearth.executions "
	    "where ended_at is not null");
}
END_TEST

START_TEST(by_hand_it_sleeps_and_is_woken)
{
	pid_t pid, below;
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "memory 50;setsid-grandchild");
	below = pid_in(text_of(turn), "grandchild");
	pid = agent_pid(chat, "fake");
	hibernate(chat);
	check_true(stands_still(below));
	check_value("t", "select suspended_at is not null "
	    "from hearth.agent_sessions");
	/* once more is no error */
	wait_value("done", LIMIT, DONE, ask("suspend_agent", chat));
	wait_value("done", LIMIT, DONE, ask("resume_agent", chat));
	wait_value("idle/t", LIMIT, "select concat_ws('/', status, "
	    "suspended_at is null) from hearth.agent_sessions");
	check_true(!stands_still(pid));
	hibernate(chat);
	for (int i = 0; i < 3 && !comes_true(3000, "idle", STATUS, chat); i++)
		sql("select hearth.typing('%s', 'fake', 'ann')", chat);
	check_value("idle", STATUS, chat);
	check_true(agent_pid(chat, "fake") == pid);
}
END_TEST

START_TEST(a_setting_wakes_it)
{
	long long command;

	start(NULL);
	complete(chat, "fake", "say x");
	hibernate(chat);
	command = number("select hearth.set_mode('%s', 'fake', 'code')", chat);
	wait_value("done", LIMIT, DONE, command);
	wait_value("idle", LIMIT, STATUS, chat);
	check_has(text_of(complete(chat, "fake", "echo-mode")), "code");
}
END_TEST

/* It hears of the end of its input, and ends by itself. */
START_TEST(a_sleeping_one_ends_in_order)
{
	pid_t pid;

	start(NULL);
	complete(chat, "fake", "say x");
	pid = agent_pid(chat, "fake");
	hibernate(chat);
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_gone(pid, LIMIT);
	wait_value("closed by a user/0", LIMIT, "select concat_ws('/', "
	    "end_reason, exit_code, term_signal) from hearth.executions");
	wait_value("closed", LIMIT, STATUS, chat);
}
END_TEST

START_TEST(the_doctor_says_by_which_way)
{
	char *hearth = child_helper_path("hearth");

	start(NULL);
	shell("%s -d '%s' doctor --state-dir %s | grep '^ok .*hibernation .*: "
	    "by %s'", hearth, db, state, cgroups ? "cgroups of their own" :
	    "CAP_SYS_NICE");
	free(hearth);
}
END_TEST

/* Its cgroup is its own, and goes with it. */
START_TEST(an_agent_has_a_cgroup_as_long_as_it_lives)
{
	const char *own, *daemons;
	pid_t pid;

	if (!cgroups)
		return;
	start(NULL);
	complete(chat, "fake", "say x");
	pid = agent_pid(chat, "fake");
	own = cgroup_of(pid);
	daemons = cgroup_of(daemon_pid());
	check_has(own, cgroups);
	check_has(daemons, "/.hearthd");
	check_true(strcmp(own, daemons) != 0);
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_value("closed", LIMIT, STATUS, chat);
	wait_gone(pid, LIMIT);
	stop();
	check_true(!file_exists("%s", own));
}
END_TEST

/* Its keeper is killed, too, so nobody is left that could have ended it; the
 * next daemon does. */
START_TEST(what_all_have_left_is_ended_by_the_next_daemon)
{
	const char *own, *keeper;
	int64_t turn;
	pid_t below;

	if (!cgroups)
		return;
	start(NULL);
	turn = complete(chat, "fake", "setsid-grandchild");
	below = pid_in(text_of(turn), "grandchild");
	hibernate(chat);
	own = cgroup_of(below);
	keeper = strrchr(own, '/') + 1;
	/* in this order none of them can do anything about it */
	daemon_signal(SIGSTOP);
	kill(atoi(keeper), SIGSTOP);
	daemon_crash();
	kill(atoi(keeper), SIGKILL);
	wait_gone(atoi(keeper), LIMIT);
	check_true(stands_still(below));
	start(NULL);
	check_value("closed/daemon restarted", "select concat_ws('/', status, "
	    "end_reason, pid) from hearth.agent_sessions");
	wait_gone(below, LIMIT);
	stop();
	start(NULL);
	check_true(!file_exists("%s", own));
}
END_TEST

START_TEST(a_sleeping_one_does_not_outlive_the_daemon)
{
	pid_t pid;

	start(NULL);
	complete(chat, "fake", "say x");
	pid = agent_pid(chat, "fake");
	hibernate(chat);
	daemon_crash();
	wait_gone(pid, LIMIT);
	start(NULL);
	wait_value("closed/daemon restarted", LIMIT, "select concat_ws('/', "
	    "status, end_reason, pid) from hearth.agent_sessions");
}
END_TEST

START_TEST(one_that_is_killed_in_its_sleep_has_crashed)
{
	start(NULL);
	complete(chat, "fake", "say x");
	hibernate(chat);
	kill(agent_pid(chat, "fake"), SIGKILL);
	wait_value("crashed", LIMIT, STATUS, chat);
	complete(chat, "fake", "say x");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, the_oldest_are_hibernated_before_any_is_ended);
	tcase_add_test(tc, by_hand_it_sleeps_and_is_woken);
	tcase_add_test(tc, a_setting_wakes_it);
	tcase_add_test(tc, a_sleeping_one_ends_in_order);
	tcase_add_test(tc, the_doctor_says_by_which_way);
	tcase_add_test(tc, an_agent_has_a_cgroup_as_long_as_it_lives);
	tcase_add_test(tc, what_all_have_left_is_ended_by_the_next_daemon);
	tcase_add_test(tc, a_sleeping_one_does_not_outlive_the_daemon);
	tcase_add_test(tc, one_that_is_killed_in_its_sleep_has_crashed);
}

/* What keeps this machine from it, or NULL. */
static char *
lack(void)
{
	char *path = child_helper_path("hearth-memory"), line[256] = "";
	char *command = xasprintf("'%s' --check", path ? path : "false");
	FILE *f = popen(command, "r");

	if (f) {
		if (!fgets(line, sizeof line, f))
			line[0] = '\0';
		pclose(f);
	}
	free(command);
	free(path);
	line[strcspn(line, "\n")] = '\0';
	return strncmp(line, "yes: ", 5) == 0 ? NULL : xstrdup(line);
}

int
main(void)
{
	char *why;

	cgroups = getenv("HEARTH_TEST_CGROUP");
	why = cgroups ? NULL : lack();
	if (!why)
		return e2e_main("hibernate", add_tests);
	printf("1..0 # SKIP hearth-memory --check says \"%s\"\n", why);
	free(why);
	return EXIT_SUCCESS;
}
