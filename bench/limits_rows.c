/* SPDX-License-Identifier: MIT */
/*
 * What PostgreSQL takes: commits with a row or a notification in each, waiting
 * for the disk or not, and rows of events, as an INSERT and as a COPY. One
 * connection writes, so these are what one writer can reach, not what the
 * server can.
 */
#include <stdio.h>

#include "bench/limits.h"
#include "bench/stats.h"
#include "bench/talk.h"

static const double LIMIT = 60; /* seconds */
static void
set_mode(PGconn *pg, const char *setting)
{
	char words[64];

	snprintf(words, sizeof words, "set synchronous_commit = %s", setting);
	talk_do(pg, words);
}

static void
make_commits(PGconn *pg)
{
	talk_do(pg, "create table if not exists commits (id bigint generated"
	    " always as identity primary key, at timestamptz default now())");
}

void
limits_commit(const char *name, long n)
{
	static const struct {
		const char *setting, *name;
	} modes[] = { { "on", "durable" }, { "off", "not_durable" } };
	PGconn *pg = limits_open();
	char full[128];

	make_commits(pg);
	talk_prepare(pg, "commit", "insert into commits default values");
	for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
		struct samples s = { 0 };

		set_mode(pg, modes[m].setting);
		for (long i = -LIMITS_WARM_UP; i < n; i++) {
			double begin = now();

			PQclear(talk_run(pg, "commit", 0, NULL));
			if (i >= 0)
				sample(&s, now() - begin);
		}
		snprintf(full, sizeof full, "%s.%s", name, modes[m].name);
		figure_latency(full, &s);
	}
	PQfinish(pg);
}

/* A transaction that only notifies writes nothing that the disk must have. */
static const struct {
	const char *setting, *name, *sql;
} notifications[] = {
	{ "on", "durable", "with c as (insert into commits default values"
	    " returning id) select pg_notify('bench_notify', 'row') from c" },
	{ "off", "not_durable", "with c as (insert into commits default values"
	    " returning id) select pg_notify('bench_notify', 'row') from c" },
	{ "off", "alone", "select pg_notify('bench_notify', 'nothing')" },
};

static void
notify_in_a_row(PGconn *pg, PGconn *listener, const char *full, long n)
{
	char rate[160];
	double begin = now();

	for (long i = 0; i < n; i++)
		PQclear(talk_run(pg, "notify", 0, NULL));
	snprintf(rate, sizeof rate, "%s.rate", full);
	figure(rate, "commits/s", (double)n / (now() - begin));
	for (long i = 0; i < n; i++)
		PQfreemem(talk_wait(listener, now() + LIMIT, "what was told"));
}

void
limits_notify(const char *name, long n)
{
	PGconn *pg = limits_open(), *listener = limits_open();
	char full[128];

	make_commits(pg);
	talk_do(listener, "listen bench_notify");
	for (size_t k = 0; k < sizeof notifications / sizeof *notifications;
	    k++) {
		struct samples heard = { 0 }, late = { 0 };

		set_mode(pg, notifications[k].setting);
		talk_do(pg, "deallocate all");
		talk_prepare(pg, "notify", notifications[k].sql);
		for (long i = -LIMITS_WARM_UP; i < n; i++) {
			double begin = now(), committed;

			PQclear(talk_run(pg, "notify", 0, NULL));
			committed = now();
			PQfreemem(talk_wait(listener, now() + LIMIT,
			    "the notification"));
			if (i < 0)
				continue;
			sample(&heard, now() - begin);
			sample(&late, now() - committed);
		}
		snprintf(full, sizeof full, "%s.%s", name,
		    notifications[k].name);
		notify_in_a_row(pg, listener, full, n);
		figure_latency(full, &heard);
		snprintf(full, sizeof full, "%s.%s.after_commit", name,
		    notifications[k].name);
		figure_latency(full, &late);
	}
	PQfinish(listener);
	PQfinish(pg);
}

void
limits_insert(const char *name, long rows, long batch)
{
	PGconn *pg = limits_open();
	char words[128], number[24], first[24];
	const char *values[] = { first, number };
	double begin;

	talk_do(pg, "drop table if exists events; create table events (chat"
	    " uuid, seq bigint, turn bigint, agent text, kind text, payload"
	    " jsonb, created_at timestamptz default now(),"
	    " primary key (chat, seq))");
	talk_prepare(pg, "insert", "insert into events (chat, seq, turn, agent,"
	    " kind, payload) select '00000000-0000-0000-0000-000000000001',"
	    " $1::bigint + g, 1, 'load', 'text', jsonb_build_object('text',"
	    " 'the quick brown fox jumps over it, the quick brown fox jumps"
	    " over') from generate_series(1, $2::bigint) g");
	snprintf(number, sizeof number, "%ld", batch);
	begin = now();
	for (long i = 0; i < rows; i += batch) {
		snprintf(first, sizeof first, "%ld", i);
		PQclear(talk_run(pg, "insert", 2, values));
	}
	snprintf(words, sizeof words, "%s.rows", name);
	figure(words, "rows/s", (double)rows / (now() - begin));
	PQfinish(pg);
}

static void
put_rows(PGconn *pg, long first, long count)
{
	char row[256];

	for (long i = first; i < first + count; i++) {
		int n = snprintf(row, sizeof row, "00000000-0000-0000-0000-"
		    "000000000001\t%ld\t1\tload\ttext\t{\"text\": \"%010ld "
		    "the quick brown fox jumps over it, the quick brown "
		    "f\"}\n", i, i);

		if (PQputCopyData(pg, row, n) != 1)
			die("copy: %s", PQerrorMessage(pg));
	}
}

/* The columns, the index and the text are those of a stream's events. */
void
limits_copy(const char *name, long rows, long batch)
{
	static const char copy[] = "copy copied (chat_id, seq, turn_id, agent,"
	    " kind, payload) from stdin";
	PGconn *pg = limits_open();
	char full[128];
	double begin;

	talk_do(pg, "drop table if exists copied; create table copied (chat_id"
	    " uuid not null, seq bigint not null, turn_id bigint, created_at"
	    " timestamptz not null default clock_timestamp(), repaired boolean"
	    " not null default false, agent text, kind text not null, tenant"
	    " text not null default '', payload jsonb not null default '{}',"
	    " primary key (chat_id, seq))");
	begin = now();
	for (long i = 0; i < rows; i += batch) {
		PGresult *res = PQexec(pg, copy);

		if (PQresultStatus(res) != PGRES_COPY_IN)
			die("%s: %s", copy, PQerrorMessage(pg));
		PQclear(res);
		put_rows(pg, i, batch);
		if (PQputCopyEnd(pg, NULL) != 1)
			die("copy: %s", PQerrorMessage(pg));
		while ((res = PQgetResult(pg))) {
			if (PQresultStatus(res) != PGRES_COMMAND_OK)
				die("copy: %s", PQerrorMessage(pg));
			PQclear(res);
		}
	}
	snprintf(full, sizeof full, "%s.rows", name);
	figure(full, "rows/s", (double)rows / (now() - begin));
	PQfinish(pg);
}
