/* SPDX-License-Identifier: MIT */
/*
 * Agents in the sandbox that `hearth agents add --sandbox` writes: what they
 * may change, what they see, and that nothing of them is left. Skipped where
 * bwrap is missing or may not make its namespaces.
 */
#include "tests/e2e.h"

#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/child.h"
#include "cli/launcher.h"

#define PROBE "bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp " \
	"--unshare-pid --die-with-parent --cap-drop ALL -- true 2>&1"

/* Agent "boxed"; the build may lie in /tmp, which the sandbox hides. */
static void
add_boxed(void)
{
	struct launcher_choice l = { 0 };
	char *file = child_helper_path("fake_agent"), *text;
	struct err e;
	json_t *words;

	add_agent("boxed", "--no-eof", "--ignore-term", NULL);
	launcher_option(&l, 'S', NULL, &e);
	launcher_option(&l, 'W', dirname(file), &e);
	words = launcher_make(&l, "fake_agent");
	text = json_dumps(words, JSON_COMPACT);
	sql("update hearth.agents set launcher = array(select "
	    "jsonb_array_elements_text($x$%s$x$)) where name = 'boxed'", text);
	free(text);
	json_decref(words);
	launcher_clear(&l);
	free(file);
}

START_TEST(sandboxed_agent_writes_to_its_working_copy_alone)
{
	const char *text;
	int64_t turn;

	start(NULL);
	add_boxed();
	turn = complete(chat, "boxed", "run echo x > inside.txt;"
	    "run touch /etc/hearth-was-here;run touch %s/a.txt;"
	    "run touch %s/outside;run git log -1;run git commit "
	    "--allow-empty -m x;run test -e %s/hearthd.lock;"
	    "run test -e /proc/%d", project, folder, state,
	    (int)daemon_pid());
	text = text_of(turn);
	/* /tmp is its own: writing there works, and is seen by nobody */
	if (strncmp(folder, "/tmp/", 5) == 0)
		ck_assert_str_eq(text, "[run 0][run 1][run 1][run 0][run 0]"
		    "[run 128][run 1][run 1]");
	check_true(!file_exists("%s/outside", folder));
	check_true(!file_exists("/etc/hearth-was-here"));
	check_value("inside.txt", "select string_agg(file_path, ' ') "
	    "from hearth.pending_changes");
	check_true(strncmp(text, "[run 0][run 1][run 1]", 21) == 0);
}
END_TEST

/* As root it would be a command away. */
START_TEST(sandboxed_agent_cannot_leave_its_sandbox)
{
	const char *text;
	int64_t turn;

	start(NULL);
	add_boxed();
	turn = complete(chat, "boxed", "run grep -q '^CapEff:.*\t0*$' "
	    "/proc/self/status;run mount -o remount,rw /;"
	    "run touch /etc/hearth-was-here;run kill -0 %d",
	    (int)daemon_pid());
	text = text_of(turn);
	check_true(strncmp(text, "[run 0][run ", 12) == 0);
	check_true(strncmp(text, "[run 0][run 0]", 14) != 0);
	check_has(text, "][run 1][run 1]");
	check_true(!file_exists("/etc/hearth-was-here"));
}
END_TEST

START_TEST(sandboxed_tree_goes_with_a_killed_daemon)
{
	int64_t until;

	start(NULL);
	add_boxed();
	complete(chat, "boxed", "grandchild;setsid-grandchild");
	check_true(count_processes() > 5);
	daemon_crash();
	for (until = now_ms() + 5000; count_processes() > 0; blink())
		if (now_ms() > until)
			e2e_fail(__FILE__, __LINE__, "%d processes are left",
			    count_processes());
	start(NULL);
	complete(chat, "boxed", "say again");
}
END_TEST

START_TEST(sandboxed_tree_goes_when_its_agent_is_closed)
{
	int before;

	start(NULL);
	add_boxed();
	before = count_processes();
	complete(chat, "boxed", "grandchild;setsid-grandchild");
	check_true(count_processes() > before);
	sql("select hearth.close_agent('%s', 'boxed')", chat);
	wait_value("closed", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is null");
	for (int64_t until = now_ms() + LIMIT; count_processes() > before;
	    blink())
		check_true(now_ms() < until);
}
END_TEST

static void
add(TCase *tc)
{
	tcase_add_test(tc, sandboxed_agent_writes_to_its_working_copy_alone);
	tcase_add_test(tc, sandboxed_agent_cannot_leave_its_sandbox);
	tcase_add_test(tc, sandboxed_tree_goes_with_a_killed_daemon);
	tcase_add_test(tc, sandboxed_tree_goes_when_its_agent_is_closed);
}

int
main(void)
{
	char why[200] = "";
	FILE *probe = popen(PROBE, "r");
	size_t n = probe ? fread(why, 1, sizeof why - 1, probe) : 0;

	why[strcspn(why, "\n")] = '\0';
	if (!probe || pclose(probe) != 0) {
		printf("1..0 # SKIP no sandbox: %s\n", n > 0 ? why :
		    "bwrap cannot be run");
		return 0;
	}
	return e2e_main("e2e_launcher", add);
}
