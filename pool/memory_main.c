/* SPDX-License-Identifier: MIT */
/*
 * hearth-memory: says what trees of processes take, so that hearthd does not
 * wait while the kernel counts their pages, and pages hibernated ones out.
 * hearthd starts one while it has children, under a keeper; the end of its
 * input is its end.
 *
 * A request is a line per tree, "SERIAL PID…" (the processes below which the
 * tree is), and an empty line. The answer is, as it becomes known, a line per
 * tree in the same order, "SERIAL PSS_KB CPU_MS PROCESSES", and an empty line.
 * "?SERIAL…" asks besides whether the tree may be hibernated, "!SERIAL…", once
 * it is stopped, that it be paged out first; why not is told behind the answer.
 *
 * Both go by the cgroups that the hearthd with the pid PARENT has made for its
 * trees, where it has: hearth-memory --hearthd PARENT.
 *
 * hearth-memory --check [PID] says whether this machine, this program and the
 * hearthd with that pid (else: one that would be started like this) can
 * hibernate, for hearth doctor.
 *
 * Read next: pool/footprint.c, pool/hibernate.c.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "pool/footprint.h"
#include "pool/hibernate.h"

#define ROOTS 64
/* It takes a fifth of a processor at most, and leaves every process that it
 * looks at alone for longer than it held it up. */
#define PAUSE 4
/* Until the signal that stops a tree has come to all its threads, or what an
 * idle one does for a moment is over. */
#define LOOKS 20
#define LOOK_PAUSE_MS 10

struct request {
	char mark;             /* ? ! or 0 */
	int64_t serial;
	pid_t roots[ROOTS];
	size_t n;
};

/* Where the trees' cgroups are. */
static struct delegation place;

/* False when the line cannot be meant so. */
static bool
parse(char *line, struct request *q)
{
	char *end;

	q->mark = *line == '?' || *line == '!' ? *line++ : 0;
	q->serial = strtoll(line, &end, 10);
	for (q->n = 0; end != line && *end == ' ' && q->n < ROOTS; ++q->n) {
		line = end + 1;
		q->roots[q->n] = (pid_t)strtol(line, &end, 10);
	}
	return end != line && *end == '\n';
}

/* Why it may not be hibernated, or NULL. */
static const char *
refusal(const struct request *q, bool is_stopped, struct hibernation *h)
{
	for (int i = 0; i < LOOKS; i++) {
		hibernation_look(&place, q->roots, q->n, h);
		if (is_stopped ? h->stopped >= h->processes : h->busy == 0)
			break;
		nanosleep(&(struct timespec){
		    .tv_nsec = LOOK_PAUSE_MS * 1000000 }, NULL);
	}
	return hibernation_refusal(h, is_stopped);
}

static const char *
page_out(const struct request *q)
{
	struct hibernation h;
	const char *why = refusal(q, true, &h);

	return why ? why : hibernation_page_out(&place, hibernation_way(&h),
	    q->roots, q->n);
}

static void
answer(struct footprints *f, const struct request *q)
{
	struct footprint print;
	struct hibernation h;
	const char *why = NULL;

	if (q->mark == '!')
		why = page_out(q);
	else if (q->mark == '?')
		why = refusal(q, false, &h);
	footprints_read(f, q->serial, q->roots, q->n, &print);
	printf("%" PRId64 " %" PRId64 " %" PRId64 " %d%s%s\n", q->serial,
	    print.pss_kb, print.cpu_ms, print.processes, why ? " " : "",
	    why ? why : "");
}

static int
check(void)
{
	struct hibernation h;
	const char *lack;

	hibernation_look(&place, NULL, 0, &h);
	lack = hibernation_lacks(&h);
	if (lack)
		printf("no: %s\n", lack);
	else
		printf("yes: by %s, and %" PRId64 " MB of swap are free\n",
		    hibernation_way(&h) == HIBERNATION_BY_CGROUP ?
		    "cgroups of their own" : "CAP_SYS_NICE",
		    h.swap_free_kb / 1024);
	return lack ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	struct footprints *f;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	delegation_look(argc == 3 ? (pid_t)strtol(argv[2], NULL, 10) :
	    getpid(), &place);
	if (argc > 1 && strcmp(argv[1], "--check") == 0)
		return check();
	f = footprints_new(PAUSE);
	while ((len = getline(&line, &size, stdin)) > 0) {
		struct request q;

		if (len == 1) {
			footprints_end_round(f);
			puts("");
		} else if (parse(line, &q)) {
			answer(f, &q);
		} else {
			fputs("hearth-memory: a line of the request cannot "
			    "be read\n", stderr);
			return EXIT_FAILURE;
		}
		if (fflush(stdout) != 0)
			break;
	}
	free(line);
	footprints_free(&f);
	return EXIT_SUCCESS;
}
