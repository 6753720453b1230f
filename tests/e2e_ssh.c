/* SPDX-License-Identifier: MIT */
/*
 * An agent behind `hearth agents add --ssh HOST`: a real sshd of the test's
 * own, on a free port of the loopback, with keys made for it. Skipped where
 * sshd is missing.
 */
#include "tests/e2e.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "cli/launcher.h"

#define SSHD "/usr/sbin/sshd"

static int
free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check_true(bind(fd, (struct sockaddr *)&a, n) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void
start_sshd(void)
{
	int port = free_port();

	shell("ssh-keygen -q -t ed25519 -N '' -f %s/host && "
	    "ssh-keygen -q -t ed25519 -N '' -f %s/user", folder, folder);
	shell("printf 'ListenAddress 127.0.0.1\\nPort %d\\nHostKey %s/host\\n"
	    "AuthorizedKeysFile %s/user.pub\\nStrictModes no\\nUsePAM no\\n"
	    "PermitRootLogin yes\\nPidFile %s/sshd.pid\\n' > %s/sshd.conf",
	    port, folder, folder, folder, folder);
	shell("printf 'Host far\\n HostName 127.0.0.1\\n Port %d\\n "
	    "IdentityFile %s/user\\n IdentitiesOnly yes\\n "
	    "StrictHostKeyChecking no\\n UserKnownHostsFile %s/known\\n "
	    "LogLevel ERROR\\n' > %s/ssh.conf", port, folder, folder, folder);
	/* a test that fails does not come to stop_sshd() */
	shell("timeout -k 1 100 " SSHD " -D -f %s/sshd.conf -E %s/sshd.log "
	    "< /dev/null > /dev/null 2>&1 &", folder, folder);
	while (!file_exists("%s/sshd.pid", folder))
		blink();
}

static void
stop_sshd(void)
{
	shell("kill $(cat %s/sshd.pid)", folder);
}

/* Agent "far"; its words are the client's but for ssh's configuration and the
 * place of a keeper that is not installed. */
static void
add_far(void)
{
	struct launcher_choice l = { 0 };
	char *keeper = child_helper_path("hearth-keeper"), *text;
	struct err e;
	json_t *words;

	add_agent("far", "--no-eof", "--ignore-term", "--stderr",
	    "it's $HOME \"far\"", NULL);
	launcher_option(&l, 'H', "far", &e);
	words = launcher_make(&l, "fake_agent");
	text = json_dumps(words, JSON_COMPACT);
	sql("update hearth.agents set env = '{\"XDG_HEARTH_E2E\": \"%s\", "
	    "\"GREETING\": \"it''s  $HOME\"}', launcher = array['ssh', '-F', "
	    "'%s/ssh.conf'] || array(select regexp_replace(w, "
	    "'[^ ]*/hearth-keeper', '%s') from jsonb_array_elements_text("
	    "$x$%s$x$) with ordinality x (w, n) where n > 1 order by n) "
	    "where name = 'far'", folder, folder, keeper, text);
	free(text);
	json_decref(words);
	launcher_clear(&l);
	free(keeper);
}

START_TEST(agent_behind_ssh_answers_and_dies_with_the_daemon)
{
	pid_t child, apart, agent;
	const char *path;
	int64_t turn;

	start(NULL);
	start_sshd();
	add_far();
	turn = complete(chat, "far", "echo-env GREETING;echo-cwd");
	path = value("select path from hearth.worktrees");
	check_has(text_of(turn), "[env GREETING=it's  $HOME]");
	check_has(text_of(turn), path);
	turn = complete(chat, "far", "echo-pid;grandchild");
	agent = pid_in(text_of(turn), "pid");
	child = pid_in(text_of(turn), "grandchild");
	turn = complete(chat, "far", "setsid-grandchild");
	apart = pid_in(text_of(turn), "grandchild");
	check_true(agent > 0 && child > 0 && apart > 0);
	check_true(!is_gone(agent) && !is_gone(child) && !is_gone(apart));
	daemon_crash();
	wait_gone(agent, LIMIT);
	wait_gone(child, LIMIT);
	wait_gone(apart, LIMIT);
	start(NULL);
	turn = complete(chat, "far", "setsid-grandchild");
	apart = pid_in(text_of(turn), "grandchild");
	sql("select hearth.close_agent('%s', 'far')", chat);
	wait_gone(apart, LIMIT);
	check_value("it's $HOME \"far\"\n", "select stderr_tail "
	    "from hearth.executions where stderr_tail <> '' limit 1");
	stop_sshd();
}
END_TEST

static void
add(TCase *tc)
{
	tcase_add_test(tc, agent_behind_ssh_answers_and_dies_with_the_daemon);
}

int
main(void)
{
	bool is_made;
	int status;

	if (access(SSHD, X_OK) != 0) {
		printf("1..0 # SKIP there is no " SSHD "\n");
		return 0;
	}
	/* where sshd of root locks itself in; its service makes it */
	is_made = geteuid() == 0 && mkdir("/run/sshd", 0755) == 0;
	status = e2e_main("e2e_ssh", add);
	if (is_made)
		rmdir("/run/sshd");
	return status;
}
