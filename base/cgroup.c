/* SPDX-License-Identifier: MIT */
/* Part of hearth-keeper: libc alone. */
#include "base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Those that an agent may have made in its own. */
#define REMOVE_FDS 8

static int
open_file(const char *dir, const char *file, int flags)
{
	char path[512];
	int n = snprintf(path, sizeof path, "%s/%s", dir, file);

	if (n >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, flags | O_CLOEXEC);
}

int
cgroup_write(const char *dir, const char *file, const char *text)
{
	int fd = open_file(dir, file, O_WRONLY), error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

bool
cgroup_read(const char *dir, const char *file, char *text, size_t size)
{
	int fd = open_file(dir, file, O_RDONLY);
	size_t len = 0;
	ssize_t n = -1;

	/* a page at a time, whatever is asked for */
	while (fd >= 0 && len < size - 1 &&
	    (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	if (fd >= 0)
		close(fd);
	return n >= 0;
}

int64_t
cgroup_number(const char *dir, const char *file)
{
	char text[64], *end;
	long long value;

	if (!cgroup_read(dir, file, text, sizeof text))
		return -1;
	if (strcmp(text, "max\n") == 0)
		return -2;
	value = strtoll(text, &end, 10);
	return end != text && value >= 0 ? value : -1;
}

bool
cgroup_is_frozen(const char *dir)
{
	char text[256];

	return cgroup_read(dir, "cgroup.events", text, sizeof text) &&
	    (strncmp(text, "frozen 1\n", 9) == 0 ||
	    strstr(text, "\nfrozen 1\n"));
}

bool
cgroup_has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
		size_t len = strcspn(text, " \n");

		if (len == n && strncmp(text, word, n) == 0)
			return true;
		text += len;
	}
	return false;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	if (type == FTW_DP)
		rmdir(path);
	return 0;
}

void
cgroup_remove(const char *dir)
{
	/* nearly always there is none below it */
	if (rmdir(dir) != 0 && errno != ENOENT)
		nftw(dir, remove_one, REMOVE_FDS, FTW_DEPTH | FTW_PHYS);
}
