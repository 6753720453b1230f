/* SPDX-License-Identifier: MIT */
/*
 * Who may be hibernated: the decision as a table, what is seen of real trees,
 * what swapped pages cost; and, where this machine can do it, a real tree that
 * is paged out and goes on.
 */
#include <check.h>
#undef fail /* check's old name; base/err.h has its own */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/tree.h"
#include "pool/hibernate.h"
#include "pool/swap.h"

#define MIB ((size_t)1 << 20)
#define HELD_MIB 48

/* ---- the decision */

/* A machine that can, and a tree at rest; each case has one thing wrong. */
#define CAN .has_call = true, .is_allowed = true, .swap_total_kb = 1000, \
	.swap_free_kb = 500
#define CANNOT .has_call = true, .swap_total_kb = 1000, .swap_free_kb = 500
#define BY_CGROUP .has_reclaim = true, .swap_total_kb = 1000, \
	.swap_free_kb = 500
#define TREE .processes = 2, .memory_kb = 500

static const struct {
	struct hibernation h;
	bool is_stopped;
	const char *words;     /* part of the refusal; NULL: it may */
} cases[] = {
	{ { CAN, TREE }, false, NULL },
	{ { CAN, TREE, .stopped = 2 }, true, NULL },
	/* of the machine, whatever the tree */
	{ { .is_allowed = true, .swap_total_kb = 1 }, false, "process_madvise" },
	{ { .has_call = true, .is_allowed = true }, false, "neither swap" },
	{ { .has_call = true, .swap_total_kb = 1 }, false, "CAP_SYS_NICE" },
	/* one way is enough */
	{ { BY_CGROUP, TREE }, false, NULL },
	{ { BY_CGROUP, TREE, .stopped = 2 }, true, NULL },
	{ { .has_reclaim = true }, false, "neither swap" },
	/* neither way: what is missing for the first, and for the second */
	{ { CANNOT, TREE, .lack = DELEGATION_OWN }, false,
	    "Delegate=yes), and hearth-memory lacks CAP_SYS_NICE (setcap" },
	{ { CANNOT, TREE, .lack = DELEGATION_ALONE }, false, "other processes" },
	{ { CANNOT, TREE, .lack = DELEGATION_MEMORY }, false,
	    "memory controller" },
	{ { CANNOT, TREE, .lack = DELEGATION_RECLAIM }, false, "Linux 5.19" },
	{ { CANNOT, TREE, .lack = DELEGATION_V2 }, false, "without cgroup v2" },
	{ { CANNOT, TREE, .lack = DELEGATION_NOTHING }, false,
	    "made no cgroup" },
	/* of the tree */
	{ { CAN }, false, "no process" },
	{ { CAN, .processes = 65 }, false, "too many" },
	{ { CAN, TREE, .hidden = 1 }, false, "looked into" },
	{ { CAN, TREE, .listening = 1 }, false, "listens" },
	{ { CAN, TREE, .listening = 1, .stopped = 2 }, true, "listens" },
	{ { CAN, TREE, .clients = 1 }, false, "far end" },
	{ { BY_CGROUP, TREE, .outside = 1 }, false, "left its cgroup" },
	{ { BY_CGROUP, TREE, .listening = 1 }, false, "listens" },
	{ { BY_CGROUP, TREE, .stopped = 1 }, true, "goes on" },
	{ { CAN, TREE, .busy = 1 }, false, "at work" },
	/* by somebody else: it would be sent on */
	{ { CAN, TREE, .stopped = 1 }, false, "is stopped" },
	/* or it was woken meanwhile */
	{ { CAN, TREE, .stopped = 1 }, true, "goes on" },
	{ { CAN, .processes = 2, .memory_kb = 501 }, false, "too full" },
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

START_TEST(hibernation_is_refused_for_one_reason_each)
{
	const char *why = hibernation_refusal(&cases[_i].h,
	    cases[_i].is_stopped);

	if (!cases[_i].words)
		ck_assert_ptr_null(why);
	else
		ck_assert_msg(why && strstr(why, cases[_i].words),
		    "\"%s\" has no \"%s\"", why ? why : "(may)",
		    cases[_i].words);
}
END_TEST

START_TEST(a_cgroup_goes_before_advice)
{
	struct hibernation both = { CAN, .has_reclaim = true };
	struct hibernation advice = { CAN }, none = { CANNOT };

	ck_assert_int_eq(hibernation_way(&both), HIBERNATION_BY_CGROUP);
	ck_assert_int_eq(hibernation_way(&advice), HIBERNATION_BY_ADVICE);
	ck_assert_int_eq(hibernation_way(&none), HIBERNATION_NOT);
}
END_TEST

static const struct {
	struct swap swap;
	int64_t swapped, cost;
} costs[] = {
	{ { 1000, 1000, 0 }, 0, 0 },
	{ { 1000, 1000, 50 }, 10, 0 },    /* nothing is in it: a race */
	{ { 1000, 600, 0 }, 100, 0 },     /* on a disk */
	{ { 1000, 600, 100 }, 100, 25 },  /* zram, at a quarter */
	{ { 1000, 600, 400 }, 100, 100 },
	{ { 1000, 990, 400 }, 10, 10 },   /* its own metadata */
};

START_TEST(compressed_swap_costs_memory)
{
	ck_assert_int_eq(swap_cost_kb(&costs[_i].swap, costs[_i].swapped),
	    costs[_i].cost);
}
END_TEST

/* ---- what is seen */

/* A tree below a root that is not part of it: one process that does what it
 * is told and says when it has. */
struct tree {
	pid_t root, child;
	int order, answer;
};

static void
obey(int order, int answer)
{
	static volatile char *held;
	char c;

	while (read(order, &c, 1) == 1) {
		if (c == 'l') {
			int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
			    0);

			/* without a name: bound by listen() itself */
			if (bind(fd, &(struct sockaddr){ .sa_family = AF_UNIX },
			    sizeof(sa_family_t)) != 0 || listen(fd, 1) != 0)
				_exit(1);
		} else if (c == 'h') {
			held = mmap(NULL, HELD_MIB * MIB,
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			for (size_t i = 0; i < HELD_MIB * MIB; i++)
				held[i] = (char)(i * i >> 7);
		} else if (c == 's') {
			for (size_t i = 0; i < HELD_MIB * MIB; i++)
				if (held[i] != (char)(i * i >> 7))
					c = '?';
		} else if (c == 'c') {
			prctl(PR_SET_NAME, "ssh");
		} else if (c == 'b') {
			if (write(answer, &c, 1) != 1)
				_exit(1);
			for (;;)
				;
		}
		if (write(answer, &c, 1) != 1)
			break;
	}
	_exit(0);
}

static struct tree
plant(void)
{
	struct tree t;
	int order[2], answer[2];

	ck_assert_int_eq(pipe(order), 0);
	ck_assert_int_eq(pipe(answer), 0);
	t.root = fork();
	if (t.root == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		t.child = fork();
		if (t.child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			obey(order[0], answer[1]);
		}
		if (write(answer[1], &t.child, sizeof t.child) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(order[0]);
	close(answer[1]);
	t.order = order[1];
	t.answer = answer[0];
	ck_assert_int_eq(read(t.answer, &t.child, sizeof t.child),
	    sizeof t.child);
	return t;
}

static void
tell(const struct tree *t, char order)
{
	char c = 0;

	ck_assert_int_eq(write(t->order, &order, 1), 1);
	ck_assert_int_eq(read(t->answer, &c, 1), 1);
	ck_assert_int_eq(c, order);
}

static void
fell(struct tree *t)
{
	kill(t->root, SIGKILL);
	waitpid(t->root, NULL, 0);
	close(t->order);
	close(t->answer);
}

/* hearthd has no cgroups of its own. */
static const struct delegation nowhere = { .lack = DELEGATION_OWN };

/* The field comes to be so; the processes take a moment. */
#define WAIT_SEEN(t, h, cond) \
	do { \
		for (int i_ = 0; i_ < 500; i_++) { \
			hibernation_look(&nowhere, &(t)->root, 1, (h)); \
			if (cond) \
				break; \
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, \
			    NULL); \
		} \
		ck_assert(cond); \
	} while (0)

START_TEST(what_a_tree_does_is_seen)
{
	struct tree t = plant();
	struct hibernation h;

	WAIT_SEEN(&t, &h, h.processes == 1 && h.busy == 0);
	ck_assert_int_eq(h.listening + h.stopped + h.hidden + h.clients, 0);
	tell(&t, 'c');
	WAIT_SEEN(&t, &h, h.clients == 1);
	tell(&t, 'h');
	WAIT_SEEN(&t, &h, h.memory_kb >= (int64_t)(HELD_MIB * 1024) &&
	    h.busy == 0);
	tell(&t, 'l');
	WAIT_SEEN(&t, &h, h.listening == 1);
	kill(t.child, SIGSTOP);
	WAIT_SEEN(&t, &h, h.stopped == 1);
	kill(t.child, SIGCONT);
	WAIT_SEEN(&t, &h, h.stopped == 0);
	tell(&t, 'b');
	WAIT_SEEN(&t, &h, h.busy == 1);
	fell(&t);
}
END_TEST

/* ---- for real */

/* Also where pages cannot go anywhere: the call is made and harmless. */
START_TEST(a_tree_that_was_paged_out_goes_on)
{
	struct tree t = plant();
	struct hibernation h;
	int64_t before;
	const char *lack, *why;

	tell(&t, 'h');
	kill(t.child, SIGSTOP);
	WAIT_SEEN(&t, &h, h.stopped == 1);
	before = h.memory_kb;
	lack = hibernation_lacks(&h);
	why = hibernation_page_out(&nowhere, HIBERNATION_BY_ADVICE, &t.root,
	    1);
	hibernation_look(&nowhere, &t.root, 1, &h);
	if (lack) {
		printf("# SKIP that it becomes smaller: %s\n", lack);
	} else {
		ck_assert_ptr_null(why);
		ck_assert_int_lt(h.memory_kb, before -
		    (int64_t)(HELD_MIB * 1024) * 3 / 4);
	}
	kill(t.child, SIGCONT);
	tell(&t, 's');
	fell(&t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hibernate");
	TCase *tc = tcase_create("hibernate");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, hibernation_is_refused_for_one_reason_each, 0,
	    COUNT(cases));
	tcase_add_test(tc, a_cgroup_goes_before_advice);
	tcase_add_loop_test(tc, compressed_swap_costs_memory, 0,
	    COUNT(costs));
	tcase_add_test(tc, what_a_tree_does_is_seen);
	tcase_add_test(tc, a_tree_that_was_paged_out_goes_on);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
