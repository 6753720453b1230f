/* SPDX-License-Identifier: MIT */
/*
 * Every "://" in a text is looked at; what is no URL of a known shape costs
 * no more than the search for it. Shapes go by the path, not by the host, for
 * most of these servers run under names of their own.
 *
 * Must never know: where the text comes from (worker/findings.c).
 */
#include "worker/artifacts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

#define SEGMENTS_MAX 24
#define HOST_MAX 253
/* So far from a URL a word may tell its state. */
#define CONTEXT 300

struct span {
	const char *p;
	size_t n;
};

struct url {
	struct span scheme;
	char host[HOST_MAX + 1]; /* in small letters */
	int port;                /* 0: none given */
	struct span path;        /* with its first slash; query left out */
};

static bool
is(struct span s, const char *word)
{
	return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static bool
is_any_case(struct span s, const char *word)
{
	return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static bool
is_one_of(struct span s, const char *const *words)
{
	for (; *words; words++)
		if (is_any_case(s, *words))
			return true;
	return false;
}

/* ---- URLs */

/* What stands around a URL in prose, Markdown, JSON and a terminal. */
static bool
ends_url(char c)
{
	return (unsigned char)c <= ' ' || (unsigned char)c >= 0x7f ||
	    strchr("\"'<>`\\|^{}*()[]", c) != NULL;
}

/* The run from p that is a URL's and has none of the characters in stop. */
static struct span
run_of(const char *p, const char *end, const char *stop)
{
	struct span s = { p, 0 };

	while (p + s.n < end && !ends_url(p[s.n]) && !strchr(stop, p[s.n]))
		s.n++;
	return s;
}

/* Marks of the sentence that it stands in. */
static void
trim(struct span *s)
{
	while (s->n > 0 && strchr(".,;:!~_", s->p[s->n - 1]))
		s->n--;
}

static bool
is_host_char(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-' || c == '[' ||
	    c == ']' || c == ':';
}

static bool
read_port(struct span digits, int *port)
{
	long n = 0;

	for (size_t i = 0; i < digits.n; i++) {
		if (!isdigit((unsigned char)digits.p[i]) || n > 65535)
			return false;
		n = n * 10 + (digits.p[i] - '0');
	}
	*port = (int)n;
	return n > 0 && n <= 65535;
}

/* "user@host:port"; nobody's user is kept, it may have a password. */
static bool
read_authority(struct span a, struct url *u)
{
	const char *at = memrchr(a.p, '@', a.n), *colon;

	if (at) {
		a.n -= (size_t)(at + 1 - a.p);
		a.p = at + 1;
	}
	colon = memrchr(a.p, ':', a.n);
	if (colon && colon > a.p && colon[-1] != ':') {
		if (!read_port((struct span){ colon + 1,
		    a.n - (size_t)(colon + 1 - a.p) }, &u->port))
			return false;
		a.n = (size_t)(colon - a.p);
	}
	if (a.n == 0 || a.n > HOST_MAX)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (!is_host_char(a.p[i]))
			return false;
		u->host[i] = (char)tolower((unsigned char)a.p[i]);
	}
	u->host[a.n] = '\0';
	return strpbrk(u->host, "[]:") == NULL || strcmp(u->host, "[::1]") == 0;
}

/* The URL whose "://" is at mark; *end is where to go on behind it. */
static bool
read_url(const char *text, const char *mark, const char *limit, struct url *u,
    const char **end)
{
	static const char loopback[] = "[::1]";
	const char *p = mark + 3;
	struct span authority;

	*end = p;
	*u = (struct url){ .port = 0 };
	u->scheme.p = mark;
	while (u->scheme.p > text && isalnum((unsigned char)u->scheme.p[-1]))
		u->scheme.p--;
	u->scheme.n = (size_t)(mark - u->scheme.p);
	if (!is_any_case(u->scheme, "http") && !is_any_case(u->scheme, "https"))
		return false;
	authority = run_of(p, limit, "/?#");
	if (limit - p >= 5 && memcmp(p, loopback, 5) == 0)
		authority = (struct span){ p, 5 + run_of(p + 5, limit,
		    "/?#").n };
	u->path = run_of(authority.p + authority.n, limit, "?#");
	if (u->path.n == 0)
		trim(&authority);
	trim(&u->path);
	*end = authority.p + authority.n + u->path.n;
	return *end - u->scheme.p <= ARTIFACT_URL_MAX &&
	    read_authority(authority, u);
}

static char *
origin_of(const struct url *u)
{
	const char *scheme = u->scheme.n == 5 ? "https" : "http";

	return u->port ? xasprintf("%s://%s:%d", scheme, u->host, u->port) :
	    xasprintf("%s://%s", scheme, u->host);
}

/* ---- requests */

static bool
is_number(struct span s, long *number)
{
	*number = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (!isdigit((unsigned char)s.p[i]) || i == 9)
			return false;
		*number = *number * 10 + (s.p[i] - '0');
	}
	return *number > 0;
}

static bool
is_name(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr("._-~", s.p[i]))
			return false;
	return s.n > 0;
}

