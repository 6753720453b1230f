/* SPDX-License-Identifier: MIT */
/*
 * A reading of a tree: its processes are listed with what stat and statm say,
 * sorted by pid, and compared with the list of the reading before. Only if
 * they differ by enough, memory is read, of the largest processes first.
 */
#include "pool/footprint.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/tree.h"
#include "pool/swap.h"

/* What may change by without a new reading: the larger of the two. */
#define SLACK_KB 1024
#define SLACK_PART 32
/* Rounds after which a tree that is not asked for is forgotten. */
#define FORGET_ROUNDS 8

struct process {
	pid_t pid;
	uint64_t began;        /* with pid: names it for ever */
	int64_t resident_kb;
	int64_t own_kb;        /* resident and of no file: what it shares with
	                        * nobody, save forks of it */
};

struct tree {
	char *key;
	struct process *list;  /* of the last reading of memory, by pid */
	int n;
	int64_t pss_kb;
	int age;               /* readings of the tree since then */
	int64_t round;         /* of the newest reading */
};

struct footprints {
	struct map trees;
	unsigned pause;
	int64_t round;
	int64_t reads;
	int64_t page_kb;
	int64_t ticks;         /* of processor time in a second */
};

/* While a tree is listed. */
struct listing {
	const struct footprints *f;
	struct process *list;
	int n, size;
	int64_t ticks;
};

struct footprints *
footprints_new(unsigned pause)
{
	struct footprints *f = xcalloc(1, sizeof *f);

	f->pause = pause;
	f->page_kb = sysconf(_SC_PAGESIZE) / 1024;
	f->ticks = sysconf(_SC_CLK_TCK);
	return f;
}

/* ---- /proc */

/* The beginning of /proc/PID/name as a string; false when it cannot be. */
static bool
read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	size_t len = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (len < size - 1 &&
	    (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	text[len] = '\0';
	return len > 0;
}

/* began (NULL: not wanted), and the processor time of it and of its children
 * that it has waited for. */
static bool
read_stat(pid_t pid, uint64_t *began, int64_t *ticks)
{
	char text[1024];
	const char *end;
	int64_t user, kernel, user_below, kernel_below;
	uint64_t start;

	if (!read_proc(pid, "stat", text, sizeof text))
		return false;
	/* the name may hold spaces and parentheses */
	end = strrchr(text, ')');
	if (!end || sscanf(end, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
	    "%*u %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
	    " %*d %*d %*d %*d %" SCNu64, &user, &kernel, &user_below,
	    &kernel_below, &start) != 5)
		return false;
	if (began)
		*began = start;
	*ticks += user + kernel + user_below + kernel_below;
	return true;
}

static void
read_statm(const struct footprints *f, struct process *p)
{
	char text[256];
	int64_t resident, shared;

	if (!read_proc(p->pid, "statm", text, sizeof text) ||
	    sscanf(text, "%*d %" SCNd64 " %" SCNd64, &resident, &shared) != 2)
		return;
	p->resident_kb = resident * f->page_kb;
	p->own_kb = (resident - shared) * f->page_kb;
	if (p->own_kb < 0)
		p->own_kb = 0;
}

/* In kB; -1: there is no such line. name: "\nPss:" … */
static int64_t
figure(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoll(line + strlen(name), NULL, 10) : -1;
}

/* -1: it is gone, or must not be read. */
static int64_t
read_pss(pid_t pid)
{
	char text[4096];
	struct swap swap;
	int64_t pss, swapped;

	if (!read_proc(pid, "smaps_rollup", text, sizeof text))
		return -1;
	pss = figure(text, "\nPss:");
	swapped = figure(text, "\nSwapPss:");
	if (pss < 0 || swapped <= 0)
		return pss;
	swap_read(&swap);
	return pss + swap_cost_kb(&swap, swapped);
}

/* ---- listing */

static bool
list_process(pid_t pid, pid_t parent, void *ctx)
{
	struct listing *l = ctx;
	struct process p = { .pid = pid };

	(void)parent;
	if (l->n >= FOOTPRINT_MOST)
		return false;
	if (!read_stat(pid, &p.began, &l->ticks))
		return true;
	read_statm(l->f, &p);
	if (l->n == l->size) {
		l->size = l->size ? 2 * l->size : 8;
		l->list = xrealloc(l->list,
		    (size_t)l->size * sizeof *l->list);
	}
	l->list[l->n++] = p;
	return true;
}

static int
by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int
largest_first(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->resident_kb < y->resident_kb) -
	    (x->resident_kb > y->resident_kb);
}

