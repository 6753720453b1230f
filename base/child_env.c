/* SPDX-License-Identifier: MIT */
/*
 * What a child is given besides its arguments: an environment made from the
 * daemon's own by allow-list, so that neither the service manager's sockets
 * nor database passwords reach an agent; and the place of helper programs.
 *
 * Read next: base/child.h, base/child.c.
 */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"

#ifndef PKGLIBEXECDIR
#define PKGLIBEXECDIR "/usr/local/libexec/hearth"
#endif

/* A name that ends in '*' stands for all that begin so. */
static const char *const allowed[] = {
	"HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ",
	"TMPDIR", "TERM", "XDG_*", "SSH_AUTH_SOCK", "http_proxy",
	"https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "HTTP_PROXY",
	"HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE",
	"SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
};

static bool
is_allowed(const char *entry)
{
	size_t n = strcspn(entry, "=");

	for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
		size_t len = strlen(allowed[i]);

		if (allowed[i][len - 1] == '*') {
			if (n >= len && !strncmp(entry, allowed[i], len - 1))
				return true;
		} else if (n == len && !strncmp(entry, allowed[i], n)) {
			return true;
		}
	}
	return false;
}

char **
child_environment(void)
{
	char **env = xcalloc(1, sizeof *env);

	for (char **entry = environ; entry && *entry; entry++)
		if (strchr(*entry, '=') && is_allowed(*entry))
			strv_add(&env, *entry);
	return env;
}

void
child_setenv(char ***env, const char *entry)
{
	size_t n = strcspn(entry, "="), to = 0;

	for (size_t i = 0; *env && (*env)[i]; i++) {
		char *old = (*env)[i];

		if (strncmp(old, entry, n) == 0 && old[n] == '=')
			free(old);
		else
			(*env)[to++] = old;
	}
	if (*env)
		(*env)[to] = NULL;
	if (entry[n] == '=')
		strv_add(env, entry);
}

/* dir/name when it can be run; frees nothing. */
static char *
program_in(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);

	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

char *
child_helper_path(const char *name)
{
	char self[4096], *dir, *path;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n > 0) {
		self[n] = '\0';
		dir = dirname(self);
		path = program_in(dir, name);
		if (path)
			return path;
		dir = xstrdup(dir);
		if (!strcmp(basename(dir), "tests") ||
		    !strcmp(basename(dir), "bench"))
			path = program_in(dirname(dir), name);
		free(dir);
		if (path)
			return path;
	}
	return program_in(PKGLIBEXECDIR, name);
}
