/* SPDX-License-Identifier: MIT */
/*
 * What trees take: pool/footprint against real processes that hold memory and
 * use the processor, and the helper program behind pool/memory on a loop.
 */
#include <check.h>
#undef fail /* check's old name; base/err.h has its own */
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/tree.h"
#include "pool/footprint.h"
#include "pool/memory.h"

#define MIB ((size_t)1 << 20)
/* A process of this program takes more than what it holds. */
#define ROOM_KB (32 << 10)

/* A tree below a root that is not part of it. It obeys bytes in a pipe. */
struct grove {
	pid_t root;
	int order, answer;
};

static void
hold(size_t mib)
{
	char *p = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);
	for (size_t i = 0; i < mib * MIB; i += 4096)
		p[i] = (char)(i | 1);
}

static void
burn(int ms)
{
	struct timespec t;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
}

/* m: holds 40 MiB; f: a child that sees the same pages; c: 100 ms of the
 * processor; w: a child that uses as much and is waited for. */
static void
obey(int order, int answer)
{
	pid_t pid;
	char c;

	while (read(order, &c, 1) == 1) {
		if (c == 'm')
			hold(40);
		if (c == 'c')
			burn(100);
		if (c == 'f' && fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(order);
			if (write(answer, "f", 1) == 1)
				pause();
			_exit(0);
		}
		if (c == 'w') {
			pid = fork();
			if (pid == 0) {
				burn(100);
				_exit(0);
			}
			waitpid(pid, NULL, 0);
		}
		if (c != 'f' && write(answer, &c, 1) != 1)
			break;
	}
	_exit(0);
}

static struct grove
plant(void)
{
	struct grove g;
	int order[2], answer[2];

	ck_assert_int_eq(pipe(order), 0);
	ck_assert_int_eq(pipe(answer), 0);
	g.root = fork();
	if (g.root == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(order[1]);
		close(answer[0]);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			obey(order[0], answer[1]);
		}
		close(order[0]);
		close(answer[1]);
		wait(NULL);
		pause();
		_exit(0);
	}
	close(order[0]);
	close(answer[1]);
	g.order = order[1];
	g.answer = answer[0];
	return g;
}

static void
tell(const struct grove *g, char c)
{
	char done;

	ck_assert_int_eq(write(g->order, &c, 1), 1);
	ck_assert_int_eq(read(g->answer, &done, 1), 1);
}

static void
fell(struct grove *g)
{
	kill(g->root, SIGKILL);
	waitpid(g->root, NULL, 0);
	close(g->order);
	close(g->answer);
}

static struct footprint
look(struct footprints *f, const struct grove *g)
{
	struct footprint out;

	footprints_read(f, 1, &g->root, 1, &out);
	return out;
}

START_TEST(a_tree_takes_what_it_holds)
{
	struct footprints *f = footprints_new(0);
	struct grove g = plant();
	struct footprint before, after;

	tell(&g, '.');
	before = look(f, &g);
	ck_assert_int_eq(before.processes, 1);
	ck_assert_int_gt(before.pss_kb, 50);
	ck_assert_int_lt(before.pss_kb, ROOM_KB);
	tell(&g, 'm');
	after = look(f, &g);
	/* PSS is rounded */
	ck_assert_int_ge(after.pss_kb - before.pss_kb, (40 << 10) - 16);
	ck_assert_int_lt(after.pss_kb - before.pss_kb, 41 << 10);
	fell(&g);
	footprints_free(&f);
}
END_TEST

START_TEST(what_two_processes_share_is_counted_once)
{
	struct footprints *f = footprints_new(0);
	struct grove g = plant();
	struct footprint one, two;

	tell(&g, 'm');
	one = look(f, &g);
	tell(&g, 'f');
	two = look(f, &g);
	ck_assert_int_eq(two.processes, 2);
	ck_assert_int_ge(two.pss_kb, 40 << 10);
	ck_assert_int_lt(two.pss_kb, one.pss_kb + (8 << 10));
	fell(&g);
	footprints_free(&f);
}
END_TEST

START_TEST(a_tree_that_stays_as_it_is_is_not_read_again)
{
	struct footprints *f = footprints_new(0);
	struct grove g = plant();
	struct footprint first, next;
	int64_t reads;

	tell(&g, '.');
	first = look(f, &g);
	reads = footprints_reads(f);
	ck_assert_int_eq(reads, 1);
	for (int i = 1; i < FOOTPRINT_STALE; i++) {
		next = look(f, &g);
		ck_assert_int_eq(next.pss_kb, first.pss_kb);
		ck_assert_int_eq(footprints_reads(f), reads);
	}
	look(f, &g);
	ck_assert_int_eq(footprints_reads(f), reads + 1);
	tell(&g, 'm');
	next = look(f, &g);
	ck_assert_int_eq(footprints_reads(f), reads + 2);
	ck_assert_int_ge(next.pss_kb, first.pss_kb + (40 << 10) - 16);
	fell(&g);
	footprints_free(&f);
}
END_TEST

START_TEST(processor_time_counts_also_of_those_that_have_ended)
{
	struct footprints *f = footprints_new(0);
	struct grove g = plant();
	struct footprint idle, own, below;

	tell(&g, '.');
	idle = look(f, &g);
	tell(&g, 'c');
	own = look(f, &g);
	ck_assert_int_ge(own.cpu_ms, idle.cpu_ms + 50);
	tell(&g, 'w');
	below = look(f, &g);
	ck_assert_int_ge(below.cpu_ms, own.cpu_ms + 50);
	fell(&g);
	footprints_free(&f);
}
END_TEST

