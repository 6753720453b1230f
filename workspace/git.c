/* SPDX-License-Identifier: MIT */
/*
 * Runs git so that nothing planted is run with it.
 *
 * The command line is the last word in git's configuration, so what could
 * start a program is switched off there; the system's and the user's
 * configuration are not read at all. What has no switch is closed in the
 * environment: transports (a partial clone would fetch missing objects) and
 * replaced objects. A repository is only ever the folder itself: git's search
 * upwards ends there. A git that waits for a named pipe, put where it expects
 * a file, is ended.
 *
 * Must never know: sessions, records. Blocking, for hearth-worktree alone.
 */
#include "workspace/git.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

/* Git's output beyond this is an error: so much was never meant. */
#define OUTPUT_MAX ((size_t)512 << 20)
#define STDERR_MAX 8192
/* So many seconds without a sign of life are a wait for a pipe. */
#define PATIENCE 5

static const char *const config[] = {
	"core.fsmonitor=false", "core.hooksPath=/dev/null", "gc.auto=0",
	"maintenance.auto=false", "core.attributesFile=/dev/null",
	"core.excludesFile=/dev/null", "core.untrackedCache=false",
	"core.quotePath=false", "core.pager=cat",
	"core.editor=false", "core.alternateRefsCommand=false",
	"submodule.recurse=false", "protocol.allow=never",
	"credential.helper=", "checkout.workers=1",
};

static const char *const environment[] = {
	"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
	"GIT_CONFIG_NOSYSTEM=1", "GIT_ATTR_NOSYSTEM=1",
	"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0",
	"GIT_NO_REPLACE_OBJECTS=1", "GIT_ALLOW_PROTOCOL=none",
	"GIT_NO_LAZY_FETCH=1", "GIT_LITERAL_PATHSPECS=1", "GIT_PAGER=cat",
	"GIT_EDITOR=false", "GIT_ASKPASS=false", "GIT_SSH_COMMAND=false",
	"GIT_AUTHOR_NAME=Hearth", "GIT_AUTHOR_EMAIL=hearth@localhost",
	"GIT_COMMITTER_NAME=Hearth", "GIT_COMMITTER_EMAIL=hearth@localhost",
	"LC_ALL=C", "HOME=/nonexistent",
};

static void
set(char ***env, const char *name, const char *value)
{
	char *entry = xasprintf("%s=%s", name, value);

	strv_add(env, entry);
	free(entry);
}

/* The folder above, where git's search for a repository must not arrive. */
static char *
parent_of(const char *folder)
{
	const char *slash = strrchr(folder, '/');

	return slash && slash != folder ?
	    xmemdupz(folder, (size_t)(slash - folder)) : xstrdup("/");
}

static char **
make_env(const struct git *g)
{
	const char *path = getenv("PATH");
	char **env = NULL;

	for (size_t i = 0; i < sizeof environment / sizeof *environment; i++)
		strv_add(&env, environment[i]);
	set(&env, "PATH", path ? path : "/usr/local/bin:/usr/bin:/bin");
	if (g->repository)
		set(&env, "GIT_DIR", g->repository);
	if (g->work_tree)
		set(&env, "GIT_WORK_TREE", g->work_tree);
	if (g->index)
		set(&env, "GIT_INDEX_FILE", g->index);
	if (g->folder && !g->repository) {
		char *parent = parent_of(g->folder);

		set(&env, "GIT_CEILING_DIRECTORIES", parent);
		free(parent);
	}
	if (g->date) {
		set(&env, "GIT_AUTHOR_DATE", g->date);
		set(&env, "GIT_COMMITTER_DATE", g->date);
	}
	return env;
}

