/* SPDX-License-Identifier: MIT */
/*
 * `hearth doctor`: one line per thing that Hearth needs, "ok", "warn" or
 * "FAIL", and how to mend what is not ok. Looks at this machine and, where it
 * can be reached, at the database; changes nothing. Read next:
 * cli/doctor_database.c.
 */
#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/options.h"
#include "base/programs.h"
#include "cli/db.h"

#define NOFILE_WANTED 8192
#define WATCHES_WANTED 65536
#define INSTANCES_WANTED 128
#define FREE_MB_WANTED 1024

void
doctor_say(struct doctor *d, enum verdict verdict, const char *what,
    const char *fmt, ...)
{
	static const char *const words[] = { "ok", "warn", "FAIL" };
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("%-4s  %-12s %s\n", words[verdict], what, text);
	d->failures += verdict == DOCTOR_FAIL;
}

static void
check_postgres(struct doctor *d)
{
	struct err e;
	char *dir = program_postgres_dir(0, &e);

	if (dir != NULL)
		doctor_say(d, DOCTOR_OK, "postgres", "server programs in %s",
		    dir);
	else
		doctor_say(d, d->is_embedded ? DOCTOR_FAIL : DOCTOR_WARN,
		    "postgres", "%s", e.text);
	free(dir);
}

/* The first line that the program prints; NULL when it cannot be run. */
static char *
first_line_of(const char *file, const char *argument, const char *second)
{
	char line[512] = "";
	int fds[2], status;
	ssize_t n = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return NULL;
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execl(file, file, argument, second, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	if (pid > 0)
		n = read(fds[0], line, sizeof(line) - 1);
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return *line != '\0' ? xstrdup(line) : NULL;
}

static void
check_git(struct doctor *d)
{
	char *file = program_find("git", NULL);
	char *line = file != NULL ? first_line_of(file, "--version", NULL) :
	    NULL;
	int major = 0, minor = 0;

	if (line != NULL)
		sscanf(line, "git version %d.%d", &major, &minor);
	if (file == NULL)
		doctor_say(d, DOCTOR_FAIL, "git", "not on PATH: install git");
	else if (major < 2 || (major == 2 && minor < 31))
		doctor_say(d, DOCTOR_FAIL, "git", "%s says \"%s\": 2.31 or "
		    "newer is needed", file, line != NULL ? line : "nothing");
	else
		doctor_say(d, DOCTOR_OK, "git", "%d.%d, %s", major, minor,
		    file);
	free(line);
	free(file);
}

static void
check_helpers(struct doctor *d)
{
	static const struct {
		const char *name;
		enum verdict without;
	} helpers[] = {
		{ "hearth-keeper", DOCTOR_FAIL },
		{ "hearth-worktree", DOCTOR_FAIL },
		{ "hearth-demo-agent", DOCTOR_WARN },
	};

	for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++) {
		char *path = child_helper_path(helpers[i].name);

		if (path != NULL)
			doctor_say(d, DOCTOR_OK, "helper", "%s", path);
		else
			doctor_say(d, helpers[i].without, "helper", "%s is "
			    "missing: install Hearth completely",
			    helpers[i].name);
		free(path);
	}
}

/* The first line of a small file; NULL: there is none, or we may not know. */
static char *
line_of_file(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[64] = "";

	if (f == NULL)
		return NULL;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return *line != '\0' ? xstrdup(line) : NULL;
}

/* Of the hearthd that has this state folder now, as it has written it there;
 * else NULL. Its lock is left alone: one that starts just now needs it. */
static char *
pid_of_hearthd(const char *state_dir)
{
	char *lock = xasprintf("%s/hearthd.lock", state_dir);
	char *pid = line_of_file(lock);
	char *comm = xasprintf("/proc/%s/comm", pid != NULL ? pid : "-");
	char *name = line_of_file(comm);

	if (name == NULL || strcmp(name, "hearthd") != 0) {
		free(pid);
		pid = NULL;
	}
	free(name);
	free(comm);
	free(lock);
	return pid;
}

/* Whether idle agents can give their memory back and stay: those of the
 * hearthd that runs, or of one that would be started as we were. */
static void
check_hibernation(struct doctor *d, const char *state_dir)
{
	char *path = child_helper_path("hearth-memory");
	char *pid = pid_of_hearthd(state_dir);
	char *line = path != NULL ? first_line_of(path, "--check", pid) :
	    NULL;

	if (path == NULL)
		doctor_say(d, DOCTOR_FAIL, "helper", "hearth-memory is "
		    "missing: install Hearth completely");
	else if (line != NULL && strncmp(line, "yes: ", 5) == 0)
		doctor_say(d, DOCTOR_OK, "hibernation", "idle agents can be "
		    "hibernated: %s", line + 5);
	else
		doctor_say(d, DOCTOR_WARN, "hibernation", "idle agents are "
		    "ended where memory is short, not hibernated: %s",
		    line == NULL ? "hearth-memory says nothing" :
		    strncmp(line, "no: ", 4) == 0 ? line + 4 : line);
	free(line);
	free(pid);
	free(path);
}

