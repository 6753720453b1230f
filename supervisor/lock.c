/* SPDX-License-Identifier: MIT */
/* The state folder and its lock. */
#include "supervisor/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

/* mkdir -p, every new folder with mode 0711 */
static int
make_folders(const char *path, struct err *e)
{
	char *copy = xstrdup(path);
	int rc = 0;

	for (char *p = copy + 1; rc == 0; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, 0711) != 0 && errno != EEXIST)
			rc = fail(e, "state_dir %s: cannot make %s: %s (make "
			    "it, or choose another with state_dir = …)", path,
			    copy, strerror(errno));
		*p = c;
		if (c == '\0')
			break;
	}
	free(copy);
	return rc;
}

/* Whoever may write there could put programs or trees in our way. */
static int
check_owner(const char *state_dir, struct err *e)
{
	struct stat st;

	if (stat(state_dir, &st) != 0)
		return fail(e, "state_dir %s: %s", state_dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail(e, "state_dir %s: it is not a folder", state_dir);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return fail(e, "state_dir %s: others may write to it (chmod "
		    "go-w it, or choose another)", state_dir);
	if (st.st_uid != geteuid() && geteuid() != 0)
		return fail(e, "state_dir %s: it belongs to another user",
		    state_dir);
	return 0;
}

/* Before the loop begins. A keeper that was just being started when another
 * hearthd was killed has that one's lock until its exec. */
static bool
take(int fd)
{
	const struct timespec nap = { 0, 10 * 1000 * 1000 };
	int tries = 100;

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || --tries == 0)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

int
lock_state_dir(const char *state_dir, struct err *e)
{
	char *path, pid[32] = "";
	int fd, rc = 0;

	if (make_folders(state_dir, e) != 0 || check_owner(state_dir, e) != 0)
		return -1;
	path = xasprintf("%s/hearthd.lock", state_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = fail(e, "state_dir %s: cannot open hearthd.lock: %s "
		    "(it must belong to the user that runs hearthd)",
		    state_dir, strerror(errno));
	} else if (!take(fd)) {
		if (read(fd, pid, sizeof pid - 1) < 0)
			pid[0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		rc = fail(e, "state_dir %s is in use by another hearthd (pid "
		    "%s): stop it, or give this one a state_dir of its own",
		    state_dir, pid);
		close(fd);
	} else {
		int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());

		if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) < n)
			rc = fail(e, "%s: %s", path, strerror(errno));
		/* fd stays open: it is the lock */
	}
	free(path);
	return rc;
}