START_TEST(several_roots_are_one_tree_and_one_that_is_gone_is_nothing)
{
	struct footprints *f = footprints_new(0);
	struct grove g[2] = { plant(), plant() };
	pid_t roots[] = { g[0].root, g[1].root };
	struct footprint both, none;

	tell(&g[0], 'm');
	tell(&g[1], 'm');
	footprints_read(f, 7, roots, 2, &both);
	ck_assert_int_eq(both.processes, 2);
	ck_assert_int_ge(both.pss_kb, 80 << 10);
	fell(&g[0]);
	fell(&g[1]);
	footprints_read(f, 7, roots, 2, &none);
	ck_assert_int_eq(none.processes, 0);
	ck_assert_int_eq(none.pss_kb, 0);
	for (int i = 0; i < 20; i++)
		footprints_end_round(f);
	footprints_free(&f);
}
END_TEST

/* ---- the helper on the loop */

struct round {
	struct ev_loop *loop;
	int trees, ends;
	int64_t serial;
	struct footprint last;
	struct err why;
};

static void
on_tree(void *ctx, int64_t serial, const struct footprint *f,
    const char *refusal)
{
	struct round *r = ctx;

	ck_assert_ptr_null(refusal);
	r->trees++;
	r->serial = serial;
	r->last = *f;
}

static void
on_end(void *ctx, const struct err *e)
{
	struct round *r = ctx;

	r->ends++;
	strcpy(r->why.text, e ? e->text : "");
	ev_break(r->loop, EVBREAK_ONE);
}

static const struct memory_callbacks on = { on_tree, on_end };

START_TEST(the_helper_answers_round_after_round)
{
	struct round r = { .loop = ev_loop_new(0) };
	struct memory *m = memory_new(r.loop, &on, &r);
	struct grove g = plant();

	tell(&g, 'm');
	for (int i = 1; i <= 3; i++) {
		for (int n = 1; n <= 300; n++)
			memory_add(m, n, MEMORY_SIZE, &g.root, 1);
		memory_ask(m);
		ck_assert(memory_is_busy(m));
		ev_run(r.loop, 0);
		ck_assert(!memory_is_busy(m));
		ck_assert_str_eq(r.why.text, "");
		ck_assert_int_eq(r.trees, 300 * i);
		ck_assert_int_eq(r.ends, i);
		ck_assert_int_eq(r.serial, 300);
		ck_assert_int_eq(r.last.processes, 1);
		ck_assert_int_ge(r.last.pss_kb, 40 << 10);
	}
	/* one that was ended is started again, in the middle of a round, too */
	memory_rest(m);
	memory_add(m, 1, MEMORY_SIZE, &g.root, 1);
	memory_ask(m);
	memory_rest(m);
	memory_add(m, 5, MEMORY_SIZE, &g.root, 1);
	memory_ask(m);
	ev_run(r.loop, 0);
	ck_assert_str_eq(r.why.text, "");
	ck_assert_int_eq(r.serial, 5);
	fell(&g);
	memory_free(&m);
	ev_run(r.loop, 0); /* until the keepers are reaped */
	ev_loop_destroy(r.loop);
}
END_TEST

static bool
note_helper(pid_t pid, pid_t parent, void *ctx)
{
	char path[64], name[32] = "";
	FILE *f;

	(void)parent;
	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	f = fopen(path, "r");
	if (f && fgets(name, sizeof name, f) &&
	    strcmp(name, "hearth-memory\n") == 0)
		*(pid_t *)ctx = pid;
	if (f)
		fclose(f);
	return true;
}

START_TEST(a_helper_that_dies_fails_its_round_and_the_next_has_a_new_one)
{
	struct round r = { .loop = ev_loop_new(0) };
	struct memory *m = memory_new(r.loop, &on, &r);
	struct grove g = plant();
	pid_t helper = 0;

	memory_add(m, 1, MEMORY_SIZE, &g.root, 1);
	memory_ask(m);
	ev_run(r.loop, 0);
	ck_assert_str_eq(r.why.text, "");
	tree_walk(getpid(), note_helper, &helper);
	ck_assert_int_gt(helper, 0);
	ck_assert_int_eq(kill(helper, SIGSTOP), 0);
	memory_add(m, 1, MEMORY_SIZE, &g.root, 1);
	memory_ask(m);
	ck_assert_int_eq(kill(helper, SIGKILL), 0);
	ev_run(r.loop, 0);
	ck_assert_ptr_nonnull(strstr(r.why.text, "hearth-memory"));
	ck_assert_int_eq(r.trees, 1);
	memory_add(m, 2, MEMORY_SIZE, &g.root, 1);
	memory_ask(m);
	ev_run(r.loop, 0);
	ck_assert_str_eq(r.why.text, "");
	ck_assert_int_eq(r.serial, 2);
	fell(&g);
	memory_free(&m);
	ev_run(r.loop, 0); /* until the keepers are reaped */
	ev_loop_destroy(r.loop);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("memory");
	TCase *t = tcase_create("memory");
	SRunner *sr = srunner_create(s);
	int failed;

	signal(SIGPIPE, SIG_IGN); /* as hearthd does */

	tcase_add_test(t, a_tree_takes_what_it_holds);
	tcase_add_test(t, what_two_processes_share_is_counted_once);
	tcase_add_test(t, a_tree_that_stays_as_it_is_is_not_read_again);
	tcase_add_test(t,
	    processor_time_counts_also_of_those_that_have_ended);
	tcase_add_test(t,
	    several_roots_are_one_tree_and_one_that_is_gone_is_nothing);
	tcase_add_test(t, the_helper_answers_round_after_round);
	tcase_add_test(t,
	    a_helper_that_dies_fails_its_round_and_the_next_has_a_new_one);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