/* The same processes, of about the same size. */
static bool
is_alike(const struct tree *t, const struct listing *l)
{
	int64_t total = 0, changed = 0, slack;

	if (t->n != l->n)
		return false;
	for (int i = 0; i < t->n; i++) {
		const struct process *a = &t->list[i], *b = &l->list[i];

		if (a->pid != b->pid || a->began != b->began)
			return false;
		total += a->resident_kb;
		changed += llabs(a->resident_kb - b->resident_kb);
	}
	slack = total / SLACK_PART;
	return changed <= (slack > SLACK_KB ? slack : SLACK_KB);
}

/* ---- memory */

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t
read_process(struct footprints *f, const struct process *p)
{
	int64_t began = now_us(), pss = read_pss(p->pid), rest;

	f->reads++;
	rest = (now_us() - began) * f->pause;
	nanosleep(&(struct timespec){ .tv_sec = rest / 1000000,
	    .tv_nsec = rest % 1000000 * 1000 }, NULL);
	/* a process of another user, say; a dead one takes nothing */
	return pss >= 0 ? pss : p->own_kb;
}

static int64_t
read_memory(struct footprints *f, const struct listing *l)
{
	size_t size = (size_t)l->n * sizeof *l->list;
	struct process *list;
	int64_t sum = 0;

	if (l->n == 0)
		return 0;
	list = xmalloc(size);
	memcpy(list, l->list, size);
	qsort(list, (size_t)l->n, sizeof *list, largest_first);
	for (int i = 0; i < l->n; i++)
		sum += i < FOOTPRINT_EXACT ? read_process(f, &list[i]) :
		    list[i].own_kb;
	free(list);
	return sum;
}

static struct tree *
find_tree(struct footprints *f, int64_t serial)
{
	char key[32];
	struct tree *t;

	snprintf(key, sizeof key, "%" PRId64, serial);
	t = map_get(&f->trees, key);
	if (!t) {
		t = xcalloc(1, sizeof *t);
		t->key = xstrdup(key);
		map_set(&f->trees, key, t);
	}
	t->round = f->round;
	return t;
}

void
footprints_read(struct footprints *f, int64_t serial, const pid_t *roots,
    size_t n, struct footprint *out)
{
	struct tree *t = find_tree(f, serial);
	struct listing l = { .f = f };

	for (size_t i = 0; i < n; i++) {
		/* a keeper's own time is nothing; those it waited for count */
		read_stat(roots[i], NULL, &l.ticks);
		tree_walk(roots[i], list_process, &l);
	}
	if (l.n > 0)
		qsort(l.list, (size_t)l.n, sizeof *l.list, by_pid);
	if (is_alike(t, &l) && ++t->age < FOOTPRINT_STALE) {
		free(l.list);
	} else {
		t->pss_kb = read_memory(f, &l);
		t->age = 0;
		free(t->list);
		t->list = l.list;
		t->n = l.n;
	}
	*out = (struct footprint){
		.pss_kb = t->pss_kb,
		.cpu_ms = l.ticks * 1000 / f->ticks,
		.processes = t->n,
	};
}

int64_t
footprints_reads(const struct footprints *f)
{
	return f->reads;
}

/* ---- forgetting */

static void
free_tree(void *value, void *ctx)
{
	struct tree *t = value;

	(void)ctx;
	free(t->list);
	free(t->key);
	free(t);
}

static void
forget_unused(void *value, void *ctx)
{
	struct footprints *f = ctx;
	struct tree *t = value;

	if (f->round - t->round < FORGET_ROUNDS)
		return;
	map_remove(&f->trees, t->key);
	free_tree(t, NULL);
}

void
footprints_end_round(struct footprints *f)
{
	f->round++;
	map_each(&f->trees, forget_unused, f);
}

void
footprints_free(struct footprints **fp)
{
	struct footprints *f = *fp;

	if (!f)
		return;
	map_each(&f->trees, free_tree, NULL);
	map_free(&f->trees);
	free(f);
	*fp = NULL;
}
