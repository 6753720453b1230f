/* SPDX-License-Identifier: MIT */
/*
 * /proc, read once for each question. Who belongs to whom is found by climbing
 * from each process to its parents, so agents below keepers count, too.
 */
#include "bench/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSES_MAX = 8192, CLIMB_MAX = 64 };

struct process {
	pid_t pid, parent;
	double reaped;  /* ticks of children that ended */
	char name[32];
};

static struct process all[PROCESSES_MAX];
static size_t n_all;

static int
read_process(struct process *p, const char *pid)
{
	char path[64], text[1024], *end, *begin;
	long user_reaped, system_reaped;
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return -1;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	begin = strchr(text, '(');
	end = strrchr(text, ')');
	if (!begin || !end || sscanf(end + 2, "%*c %d %*d %*d %*d %*d %*u %*u "
	    "%*u %*u %*u %*u %*u %ld %ld", &p->parent, &user_reaped,
	    &system_reaped) != 3)
		return -1;
	*end = '\0';
	snprintf(p->name, sizeof p->name, "%.31s", begin + 1);
	p->pid = atoi(pid);
	p->reaped = (double)(user_reaped + system_reaped);
	return 0;
}

static void
read_all(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	n_all = 0;
	while (d && (e = readdir(d)) && n_all < PROCESSES_MAX)
		if (isdigit((unsigned char)e->d_name[0]) &&
		    read_process(&all[n_all], e->d_name) == 0)
			n_all++;
	if (d)
		closedir(d);
}

static const struct process *
find(pid_t pid)
{
	for (size_t i = 0; i < n_all; i++)
		if (all[i].pid == pid)
			return &all[i];
	return NULL;
}

static int
is_below(const struct process *p, pid_t ancestor)
{
	for (int i = 0; p && i < CLIMB_MAX; i++, p = find(p->parent))
		if (p->pid == ancestor)
			return 1;
	return 0;
}

/* Seconds of all its threads, to the nanosecond, unlike those in stat. */
static double
own_seconds(pid_t pid)
{
	char path[64];
	struct dirent *e;
	double sum = 0;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		double ns = 0;
		FILE *f;

		/* task/../schedstat is the process, counted once more */
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.10s/schedstat",
		    (int)pid, e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%lf", &ns) == 1)
			sum += ns / 1e9;
		fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

static double
stolen(void)
{
	double t[8] = { 0 };
	FILE *f = fopen("/proc/stat", "r");

	if (!f)
		return 0;
	if (fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", t, t + 1, t + 2,
	    t + 3, t + 4, t + 5, t + 6, t + 7) != 8)
		t[7] = 0;
	fclose(f);
	return t[7];
}

struct cpu
proc_cpu(pid_t daemon, pid_t postgres)
{
	double hz = (double)sysconf(_SC_CLK_TCK);
	struct cpu c = { 0 };

	read_all();
	for (size_t i = 0; i < n_all; i++) {
		const struct process *p = &all[i];
		/* An embedded cluster is below the daemon: it counts apart. */
		bool is_postgres = is_below(p, postgres);

		if (is_postgres)
			c.postgres += own_seconds(p->pid) + p->reaped / hz;
		else if (p->pid == daemon)
			c.daemon += own_seconds(p->pid);
		else if (is_below(p, daemon))
			c.children += own_seconds(p->pid) + p->reaped / hz;
	}
	c.stolen = stolen() / hz;
	return c;
}

struct cpu
cpu_since(const struct cpu *then, pid_t daemon, pid_t postgres)
{
	struct cpu c = proc_cpu(daemon, postgres);

	c.daemon -= then->daemon;
	c.children -= then->children;
	c.postgres -= then->postgres;
	c.stolen -= then->stolen;
	return c;
}

long
proc_kb(pid_t pid, const char *file, const char *key)
{
	char path[64], text[256];
	size_t n = strlen(key);
	long kb = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/%.20s", (int)pid, file);
	f = fopen(path, "r");
	if (!f)
		return 0;
	while (fgets(text, sizeof text, f))
		if (strncmp(text, key, n) == 0)
			kb = atol(text + n);
	fclose(f);
	return kb;
}

long
proc_kb_below(pid_t ancestor, const char *name, const char *file,
    const char *key)
{
	long kb = 0;

	read_all();
	for (size_t i = 0; i < n_all; i++)
		if (strcmp(all[i].name, name) == 0 &&
		    is_below(&all[i], ancestor))
			kb += proc_kb(all[i].pid, file, key);
	return kb;
}