static char **
make_argv(const struct git *g, const char *const *args)
{
	char **argv = NULL;

	strv_add(&argv, "git");
	for (size_t i = 0; i < sizeof config / sizeof *config; i++) {
		strv_add(&argv, "-c");
		strv_add(&argv, config[i]);
	}
	/* Root may use anybody's project; others only their own. */
	if (g->folder && !g->repository && geteuid() == 0) {
		char *safe = xasprintf("safe.directory=%s", g->folder);

		strv_add(&argv, "-c");
		strv_add(&argv, safe);
		free(safe);
	}
	if (g->folder) {
		strv_add(&argv, "-C");
		strv_add(&argv, g->folder);
	}
	for (; *args; args++)
		strv_add(&argv, *args);
	return argv;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int
spawn(const struct git *g, const char *const *args, int in, int out, int err)
{
	posix_spawn_file_actions_t fds;
	posix_spawnattr_t attr;
	sigset_t pipe_signal;
	char **argv = make_argv(g, args), **env = make_env(g);
	pid_t pid = -1;

	posix_spawn_file_actions_init(&fds);
	posix_spawn_file_actions_adddup2(&fds, in, 0);
	posix_spawn_file_actions_adddup2(&fds, out, 1);
	posix_spawn_file_actions_adddup2(&fds, err, 2);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &pipe_signal);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	errno = posix_spawnp(&pid, "git", &fds, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fds);
	strv_free(&argv);
	strv_free(&env);
	return errno ? -1 : pid;
}

int
git_start(const struct git *g, const char *const *args, struct git_process *p,
    struct err *e)
{
	int fd[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };

	*p = (struct git_process){ .pid = -1, .in = -1, .out = -1, .err = -1 };
	if (pipe2(fd[0], O_CLOEXEC) < 0 || pipe2(fd[1], O_CLOEXEC) < 0 ||
	    pipe2(fd[2], O_CLOEXEC) < 0) {
		fail(e, "pipe2: %s", strerror(errno));
	} else {
		p->pid = spawn(g, args, fd[0][0], fd[1][1], fd[2][1]);
		if (p->pid < 0)
			fail(e, "cannot run git: %s (install git, or mend "
			    "hearthd's PATH)", strerror(errno));
	}
	close_fd(&fd[0][0]);
	close_fd(&fd[1][1]);
	close_fd(&fd[2][1]);
	if (p->pid < 0) {
		close_fd(&fd[0][1]);
		close_fd(&fd[1][0]);
		close_fd(&fd[2][0]);
		return -1;
	}
	fcntl(fd[0][1], F_SETFL, O_NONBLOCK);
	p->in = fd[0][1];
	p->out = fd[1][0];
	p->err = fd[2][0];
	return 0;
}

/* Writes what the pipe takes; closes it when all is written or git closed. */
static void
feed(struct git_process *p, const struct buf *input, size_t *written)
{
	size_t left = input ? input->len - *written : 0;
	ssize_t n;

	if (left) {
		n = write(p->in, input->data + *written, left);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0)
			*written += (size_t)n;
		if (n > 0 && (size_t)n < left)
			return;
	}
	close_fd(&p->in);
}

/* What is known of a git that has said nothing since. */
struct patience {
	long long cpu;          /* ticks that it has had */
	int seconds;
};

/*
 * Called after each second in which nothing came. It sleeps, though its output
 * is read and its input is there, and it has used no processor: no disk makes
 * a process wait so.
 */
static bool
is_stuck(int pid, struct patience *w)
{
	char path[64], text[1024], state, *after;
	long long user, system;
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "re");
	n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	if (f)
		fclose(f);
	text[n] = '\0';
	after = strrchr(text, ')');
	if (!after || sscanf(after, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
	    "%*u %lld %lld", &state, &user, &system) != 3)
		return false;
	if (state != 'S' || user + system != w->cpu)
		w->seconds = 0;
	w->cpu = user + system;
	return ++w->seconds > PATIENCE;
}

static ssize_t
take(int *fd, char *to, size_t size)
{
	ssize_t n;

	do
		n = read(*fd, to, size);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		close_fd(fd);
		return 0;
	}
	return n;
}

