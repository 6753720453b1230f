/* SPDX-License-Identifier: MIT */
/*
 * Takes a connection string apart with libpq's own parser, so that every form
 * that psql takes is taken here, and looks its host names up one after the
 * other. A name with several addresses becomes several entries of the lists
 * host, hostaddr and port, which libpq tries in turn; host stays the name, for
 * the check of certificates. See sql/resolve.c for the look-up itself.
 */
#include "sql/target.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "sql/resolve.h"

struct target {
	struct ev_loop *loop;
	char **keywords, **values;    /* same length */
	char **hosts, **ports;        /* to look up; NULL: nothing to do */
	size_t at;                    /* the host that is being looked up */
	struct resolve *resolve;
	struct buf host, hostaddr, port;
	target_fn *done;
	void *ctx;
};

static int
find(const struct target *t, const char *keyword)
{
	for (int i = 0; t->keywords && t->keywords[i]; i++)
		if (strcmp(t->keywords[i], keyword) == 0)
			return i;
	return -1;
}

static const char *
get(const struct target *t, const char *keyword)
{
	int i = find(t, keyword);

	return i < 0 ? NULL : t->values[i];
}

static void
set(struct target *t, const char *keyword, const char *value)
{
	int i = find(t, keyword);

	if (i < 0) {
		strv_add(&t->keywords, keyword);
		strv_add(&t->values, value);
		return;
	}
	free(t->values[i]);
	t->values[i] = xstrdup(value);
}

static void
set_default(struct target *t, const char *keyword, const char *value)
{
	if (value && *value && find(t, keyword) < 0)
		set(t, keyword, value);
}

static char **
split(const char *list)
{
	char *copy = xstrdup(list), *rest = copy, *item, **out = NULL;

	while ((item = strsep(&rest, ",")))
		strv_add(&out, item);
	free(copy);
	return out;
}

/* Remembers the host names, if there are any that are not addresses. */
static void
plan_lookup(struct target *t)
{
	const char *host = get(t, "host"), *port = get(t, "port");
	bool has_name = false;

	if (!host || get(t, "hostaddr") || getenv("PGHOSTADDR"))
		return;
	t->hosts = split(host);
	for (size_t i = 0; t->hosts[i]; i++)
		if (!resolve_is_literal(t->hosts[i]))
			has_name = true;
	if (!has_name)
		strv_free(&t->hosts);
	else
		t->ports = split(port ? port : "");
}

struct target *
target_new(struct ev_loop *loop, const char *conninfo,
    const char *application_name, struct err *e)
{
	char *words = NULL;
	PQconninfoOption *options = PQconninfoParse(conninfo, &words);
	struct target *t;

	if (!options) {
		if (words)
			words[strcspn(words, "\n")] = '\0';
		fail(e, "database: %s", words ? words : "out of memory");
		PQfreemem(words);
		return NULL;
	}
	t = xcalloc(1, sizeof *t);
	t->loop = loop;
	for (PQconninfoOption *o = options; o->keyword; o++)
		if (o->val && *o->val)
			set(t, o->keyword, o->val);
	PQconninfoFree(options);
	set_default(t, "host", getenv("PGHOST"));
	set_default(t, "port", getenv("PGPORT"));
	set_default(t, "application_name", application_name);
	set_default(t, "gssencmode", "disable");
	/* A server whose machine is gone is noticed within half a minute. */
	set_default(t, "keepalives_idle", "10");
	set_default(t, "keepalives_interval", "5");
	set_default(t, "keepalives_count", "3");
	set_default(t, "tcp_user_timeout", "30000");
	set(t, "client_encoding", "UTF8");
	plan_lookup(t);
	return t;
}

void
target_free(struct target **t)
{
	if (!*t)
		return;
	target_cancel(*t);
	strv_free(&(*t)->keywords);
	strv_free(&(*t)->values);
	strv_free(&(*t)->hosts);
	strv_free(&(*t)->ports);
	buf_free(&(*t)->host);
	buf_free(&(*t)->hostaddr);
	buf_free(&(*t)->port);
	free(*t);
	*t = NULL;
}

void
target_cancel(struct target *t)
{
	resolve_free(&t->resolve);
}

static void
add_entry(struct target *t, const char *host, const char *address)
{
	size_t n = strv_len(t->ports);
	const char *port = t->ports[n == 1 ? 0 : t->at < n ? t->at : n - 1];
	const char *comma = t->host.len ? "," : "";

	buf_printf(&t->host, "%s%s", comma, host);
	/* A socket folder has no address: libpq takes the empty entry so. */
	buf_printf(&t->hostaddr, "%s%s", comma, address);
	buf_printf(&t->port, "%s%s", comma, port);
}

static void on_resolved(void *ctx, char *const *addresses,
    const struct err *e);

/* Goes on to the next name. 1: under way, 0: all are known, -1: failed. */
static int
look_up_next(struct target *t, struct err *e)
{
	const char *host;

	for (; (host = t->hosts[t->at]); t->at++) {
		if (!resolve_is_literal(host))
			return resolve_start(t->loop, host, on_resolved, t,
			    &t->resolve, e) < 0 ? -1 : 1;
		add_entry(t, host, *host == '/' || *host == '@' ? "" : host);
	}
	set(t, "host", t->host.data);
	set(t, "hostaddr", t->hostaddr.data);
	if (get(t, "port"))
		set(t, "port", t->port.data);
	return 0;
}

static void
on_resolved(void *ctx, char *const *addresses, const struct err *e)
{
	struct target *t = ctx;
	struct err own;
	int rc;

	resolve_free(&t->resolve);
	if (!addresses) {
		t->done(t->ctx, e);
		return;
	}
	for (; *addresses; addresses++)
		add_entry(t, t->hosts[t->at], *addresses);
	t->at++;
	rc = look_up_next(t, &own);
	if (rc <= 0)
		t->done(t->ctx, rc < 0 ? &own : NULL);
}

int
target_lookup(struct target *t, target_fn *done, void *ctx, struct err *e)
{
	if (!t->hosts)
		return 0;
	target_cancel(t);
	t->done = done;
	t->ctx = ctx;
	t->at = 0;
	t->host.len = t->hostaddr.len = t->port.len = 0;
	return look_up_next(t, e);
}

const char *const *
target_keywords(const struct target *t)
{
	return (const char *const *)t->keywords;
}

const char *const *
target_values(const struct target *t)
{
	return (const char *const *)t->values;
}
