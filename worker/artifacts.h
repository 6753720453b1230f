/* SPDX-License-Identifier: MIT */
/*
 * Things with a URL in what an agent says: pull and merge requests (GitHub,
 * GitLab, Bitbucket and Gitea, on whatever host), and previews (a local
 * server's port, the usual preview hosts). Pure: a text in, calls out.
 */
#ifndef HEARTH_ARTIFACTS_H
#define HEARTH_ARTIFACTS_H

#include <stdbool.h>
#include <stddef.h>

/* Longer ones are none. */
#define ARTIFACT_URL_MAX 2000

/* Borrowed for the callback. */
struct artifact {
	bool is_request;      /* a pull or merge request; else a preview */
	/*
	 * As short as it names the thing: a request without what follows its
	 * number, a preview without path; host in small letters, no user, no
	 * query.
	 */
	const char *url;
	const char *title;    /* "shop/web#12" "shop/web!12" "localhost:3000" */
	/* of a request */
	const char *provider; /* "github" "gitlab" "bitbucket" "gitea" */
	const char *repository;
	long number;
	const char *state;    /* "opened" "merged" "closed", as the words beside
	                       * the URL have it; NULL: they don't say */
	/* of a preview */
	const char *path;     /* as it was given; NULL: none */
};

/* False: that is enough. */
typedef bool artifact_fn(void *ctx, const struct artifact *a);
/* text is whole: a URL at its end is one that ends there. What stands in the
 * path of another URL is not looked at. */
void artifacts_find(const char *text, size_t len, artifact_fn *found,
    void *ctx);

#endif