static void
check_files(struct doctor *d)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < NOFILE_WANTED)
		doctor_say(d, DOCTOR_WARN, "open files", "at most %llu: 200 "
		    "agents need %d; raise LimitNOFILE of the service or "
		    "ulimit -n", (unsigned long long)limit.rlim_max,
		    NOFILE_WANTED);
	else
		doctor_say(d, DOCTOR_OK, "open files", "%llu",
		    (unsigned long long)limit.rlim_max);
}

static void
check_inotify_limit(struct doctor *d, const char *name, long wanted)
{
	char *path = xasprintf("/proc/sys/fs/inotify/%s", name);
	FILE *f = fopen(path, "re");
	long value = 0;

	if (f == NULL || fscanf(f, "%ld", &value) != 1)
		doctor_say(d, DOCTOR_WARN, "inotify", "%s cannot be read: "
		    "changes are found by asking git each time", path);
	else if (value < wanted)
		doctor_say(d, DOCTOR_WARN, "inotify", "%s is %ld: set "
		    "fs.inotify.%s=%ld with sysctl", name, value, name,
		    wanted);
	else
		doctor_say(d, DOCTOR_OK, "inotify", "%s is %ld", name, value);
	if (f != NULL)
		fclose(f);
	free(path);
}

static void
check_state_dir(struct doctor *d, const char *dir)
{
	struct stat st;
	struct statvfs fs;
	unsigned long long free_mb;

	if (stat(dir, &st) == -1) {
		doctor_say(d, DOCTOR_WARN, "state_dir", "%s: %s; hearthd makes "
		    "it", dir, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode) || access(dir, W_OK | X_OK) == -1)
		doctor_say(d, DOCTOR_FAIL, "state_dir", "%s cannot be written "
		    "by this user: chown it to the user of hearthd", dir);
	else if ((st.st_mode & 022) != 0)
		doctor_say(d, DOCTOR_FAIL, "state_dir", "%s can be written by "
		    "others: chmod go-w it", dir);
	else
		doctor_say(d, DOCTOR_OK, "state_dir", "%s", dir);
	if (statvfs(dir, &fs) == -1)
		return;
	free_mb = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
	doctor_say(d, free_mb < FREE_MB_WANTED ? DOCTOR_WARN : DOCTOR_OK,
	    "disk", "%llu MB free%s", free_mb, free_mb < FREE_MB_WANTED ?
	    ": worktrees and the database will need more" : "");
}

static void
check_kernel(struct doctor *d)
{
	/* struct open_how: flags, mode, resolve. */
	unsigned long long how[3] = { O_PATH | O_CLOEXEC, 0, 0 };
	int old = 0, pidfd, opened;
	bool subreaper = prctl(PR_GET_CHILD_SUBREAPER, &old, 0, 0, 0) == 0;

	pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	opened = (int)syscall(SYS_openat2, AT_FDCWD, "/", how, sizeof(how));
	if (subreaper && pidfd != -1 && opened != -1)
		doctor_say(d, DOCTOR_OK, "kernel", "has subreapers, pidfds and "
		    "openat2");
	else
		doctor_say(d, DOCTOR_FAIL, "kernel", "lacks%s%s%s: Linux 5.6 "
		    "or newer is needed (or a sandbox forbids them)",
		    subreaper ? "" : " subreapers",
		    pidfd != -1 ? "" : " pidfds", opened != -1 ? "" :
		    " openat2");
	if (pidfd != -1)
		close(pidfd);
	if (opened != -1)
		close(opened);
}

static void
examine(struct doctor *d, const struct cli *cli, const char *state_dir)
{
	check_kernel(d);
	check_files(d);
	check_inotify_limit(d, "max_user_watches", WATCHES_WANTED);
	check_inotify_limit(d, "max_user_instances", INSTANCES_WANTED);
	check_git(d);
	check_helpers(d);
	check_hibernation(d, state_dir);
	check_state_dir(d, state_dir);
	check_postgres(d);
	doctor_check_database(d, cli);
}

int
cli_doctor(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{ "state-dir", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	const char *environment = getenv("HEARTH_DATABASE");
	char *state_dir = NULL, *embedded = NULL;
	struct doctor d = { 0 };
	struct err e;
	int c;

	cli_begin();
	while ((c = cli_option(cli, argc, argv, "s:", options, &e)) == 's') {
		free(state_dir);
		state_dir = xstrdup(optarg);
	}
	if (c == '?' || optind < argc) {
		free(state_dir);
		return c == '?' ? cli_usage("%s", e.text) :
		    cli_usage("doctor: unexpected argument \"%s\"",
		    argv[optind]);
	}
	if (state_dir == NULL)
		state_dir = options_default_state_dir();
	d.is_embedded = cli->database == NULL &&
	    (environment == NULL || *environment == '\0');
	if (d.is_embedded)
		cli->database = embedded = embedded_conninfo(state_dir,
		    "hearth");
	examine(&d, cli, state_dir);
	free(embedded);
	free(state_dir);
	return d.failures == 0 ? 0 : CLI_FAILED;
}