static size_t
split(struct span path, struct span *segments)
{
	size_t n = 0;

	while (path.n > 0 && n < SEGMENTS_MAX) {
		const char *slash = memchr(path.p + 1, '/', path.n - 1);
		size_t len = slash ? (size_t)(slash - path.p) : path.n;

		segments[n++] = (struct span){ path.p + 1, len - 1 };
		path.p += len;
		path.n -= len;
	}
	return n;
}

/*
 * Who has requests at this place: segment i names them, i + 1 is the number.
 * The repository's name is segments first to last.
 */
static const char *
provider_of(const struct span *s, size_t i, size_t *first, size_t *last)
{
	*first = 0;
	*last = i - 1;
	if (i == 2 && is(s[2], "pull"))
		return "github";
	if (i == 2 && is(s[2], "pulls"))
		return "gitea";
	if (i == 2 && is(s[2], "pull-requests"))
		return "bitbucket";
	if (i == 4 && is(s[4], "pull-requests") && is(s[2], "repos") &&
	    (is(s[0], "projects") || is(s[0], "users"))) {
		*first = 1;
		*last = 3;
		return "bitbucket";
	}
	if (i < 2 || !is(s[i], "merge_requests") || is(s[0], "api"))
		return NULL;
	if (is(s[i - 1], "-"))
		*last = i - 2;
	return *last > 0 ? "gitlab" : NULL;
}

/* "shop/web"; a Bitbucket server's has "repos" between, which is no name. */
static char *
repository_of(const struct span *s, size_t first, size_t last)
{
	const char *end = s[last].p + s[last].n;

	for (size_t i = first; i <= last; i++)
		if (!is_name(s[i]))
			return NULL;
	if (first == 1)
		return xasprintf("%.*s/%.*s", (int)s[1].n, s[1].p,
		    (int)s[3].n, s[3].p);
	return xmemdupz(s[first].p, (size_t)(end - s[first].p));
}

/* Fills a; what is not static in it is to be freed. */
static bool
read_request(const struct url *u, struct artifact *a)
{
	struct span s[SEGMENTS_MAX];
	size_t n = split(u->path, s), first = 0, last = 0, i = 0;
	const char *provider = NULL;
	char *repository, *origin;
	long number = 0;

	while (i + 1 < n && !(is_number(s[i + 1], &number) &&
	    (provider = provider_of(s, i, &first, &last)) != NULL))
		i++;
	repository = provider ? repository_of(s, first, last) : NULL;
	if (!repository)
		return false;
	origin = origin_of(u);
	*a = (struct artifact){
		.is_request = true,
		.url = xasprintf("%s%.*s", origin,
		    (int)(s[i + 1].p + s[i + 1].n - u->path.p), u->path.p),
		.title = xasprintf("%s%c%ld", repository,
		    strcmp(provider, "gitlab") == 0 ? '!' : '#', number),
		.provider = provider,
		.repository = repository,
		.number = number,
	};
	free(origin);
	return true;
}

/* ---- previews */

/* Where a branch or a local server is shown; the name in front is anybody's. */
static const char *const preview_hosts[] = {
	".vercel.app", ".netlify.app", ".netlify.live", ".pages.dev",
	".workers.dev", ".ngrok.io", ".ngrok.app", ".ngrok.dev",
	".ngrok-free.app", ".ngrok-free.dev", ".trycloudflare.com", ".loca.lt",
	".app.github.dev", ".gitpod.io", ".onrender.com", ".fly.dev",
	".herokuapp.com", ".surge.sh", ".web.app", ".firebaseapp.com",
	".up.railway.app", ".csb.app", ".webcontainer.io", ".replit.dev",
	".devtunnels.ms", ".azurestaticapps.net", ".amplifyapp.com", NULL
};

