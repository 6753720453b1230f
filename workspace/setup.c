/* SPDX-License-Identifier: MIT */
/*
 * Runs the setup command as a child of this program, which makes itself the
 * reaper of whatever the command leaves behind and ends that, too: nothing may
 * write into the copy when its tree is taken.
 *
 * Must never know: git, records. Read on in workspace/worktree_main.c.
 */
#include "workspace/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/ring.h"
#include "base/tree.h"

/* What the shell says of a command that it cannot run. */
#define CANNOT_RUN 127

/* ---- its file: state, exit code, milliseconds, output */

int
setup_expect(const struct place *p, bool is_restored, struct err *e)
{
	const char *lines[] = { is_restored ? "back" : "new", NULL };

	return place_write(p->setup_file, lines, e);
}

static char *
rest_of(FILE *f)
{
	char *text = xcalloc(1, SETUP_OUTPUT_MAX + 1);
	size_t n = fread(text, 1, SETUP_OUTPUT_MAX, f);

	/* the line break is the file's */
	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = '\0';
	return text;
}

enum setup_state
setup_state(const struct place *p, struct setup *outcome)
{
	FILE *f = fopen(p->setup_file, "re");
	enum setup_state state = SETUP_NONE;
	char word[8] = "";
	long long ms = 0;

	*outcome = (struct setup){ .output = NULL };
	if (!f)
		return SETUP_NONE;
	if (fscanf(f, "%7s", word) != 1 || strcmp(word, "new") == 0)
		state = SETUP_DUE;
	else if (strcmp(word, "back") == 0)
		state = SETUP_RESTORED;
	else if (fscanf(f, "%d %lld", &outcome->exit_code, &ms) == 2 &&
	    fgetc(f) == '\n') {
		state = SETUP_DONE;
		outcome->ms = ms;
		outcome->output = rest_of(f);
	}
	fclose(f);
	return state;
}

bool
setup_is_due(const struct place *p)
{
	struct setup outcome;
	enum setup_state state = setup_state(p, &outcome);

	free(outcome.output);
	return state == SETUP_DUE || state == SETUP_RESTORED;
}

int
setup_settle(const struct place *p, const struct setup *outcome,
    struct err *e)
{
	char *numbers;
	int rc;

	if (!outcome) {
		unlink(p->setup_file);
		return 0;
	}
	numbers = xasprintf("%d %lld", outcome->exit_code,
	    (long long)outcome->ms);
	rc = place_write(p->setup_file, (const char *const[]){ "done", numbers,
	    outcome->output, NULL }, e);
	free(numbers);
	return rc;
}

/* ---- running it */

static pid_t
spawn(const char *folder, char *const *argv, int out)
{
	posix_spawn_file_actions_t fds;
	posix_spawnattr_t attr;
	sigset_t ignored;
	pid_t pid = -1;

	posix_spawn_file_actions_init(&fds);
	posix_spawn_file_actions_addopen(&fds, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fds, out, 1);
	posix_spawn_file_actions_adddup2(&fds, out, 2);
	posix_spawn_file_actions_addchdir_np(&fds, folder);
	sigemptyset(&ignored);
	sigaddset(&ignored, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &ignored);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF |
	    POSIX_SPAWN_SETSID);
	errno = posix_spawnp(&pid, argv[0], &fds, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fds);
	return errno ? -1 : pid;
}

static bool
kill_one(pid_t pid, pid_t parent, void *ctx)
{
	(void)ctx;
	tree_signal(pid, parent, SIGKILL);
	return true;
}

/* Ends all that is left below this program; nothing else of it runs now. */
static void
end_all(void)
{
	do
		tree_walk(getpid(), kill_one, NULL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
}

/* False: the pipe is empty or closed. */
static bool
read_some(int fd, struct ring *said)
{
	char chunk[65536];
	ssize_t n = read(fd, chunk, sizeof chunk);

	if (n > 0)
		ring_add(said, chunk, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Until the command itself ends, or its time is over: then false. */
static bool
await(int pidfd, int out, int64_t until, struct ring *said)
{
	struct pollfd fds[2] = { { pidfd, POLLIN, 0 }, { out, POLLIN, 0 } };
	int64_t left;

	while ((left = until - clock_ms()) > 0) {
		if (poll(fds, 2, left < 60000 ? (int)left : 60000) < 0 &&
		    errno != EINTR)
			return false;
		if (fds[1].revents && !read_some(out, said) &&
		    (fds[1].revents & POLLHUP))
			fds[1].fd = -1;
		if (fds[0].revents)
			return true;
	}
	return false;
}

static int
exit_code_of(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
	    WEXITSTATUS(status);
}

static int
run(pid_t pid, int out, int64_t limit_ms, struct setup *o, struct err *e)
{
	struct ring *said = ring_new(SETUP_OUTPUT_MAX);
	int pidfd = pidfd_open(pid, 0), rc = 0;

	if (pidfd < 0)
		rc = fail(e, "pidfd_open: %s", strerror(errno));
	else if (await(pidfd, out, clock_ms() + limit_ms, said))
		o->exit_code = exit_code_of(pid);
	else
		o->is_late = true;
	end_all();
	while (read_some(out, said))
		;
	o->output = ring_text(said, SETUP_OUTPUT_MAX);
	ring_free(&said);
	if (pidfd >= 0)
		close(pidfd);
	return rc;
}

int
setup_run(const struct place *p, char *const *argv, int64_t limit_ms,
    struct setup *outcome, struct err *e)
{
	int64_t began = clock_ms();
	int fd[2], rc = 0;
	pid_t pid;

	*outcome = (struct setup){ .exit_code = CANNOT_RUN };
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail(e, "pipe2: %s", strerror(errno));
	fcntl(fd[1], F_SETFL, 0); /* the command's own end blocks */
	pid = spawn(p->worktree, argv, fd[1]);
	if (pid < 0)
		outcome->output = xasprintf("cannot run %s: %s", argv[0],
		    strerror(errno));
	close(fd[1]);
	if (pid >= 0)
		rc = run(pid, fd[0], limit_ms, outcome, e);
	close(fd[0]);
	outcome->ms = clock_ms() - began;
	return rc;
}
