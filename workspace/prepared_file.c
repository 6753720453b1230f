/* SPDX-License-Identifier: MIT */
/*
 * Lines: project's number, its path, key, state, base, git folder, session.
 * Replaced by rename, so a state is there as a whole or not at all.
 *
 * Must never know: git.
 */
#include "workspace/prepared_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/place.h"

#define LINES 7
#define ID_LENGTH 36

static const char *const state_words[] = {
	[PREPARED_BEGUN] = "preparing",
	[PREPARED_READY] = "ready",
	[PREPARED_TAKEN] = "taken",
};

char *
prepared_path(const char *state_dir, const char *id)
{
	return xasprintf("%s/prepared/%s", state_dir, id);
}

/* What makes no sense counts as cut off. */
static enum prepared_state
state_of(const char *word)
{
	for (int s = PREPARED_READY; word && s <= PREPARED_TAKEN; s++)
		if (strcmp(word, state_words[s]) == 0)
			return (enum prepared_state)s;
	return PREPARED_BEGUN;
}

/* Takes over what a line holds. */
static char *
text_of(char *line)
{
	return line ? line : xstrdup("");
}

int
prepared_read(const char *state_dir, const char *id, struct prepared *p)
{
	char *path = prepared_path(state_dir, id), *line[LINES];
	struct stat st;
	bool is_there;

	*p = (struct prepared){ .id = NULL };
	is_there = stat(path, &st) == 0 && place_read(path, line, LINES);
	free(path);
	if (!is_there)
		return -1;
	p->id = xstrdup(id);
	p->project_id = line[0] ? atoll(line[0]) : 0;
	p->project = text_of(line[1]);
	p->key = text_of(line[2]);
	p->state = state_of(line[3]);
	p->base = text_of(line[4]);
	p->git_dir = text_of(line[5]);
	p->session = text_of(line[6]);
	p->since = st.st_mtim.tv_sec;
	free(line[0]);
	free(line[3]);
	return 0;
}

int
prepared_write(const char *state_dir, const struct prepared *p, struct err *e)
{
	char *path = prepared_path(state_dir, p->id);
	char *number = xasprintf("%lld", p->project_id);
	int rc = place_write(path, (const char *const[]){ number, p->project,
	    p->key, state_words[p->state], p->base, p->git_dir, p->session,
	    NULL }, e);
	struct timespec since[2] = { { .tv_sec = p->since },
		{ .tv_sec = p->since } };

	if (rc == 0 && p->since)
		utimensat(AT_FDCWD, path, since, 0);
	free(path);
	free(number);
	return rc;
}

void
prepared_free(struct prepared *p)
{
	free(p->id);
	free(p->project);
	free(p->key);
	free(p->base);
	free(p->git_dir);
	free(p->session);
	*p = (struct prepared){ .id = NULL };
}

/* "<id>.new": what place_write() is at, or has left when it was killed. */
static void
note_half(struct prepared_list *list, const char *name)
{
	char *id;

	if (strlen(name) != ID_LENGTH + 4 ||
	    strcmp(name + ID_LENGTH, ".new") != 0)
		return;
	id = xmemdupz(name, ID_LENGTH);
	strv_add(&list->halves, id);
	free(id);
}

int
prepared_list(const char *state_dir, struct prepared_list *list,
    struct err *e)
{
	char *folder = xasprintf("%s/prepared", state_dir);
	DIR *dir;
	struct dirent *d;

	*list = (struct prepared_list){ .all = NULL };
	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		fail(e, "cannot make the folder %s: %s", folder,
		    strerror(errno));
	dir = opendir(folder);
	free(folder);
	if (!dir)
		return fail(e, "%s/prepared: %s", state_dir, strerror(errno));
	while ((d = readdir(dir)) != NULL) {
		struct prepared p;

		note_half(list, d->d_name);
		if (strlen(d->d_name) != ID_LENGTH ||
		    prepared_read(state_dir, d->d_name, &p) < 0)
			continue;
		list->all = xrealloc(list->all,
		    (list->n + 1) * sizeof *list->all);
		list->all[list->n++] = p;
	}
	closedir(dir);
	return 0;
}

void
prepared_list_free(struct prepared_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		prepared_free(&list->all[i]);
	free(list->all);
	strv_free(&list->halves);
	*list = (struct prepared_list){ .all = NULL };
}