static bool
ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n > m && strcmp(s + n - m, suffix) == 0;
}

static bool
is_preview(const struct url *u)
{
	static const char *const local[] = { "localhost", "127.0.0.1",
		"0.0.0.0", "[::1]", NULL };

	if (is_one_of((struct span){ u->host, strlen(u->host) }, local) ||
	    ends_with(u->host, ".localhost"))
		return u->port > 0;
	for (const char *const *host = preview_hosts; *host; host++)
		if (ends_with(u->host, *host))
			return true;
	return false;
}

static bool
read_preview(const struct url *u, struct artifact *a)
{
	char *url;

	if (!is_preview(u))
		return false;
	url = origin_of(u);
	a->url = url;
	a->title = xstrdup(strchr(url, ':') + 3);
	a->path = u->path.n > 1 ? xmemdupz(u->path.p, u->path.n) : NULL;
	return true;
}

/* ---- states */

/* "not merged", "can be merged", "once merged": it is not. */
static const char *const negations[] = { "not", "be", "isn", "wasn", "until",
	"if", "when", "once", "after", "before", "unless", "never", NULL };

static const char *
state_of_word(struct span w)
{
	static const char *const opened[] = { "opened", "open", "created",
		"creating", "reopened", "draft", "raised", "submitted", NULL };
	static const char *const closed[] = { "closed", "declined",
		"abandoned", NULL };

	if (is_any_case(w, "merged"))
		return "merged";
	if (is_one_of(w, closed))
		return "closed";
	return is_one_of(w, opened) ? "opened" : NULL;
}

static bool
is_word_char(char c)
{
	return isalpha((unsigned char)c) || c == '_';
}

/* What the first or last word between p and end says that says any. */
static const char *
state_between(const char *p, const char *end, bool wants_last)
{
	struct span before = { NULL, 0 };
	const char *state = NULL;

	while (p < end && (!state || wants_last)) {
		struct span w = { p, 0 };

		while (p + w.n < end && is_word_char(p[w.n]))
			w.n++;
		p += w.n ? w.n : 1;
		if (w.n && state_of_word(w) && !is_one_of(before, negations))
			state = state_of_word(w);
		if (w.n)
			before = w;
	}
	return state;
}

/* The edges of another URL's context, or of another object's. */
static bool
parts(const char *p, const char *end)
{
	return *p == '{' || *p == '}' ||
	    (end - p >= 3 && memcmp(p, "://", 3) == 0);
}

/*
 * Words before the URL on its line count first, then those after it, then
 * those on the lines above: "state: MERGED" stands there in what gh shows.
 */
static const char *
find_state(const char *text, const char *limit, const char *from,
    const char *to)
{
	const char *above = from, *line, *end = to, *state;

	while (above > text && from - above < CONTEXT &&
	    !parts(above - 1, limit))
		above--;
	line = memrchr(above, '\n', (size_t)(from - above));
	line = line ? line + 1 : above;
	while (end < limit && end - to < CONTEXT && *end != '\n' &&
	    !parts(end, limit))
		end++;
	state = state_between(line, from, true);
	if (!state)
		state = state_between(to, end, false);
	return state ? state : state_between(above, line, true);
}

/* ---- all */

/* False: found has had enough. */
static bool
tell(const char *text, const char *limit, const struct url *u,
    const char *end, artifact_fn *found, void *ctx)
{
	struct artifact a = { .is_request = false };
	bool goes_on = true;

	if (read_request(u, &a))
		a.state = find_state(text, limit, u->scheme.p, end);
	if (a.is_request || read_preview(u, &a))
		goes_on = found(ctx, &a);
	free((char *)a.url);
	free((char *)a.title);
	free((char *)a.repository);
	free((char *)a.path);
	return goes_on;
}

void
artifacts_find(const char *text, size_t len, artifact_fn *found, void *ctx)
{
	const char *limit = text + len, *p = text;
	struct url u;

	while (len > 0 &&
	    (p = memmem(p, (size_t)(limit - p), "://", 3)) != NULL)
		if (read_url(text, p, limit, &u, &p) &&
		    !tell(text, limit, &u, p, found, ctx))
			return;
}