/* One line for people from what git said on stderr. */
static void
set_reason(struct buf *said, int status, struct err *e)
{
	char *text = said->len ? said->data : "", *best = NULL, *rest = text;
	bool full = strstr(text, "No space left on device") != NULL;

	if (strstr(text, "dubious ownership")) {
		fail(e, "it belongs to another user, so git refuses to work "
		    "with it: run hearthd as its owner, or give the folder to "
		    "hearthd's user");
		return;
	}
	for (char *line; (line = strsep(&rest, "\n")) != NULL; ) {
		if (strncmp(line, "fatal: ", 7) == 0) {
			best = line + 7;
			break;
		}
		if (strncmp(line, "error: ", 7) == 0 && !best)
			best = line + 7;
		else if (*line && !best && strncmp(line, "hint: ", 6) != 0)
			best = line;
	}
	/* "unknown repository extension found:", and which in the next line */
	if (best && rest && *best && best[strlen(best) - 1] == ':') {
		rest += strspn(rest, " \t");
		fail(e, "git: %s %.*s", best, (int)strcspn(rest, "\n"), rest);
		return;
	}
	if (full)
		fail(e, "the disk is full (git: %s)", best ? best : "");
	else if (best)
		fail(e, "git: %s", best);
	else if (WIFSIGNALED(status))
		fail(e, "git was ended by signal %d", WTERMSIG(status));
	else
		fail(e, "%s", "");
}

int
git_finish(struct git_process *p, const struct buf *input, git_sink_fn *sink,
    void *ctx, struct err *e)
{
	struct buf said = { 0 };
	char chunk[65536];
	size_t written = 0, total = 0;
	struct patience patience = { 0 };
	bool was_stuck = false;
	int status = 0, ready;
	ssize_t n;

	while (p->out >= 0 || p->err >= 0) {
		struct pollfd fds[3] = {
			{ p->out, POLLIN, 0 }, { p->err, POLLIN, 0 },
			{ p->in, POLLOUT, 0 },
		};

		ready = poll(fds, 3, 1000);
		if (ready < 0 && errno != EINTR)
			break;
		if (ready == 0 && is_stuck(p->pid, &patience)) {
			was_stuck = true;
			kill(p->pid, SIGKILL);
			break;
		}
		if (ready > 0)
			patience.seconds = 0;
		if (fds[2].revents)
			feed(p, input, &written);
		if (fds[0].revents && (n = take(&p->out, chunk, sizeof chunk))) {
			total += (size_t)n;
			if (total > OUTPUT_MAX)
				close_fd(&p->out);
			else if (sink)
				sink(ctx, chunk, (size_t)n);
		}
		if (fds[1].revents && (n = take(&p->err, chunk, sizeof chunk)) &&
		    said.len < STDERR_MAX)
			buf_add(&said, chunk, (size_t)n);
	}
	close_fd(&p->in);
	close_fd(&p->out);
	close_fd(&p->err);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (was_stuck)
		fail(e, "git waited %d s for what never came: is there a named "
		    "pipe in place of a .gitignore, a .gitattributes or a file "
		    "below .git? Remove it", PATIENCE);
	else if (total > OUTPUT_MAX)
		fail(e, "git said more than %zu MiB", OUTPUT_MAX >> 20);
	else if (status != 0)
		set_reason(&said, status, e);
	buf_free(&said);
	return status == 0 && total <= OUTPUT_MAX ? 0 : -1;
}

void
git_to_buf(void *ctx, const char *p, size_t n)
{
	buf_add(ctx, p, n);
}

int
git_run(const struct git *g, const char *const *args, const struct buf *input,
    struct buf *output, struct err *e)
{
	struct git_process p;

	if (git_start(g, args, &p, e) < 0)
		return -1;
	return git_finish(&p, input, output ? git_to_buf : NULL, output, e);
}

char *
git_line(const struct git *g, const char *const *args,
    const struct buf *input, struct err *e)
{
	struct buf out = { 0 };

	if (git_run(g, args, input, &out, e) < 0) {
		buf_free(&out);
		return NULL;
	}
	if (out.len && out.data[out.len - 1] == '\n')
		out.data[--out.len] = '\0';
	return buf_take(&out);
}
