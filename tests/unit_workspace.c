/* SPDX-License-Identifier: MIT */
/*
 * workspace/ with real git repositories: copies are made, taken up again and
 * removed, trees tell what changed, watching knows when nothing did, and
 * nothing that an agent can plant is ever run.
 *
 * Everything lies in one folder below the temporary folder, which main()
 * removes; each test has a folder of its own in it. A trap is a command that
 * makes a marker file; each test with traps first shows that an ordinary git
 * springs them.
 */
#include <check.h>
#undef fail /* check's old name for ck_abort_msg(), and ours in base/err.h */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"
#include "workspace/name.h"
#include "workspace/place.h"
#include "workspace/record.h"
#include "workspace/workspace.h"

#define SESSION "4c1e2f3a-1111-4222-8333-444455556666"
#define OTHER_SESSION "4c1e2f3a-9999-4222-8333-444455556666"
#define LIMIT 60. /* seconds until a test gives up waiting */

static char root[PATH_MAX];   /* of all tests */
static char here[PATH_MAX + 32];

static struct ev_loop *loop;
static struct workspace *ws;
static struct working_copy *wc;

/* Of the last operation. */
static bool is_done;
static int n_made;
static char reason[1024];
static struct change {
	char operation;
	char *path, *diff, *old_oid, *new_oid, *old_mode, *new_mode;
} *changes;
static size_t n_changes;

/* Runs a command line in the test's folder; its status. */
static int __attribute__((format(printf, 1, 2)))
sh_status(const char *fmt, ...)
{
	char command[8192], *whole;
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	whole = xasprintf("cd '%s' && { %s\n} </dev/null >>log 2>&1", here,
	    command);
	status = system(whole);
	free(whole);
	return status;
}

#define sh(...) ck_assert_int_eq(sh_status(__VA_ARGS__), 0)

static char *
at(const char *name)
{
	static char path[4][PATH_MAX + 256];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof path[i], "%s/%s", here, name);
	return path[i];
}

static bool
exists(const char *name)
{
	return access(at(name), F_OK) == 0;
}

static void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void
set_up(void)
{
	snprintf(here, sizeof here, "%s/XXXXXX", root);
	ck_assert_ptr_nonnull(mkdtemp(here));
	chmod(here, 0755);
	sh("mkdir state");
	loop = ev_loop_new(EVFLAG_AUTO);
	ws = workspace_new(loop, at("state"));
	wc = NULL;
}

static void
forget_changes(void)
{
	for (size_t i = 0; i < n_changes; i++) {
		free(changes[i].path);
		free(changes[i].diff);
		free(changes[i].old_oid);
		free(changes[i].new_oid);
		free(changes[i].old_mode);
		free(changes[i].new_mode);
	}
	free(changes);
	changes = NULL;
	n_changes = 0;
}

static void
tear_down(void)
{
	working_copy_free(&wc);
	workspace_free(&ws);
	/* Keepers of helpers that were let go are reaped on the loop. */
	for (int i = 0; i < 3; i++)
		ev_run(loop, EVRUN_NOWAIT);
	ev_loop_destroy(loop);
	forget_changes();
}

static void
on_late(struct ev_loop *l, struct ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	ev_break(l, EVBREAK_ALL);
}

static void
wait_done(void)
{
	struct ev_timer late;

	ev_timer_init(&late, on_late, LIMIT, 0.);
	ev_timer_start(loop, &late);
	while (!is_done && ev_is_active(&late))
		ev_run(loop, EVRUN_ONCE);
	ck_assert_msg(is_done, "the operation did not end");
	ev_timer_stop(loop, &late);
}

static void
on_made(void *ctx, const struct err *e)
{
	(void)ctx;
	is_done = true;
	n_made++;
	snprintf(reason, sizeof reason, "%s", e ? e->text : "");
	if (e)
		ck_assert_msg(*e->text, "an error without words");
}

static void
on_taken(void *ctx, const struct err *e, const struct file_change *list,
    size_t n)
{
	on_made(ctx, e);
	changes = xcalloc(n + 1, sizeof *changes);
	n_changes = n;
	for (size_t i = 0; i < n; i++)
		changes[i] = (struct change){ list[i].operation,
			xstrdup(list[i].path), xstrdup(list[i].diff),
			xstrdup(list[i].old_oid), xstrdup(list[i].new_oid),
			xstrdup(list[i].old_mode), xstrdup(list[i].new_mode) };
}

static struct working_copy *
new_copy(const char *session, const char *project, const char *branch)
{
	struct working_copy_spec spec = { .session = session, .project_id = 7,
		.project_path = at(project), .default_branch = branch };

	return working_copy_new(ws, &spec);
}

static void
make_of(struct working_copy *copy)
{
	is_done = false;
	working_copy_make(copy, on_made, NULL);
	ck_assert_msg(!is_done, "done was called from within the call");
	wait_done();
}

/* Makes wc of a project; it must work. */
static void
make(const char *project)
{
	wc = new_copy(SESSION, project, NULL);
	make_of(wc);
	ck_assert_str_eq(reason, "");
	sh("ln -s '%s' w", working_copy_path(wc));
}

static void
take(void)
{
	forget_changes();
	is_done = false;
	working_copy_snapshot(wc, on_taken, NULL);
	ck_assert_msg(!is_done, "done was called from within the call");
	wait_done();
	ck_assert_str_eq(reason, "");
}

static const struct change *
change_of(const char *path)
{
	for (size_t i = 0; i < n_changes; i++)
		if (strcmp(changes[i].path, path) == 0)
			return &changes[i];
	return NULL;
}

static void
expect(const char *path, char operation, const char *in_diff)
{
	const struct change *c = change_of(path);

	ck_assert_msg(c != NULL, "no change of %s among %zu", path, n_changes);
	ck_assert_msg(c->operation == operation, "%s: %c", path, c->operation);
	ck_assert_msg(strstr(c->diff, in_diff) != NULL, "%s: %s", path,
	    c->diff);
	ck_assert((c->old_oid == NULL) == (c->old_mode == NULL));
	ck_assert((c->new_oid == NULL) == (c->new_mode == NULL));
	if (operation != '=') {
		ck_assert((operation == 'c') == (c->old_oid == NULL));
		ck_assert((operation == 'd') == (c->new_oid == NULL));
	}
}

#define GIT "git -c user.name=T -c user.email=t@localhost "

/* A repository p with a few committed files. */
static void
make_project(void)
{
	sh("git init -q -b main p && cd p && mkdir -p dir/sub &&"
	    "printf 'one\\ntwo\\nthree\\n' >a && echo b >b && echo c >dir/c &&"
	    "echo d >dir/sub/d && ln -s a link && echo x >tool &&"
	    "chmod +x tool && git add -A && " GIT "commit -q -m first");
}

static const struct {
	const char *text;
	size_t n;
	long used;
	char type;
} record_cases[] = {
#define CASE(text, used, type) { text, sizeof text - 1, used, type }
	CASE("1:Z", 3, 'Z'),
	CASE("1:Z1:Z", 3, 'Z'),
	CASE("4:Nhi\0", 6, 'N'),
	CASE("6:Na\0bc\0", 8, 'N'),
	CASE("6:Ta\0bc\0", 8, 'T'),
	CASE("7:Ta\0bc\0", 0, 0),
	CASE("", 0, 0),
	CASE("12", 0, 0),
	CASE("12:", 0, 0),
	CASE("5:Nhi", 0, 0),
	CASE("0:", -1, 0),
	CASE(":Z", -1, 0),
	CASE("x", -1, 0),
	CASE("1:Q", -1, 0),
	CASE("2:Zx", -1, 0),
	CASE("3:Nhi", -1, 0),
	CASE("4:Tab\0", -1, 0),
	CASE("99999999:N", -1, 0),
	CASE("99999999999999999999999", -1, 0),
#undef CASE
};

START_TEST(record_is_read_only_when_it_is_whole_and_well_formed)
{
	struct record r = { 0 };
	long used = record_next(record_cases[_i].text, record_cases[_i].n, &r);

	ck_assert_int_eq(used, record_cases[_i].used);
	if (used > 0)
		ck_assert_int_eq(r.type, record_cases[_i].type);
}
END_TEST

START_TEST(record_is_read_as_it_was_written)
{
	struct record in = { .type = 'F', .n = 7, .field = { "e", "1", "2",
		"3", "", "a b", "x\0y" }, .last_len = 3 }, out;
	struct buf b = { 0 };

	record_add(&b, &in);
	for (size_t n = 0; n < b.len; n++)
		ck_assert_int_eq(record_next(b.data, n, &out), 0);
	ck_assert_int_eq(record_next(b.data, b.len, &out), (long)b.len);
	ck_assert_int_eq(out.n, 7);
	for (int i = 0; i < 6; i++)
		ck_assert_str_eq(out.field[i], in.field[i]);
	ck_assert_uint_eq(out.last_len, 3);
	ck_assert_mem_eq(out.field[6], "x\0y", 4);
	buf_free(&b);
}
END_TEST

static const struct {
	const char *name, *shown;
} names[] = {
	{ "a", "a" },
	{ "a\"b\\c", "a\"b\\c" },
	{ "with\nline", "with\nline" },
	{ "caf\303\251", "caf\303\251" },
	{ "caf\351", "\"caf\\351\"" },
	{ "\351\303\251\"\\x", "\"\\351\303\251\\\"\\\\x\"" },
	{ "\"quoted\"", "\"\\\"quoted\\\"\"" },
	{ NULL, "\"" }, { NULL, "\"\"" }, { NULL, "\"a" }, { NULL, "\"a\"b" },
	{ NULL, "\"a\\\"" }, { NULL, "\"\\351" }, { NULL, "\"\\000\"" },
	{ NULL, "\"\\451\"" }, { NULL, "\"\\39a\"" }, { NULL, "\"\\n\"" },
	{ NULL, "\"plain\"" }, { NULL, "\"\\141\\351\"" },
};

START_TEST(name_is_shown_as_text_that_leads_back_to_it)
{
	char *shown = names[_i].name ? name_show(names[_i].name) : NULL;
	char *name = name_read(names[_i].shown);

	if (shown) {
		ck_assert_str_eq(shown, names[_i].shown);
		ck_assert_str_eq(name, names[_i].name);
	} else {
		ck_assert_ptr_null(name);
	}
	free(shown);
	free(name);
}
END_TEST

START_TEST(git_project_gets_a_worktree_on_a_branch_of_its_own)
{
	make_project();
	wc = new_copy(SESSION, "p", NULL);
	ck_assert_ptr_null(working_copy_path(wc));
	make_of(wc);
	ck_assert_str_eq(reason, "");
	ck_assert_str_eq(working_copy_path(wc),
	    at("state/worktrees/" SESSION));
	ck_assert_str_eq(working_copy_branch(wc), "hearth/4c1e2f3a");
	sh("test \"$(git -C p rev-parse main)\" = %s", working_copy_base(wc));
	sh("cd '%s' && test \"$(git symbolic-ref HEAD)\" = "
	    "refs/heads/hearth/4c1e2f3a && test -x tool && test ! -x a &&"
	    "test \"$(readlink link)\" = a && cat dir/sub/d &&"
	    "git diff --quiet HEAD && git diff --cached --quiet &&"
	    "test -z \"$(git status --porcelain)\"", working_copy_path(wc));
	sh("test -z \"$(git -C p status --porcelain)\"");
	take();
	ck_assert_uint_eq(n_changes, 0);
}
END_TEST

START_TEST(default_branch_is_where_the_copy_begins)
{
	make_project();
	sh("cd p && git checkout -q -b dev && echo dev >only && git add only &&"
	    GIT "commit -q -m dev && git checkout -q main");
	wc = new_copy(SESSION, "p", "dev");
	make_of(wc);
	ck_assert_str_eq(reason, "");
	sh("test -f '%s/only'", working_copy_path(wc));
	sh("test \"$(git -C p rev-parse dev)\" = %s", working_copy_base(wc));
}
END_TEST

START_TEST(changes_are_told_against_the_base)
{
	make_project();
	make("p");
	sh("cd w/ && echo new >n && echo four >>a && rm b && chmod -x tool &&"
	    "ln -sf b link && rm dir/c && ln -s a dir/c");
	take();
	ck_assert_uint_eq(n_changes, 6);
	expect("n", 'c', "@@ -0,0 +1 @@\n+new\n");
	expect("a", 'e', " three\n+four\n");
	expect("b", 'd', "deleted file mode 100644");
	expect("tool", 'e', "new mode 100644");
	expect("link", 'e', "-a\n\\ No newline at end of file\n+b");
	expect("dir/c", 'e', "new file mode 120000");
	ck_assert_ptr_nonnull(strstr(change_of("dir/c")->diff, "deleted file"));
	ck_assert_str_eq(change_of("tool")->old_mode, "100755");
	ck_assert_str_eq(change_of("tool")->new_mode, "100644");
	ck_assert_str_eq(change_of("dir/c")->new_mode, "120000");
	sh("test \"$(git -C p rev-parse main:a)\" = %s",
	    change_of("a")->old_oid);
	take();
	ck_assert_uint_eq(n_changes, 0);
	sh("cd w/ && echo five >>a && echo b >b && rm n");
	take();
	ck_assert_uint_eq(n_changes, 3);
	expect("a", 'e', " three\n+four\n+five\n");
	expect("b", '=', "");
	expect("n", '=', "");
	ck_assert_str_eq(change_of("b")->diff, "");
	ck_assert_ptr_nonnull(change_of("b")->new_oid);
	ck_assert_ptr_null(change_of("n")->new_oid);
}
END_TEST

START_TEST(ignored_files_and_the_users_index_take_no_part)
{
	make_project();
	make("p");
	sh("cd w/ && echo '*.o' >.gitignore && echo x >x.o && echo y >y &&"
	    "git add y");
	take();
	ck_assert_uint_eq(n_changes, 2);
	expect(".gitignore", 'c', "+*.o");
	expect("y", 'c', "+y");
	sh("cd w/ && test \"$(git diff --cached --name-only)\" = y");
}
END_TEST

START_TEST(committing_in_the_worktree_is_no_change)
{
	make_project();
	make("p");
	sh("cd w/ && echo y >y");
	take();
	expect("y", 'c', "+y");
	sh("cd w/ && git add y && " GIT "commit -q -m y");
	take();
	ck_assert_uint_eq(n_changes, 0);
	sh("cd w/ && echo z >>y");
	take();
	expect("y", 'c', "+y\n+z\n");
}
END_TEST

static void
take_up_again(const char *project)
{
	char *path = xstrdup(working_copy_path(wc));
	char *base = xstrdup(working_copy_base(wc));
	struct working_copy_spec spec = { .session = SESSION, .project_id = 7,
		.project_path = at(project), .path = path,
		.base_commit = base };

	working_copy_free(&wc);
	wc = working_copy_new(ws, &spec);
	make_of(wc);
	ck_assert_str_eq(reason, "");
	ck_assert_str_eq(working_copy_path(wc), path);
	ck_assert_str_eq(working_copy_base(wc), base);
	free(path);
	free(base);
}

static void
check_folder_copy(void)
{
	char base[128];

	make("p");
	ck_assert_ptr_null(working_copy_branch(wc));
	snprintf(base, sizeof base, "%s", working_copy_base(wc));
	ck_assert_uint_eq(strlen(base), 40);
	sh("cd w/ && cat a dir/b && test -x tool && test -L link &&"
	    "test ! -e .git && test ! -e x.o");
	sh("cd w/ && echo 2 >>a && rm dir/b");
	take();
	ck_assert_uint_eq(n_changes, 2);
	expect("a", 'e', "+2\n");
	expect("dir/b", 'd', "-b\n");
	sh("test \"$(cat p/a)\" = a");
	working_copy_free(&wc);
	wc = new_copy(OTHER_SESSION, "p", NULL);
	make_of(wc);
	ck_assert_str_eq(reason, "");
	ck_assert_str_eq(working_copy_base(wc), base);
}

#define PLAIN "mkdir -p p/dir && cd p && echo a >a && echo b >dir/b &&" \
	"echo x >tool && chmod +x tool && ln -s a link &&" \
	"echo '*.o' >.gitignore && echo x >x.o"

START_TEST(plain_folder_is_copied)
{
	sh(PLAIN);
	check_folder_copy();
}
END_TEST

START_TEST(repository_without_a_commit_is_copied)
{
	sh(PLAIN " && git init -q && git add a");
	check_folder_copy();
}
END_TEST

START_TEST(folder_that_becomes_a_repository_stays_a_copy)
{
	sh(PLAIN " && git init -q -b main");
	make("p");
	sh("cd p && git add -A && " GIT "commit -q -m first && echo 1 >../w/a");
	take_up_again("p");
	take();
	expect("a", 'e', "+1");
	sh("rm -r \"$(readlink w)\"");
	take_up_again("p");
	ck_assert_ptr_null(working_copy_branch(wc));
	sh("cat w/a && test ! -e w/.git && test -z \"$(git -C p branch --list "
	    "'hearth/*')\"");
}
END_TEST

START_TEST(folder_within_another_repository_is_copied_by_itself)
{
	sh("git init -q && echo outer >outer");
	sh(PLAIN);
	check_folder_copy();
	sh("test ! -e '%s/outer'", working_copy_path(wc));
}
END_TEST

START_TEST(bare_repository_works)
{
	make_project();
	sh("git clone -q --bare p bare.git");
	make("bare.git");
	ck_assert_str_eq(working_copy_branch(wc), "hearth/4c1e2f3a");
	sh("echo 1 >>w/a");
	take();
	expect("a", 'e', "+1");
}
END_TEST

START_TEST(project_that_is_a_worktree_itself_works)
{
	make_project();
	sh("git -C p worktree add -q -b side ../p2 && cd p2 && echo s >s &&"
	    "git add s && " GIT "commit -q -m s");
	make("p2");
	sh("test -f w/s && echo 1 >>w/a");
	take();
	expect("a", 'e', "+1");
}
END_TEST

START_TEST(sha256_repository_works)
{
	sh("git init -q --object-format=sha256 -b main p && cd p &&"
	    "echo a >a && echo b >b && git add -A && " GIT "commit -q -m 1");
	make("p");
	sh("cd w && echo 1 >>a && rm b && mkdir b && mkfifo b/f");
	take();
	ck_assert_uint_eq(n_changes, 2);
	expect("a", 'e', "+1");
	ck_assert_uint_eq(strlen(change_of("a")->new_oid), 64);
}
END_TEST

START_TEST(taken_branch_name_gets_a_number)
{
	make_project();
	sh("git -C p branch hearth/4c1e2f3a");
	make("p");
	ck_assert_str_eq(working_copy_branch(wc), "hearth/4c1e2f3a-2");
	working_copy_free(&wc);
	wc = new_copy(OTHER_SESSION, "p", NULL);
	make_of(wc);
	ck_assert_str_eq(working_copy_branch(wc), "hearth/4c1e2f3a-3");
}
END_TEST

START_TEST(half_made_copy_is_made_anew_under_the_same_name)
{
	make_project();
	make("p");
	working_copy_free(&wc);
	/* As a crash leaves it: locked, and without some of its files. */
	sh("rm state/snapshots/" SESSION ".copy w/a && echo junk >w/junk &&"
	    "echo initializing >p/.git/worktrees/" SESSION "/locked &&"
	    "printf 'hearth/4c1e2f3a\\n%%s\\n' $(git -C p rev-parse main)"
	    " >state/snapshots/" SESSION ".making");
	if (_i)
		sh("rm -r '%s'", at("state/worktrees/" SESSION));
	wc = new_copy(SESSION, "p", NULL);
	make_of(wc);
	ck_assert_str_eq(reason, "");
	ck_assert_str_eq(working_copy_branch(wc), "hearth/4c1e2f3a");
	sh("cd w/ && test -f a && test ! -e junk &&"
	    "test -z \"$(git status --porcelain)\"");
	sh("test ! -e p/.git/worktrees/" SESSION "/locked");
}
END_TEST

START_TEST(copy_killed_while_it_is_made_can_be_made_again)
{
	make_project();
	for (int i = 0; i < 8; i++) {
		struct ev_timer later;

		wc = new_copy(SESSION, "p", NULL);
		is_done = false;
		working_copy_make(wc, on_made, NULL);
		ev_timer_init(&later, on_late, 0.004 * i, 0.);
		ev_timer_start(loop, &later);
		ev_run(loop, 0);
		ev_timer_stop(loop, &later);
		working_copy_free(&wc);
	}
	make("p");
	ck_assert_str_eq(working_copy_branch(wc), "hearth/4c1e2f3a");
	sh("cd w/ && test -z \"$(git status --porcelain)\"");
}
END_TEST

START_TEST(copy_taken_up_again_tells_what_was_missed)
{
	make_project();
	make("p");
	sh("echo 1 >>w/a");
	take();
	sh("echo 2 >>w/b");
	take_up_again("p");
	ck_assert_str_eq(working_copy_branch(wc), "hearth/4c1e2f3a");
	ck_assert(!working_copy_is_clean(wc));
	take();
	/* whether the first was recorded nobody here knows */
	ck_assert_uint_eq(n_changes, 2);
	expect("a", 'e', "+1");
	expect("b", 'e', "+2");
	sh("cd w/ && git checkout -q a b");
	take();
	take_up_again("p");
	ck_assert(working_copy_is_clean(wc));
}
END_TEST

START_TEST(private_files_that_are_lost_are_built_again)
{
	make_project();
	make("p");
	sh("echo 1 >>w/a");
	take();
	if (_i == 0)
		sh("rm state/snapshots/*.index");
	else if (_i == 1)
		sh("echo garbage >state/snapshots/" SESSION ".index");
	else if (_i == 2)
		sh("touch state/snapshots/" SESSION ".index.lock");
	else {
		sh("rm -r state/snapshots");
		take_up_again("p");
	}
	sh("echo 2 >>w/b");
	take();
	ck_assert_uint_eq(n_changes, 1);
	expect("b", 'e', "+2");
}
END_TEST

START_TEST(worktree_that_was_removed_comes_back)
{
	make_project();
	make("p");
	sh("cd w/ && echo kept >kept && git add kept && "
	    GIT "commit -q -m k");
	take();
	sh("rm -r \"$(readlink w)\"");
	take_up_again("p");
	sh("cat w/kept w/a && cd w/ && test -z \"$(git status --porcelain)\"");
	sh("echo 1 >>w/a");
	take();
	ck_assert_uint_eq(n_changes, 2);
	expect("a", 'e', "+1");
	expect("kept", 'c', "+kept");
}
END_TEST

START_TEST(removed_copy_leaves_nothing_behind)
{
	make_project();
	make("p");
	sh("mkdir w/ro w/ro/x && echo 1 >w/ro/x/f && chmod 500 w/ro w/ro/x &&"
	    "mkdir keep && echo kept >keep/f && ln -s '%s' w/out",
	    at("keep"));
	if (_i)
		sh("cd w/ && git add a && " GIT
		    "commit -q --allow-empty -m work");
	is_done = false;
	working_copy_remove(wc, on_made, NULL);
	wait_done();
	ck_assert_str_eq(reason, "");
	sh("test -f keep/f");
	ck_assert(!exists("state/worktrees/" SESSION));
	sh("cd state/snapshots && ! ls | grep -v -e '[.]lock$' | grep "
	    SESSION);
	sh("cd p && test \"$(git worktree list | wc -l)\" = 1 &&"
	    "test \"$(git branch --list 'hearth/*' | wc -l)\" = %d", _i);
}
END_TEST

static const struct {
	const char *before, *project, *branch, *words;
} error_cases[] = {
	{ "true", "nowhere", NULL, "there is no such folder" },
	{ "echo >file", "file", NULL, "it is not a folder" },
	{ "git init -q --bare p", "p", NULL, "set projects.default_branch" },
	{ "git clone -q --bare p p.git; git -C p.git symbolic-ref HEAD "
	    "refs/heads/none", "p.git", NULL, "set projects.default_branch" },
	{ "true", "p", "nobranch", "it has no branch \"nobranch\": correct" },
	{ "true", "p", "--all", "it has no branch" },
	{ "git -C p branch hearth", "p", NULL, "hearth" },
	{ "echo broken >p/.git/HEAD", "p", NULL, "repair it, or move the .git" },
	{ "rm -r p/.git && mkdir p/.git", "p", NULL, "move the .git away" },
	{ "mv p/.git gone && echo gitdir: ../lost >p/.git", "p", NULL,
	    "move the .git away" },
	{ "rm -r p/.git/objects/??", "p", NULL, "git fsck" },
	{ "rm -r p/.git/refs", "p", NULL, "move the .git" },
	{ "echo '[' >p/.git/config", "p", NULL, "bad config" },
	{ "git -C p config core.repositoryformatversion 1 && "
	    "git -C p config extensions.novelty 1", "p", NULL, "novelty" },
	{ "mkdir 'x\ny'", "x\ny", NULL, "rename the folder" },
	{ "ln -s loop loop", "loop", NULL, "symbolic links" },
	{ "mkdir state/in; :", "", NULL, "state_dir lies in it" },
	{ "chmod 500 state; mkdir state/worktrees && rmdir state/worktrees && "
	    "echo >state/worktrees || true", "p", NULL, "" },
};

START_TEST(what_is_wrong_with_a_project_is_said_in_words)
{
	if (strstr(error_cases[_i].before, "init -q --bare") == NULL)
		make_project();
	sh("%s", error_cases[_i].before);
	wc = new_copy(SESSION, error_cases[_i].project, error_cases[_i].branch);
	make_of(wc);
	ck_assert_msg(*reason, "it worked");
	ck_assert_msg(strstr(reason, error_cases[_i].words) != NULL, "%s",
	    reason);
	ck_assert_ptr_null(strchr(reason, '\n'));
	ck_assert_ptr_null(working_copy_path(wc));
	ck_assert(!working_copy_is_clean(wc));
	sh("chmod 700 state");
}
END_TEST

/* A command for every door: it leaves a note in the file "sprung". */
static void
make_trap(void)
{
	char text[PATH_MAX + 128];

	snprintf(text, sizeof text, "#!/bin/sh\necho \"$0 $*\" >>'%s'\n"
	    "exit 1\n", at("sprung"));
	write_file("trap", text);
	sh("chmod 755 trap");
	sh("mkdir hooks && for h in post-checkout reference-transaction "
	    "post-index-change fsmonitor-watchman pre-commit post-commit "
	    "prepare-commit-msg pre-auto-gc; do cp trap hooks/$h; done");
}

/* Sets every configuration that names a command, in this repository. */
static void
plant_config(const char *repository)
{
	const char *trap = at("trap");

	sh("cd '%s' && for k in core.fsmonitor core.sshCommand core.pager "
	    "core.editor core.askPass core.gitProxy diff.external "
	    "core.alternateRefsCommand filter.evil.smudge filter.evil.clean "
	    "filter.evil.process diff.evil.textconv diff.evil.command "
	    "merge.evil.driver gpg.program pager.branch sequence.editor "
	    "credential.helper interactive.diffFilter uploadpack.packObjectsHook"
	    "; do git config $k '%s'; done", repository, trap);
	sh("cd '%s' && for a in worktree rev-parse branch read-tree ls-files "
	    "update-index write-tree diff-tree update-ref symbolic-ref; do "
	    "git config alias.$a '!%s'; done", repository, trap);
	sh("cd '%s' && git config core.hooksPath '%s' &&"
	    "git config filter.evil.required true &&"
	    "git config protocol.ext.allow always &&"
	    "git config protocol.allow always &&"
	    "git config remote.origin.url 'ext::%s x' &&"
	    "git config remote.origin.promisor true &&"
	    "git config remote.origin.partialclonefilter blob:none &&"
	    "git config core.repositoryformatversion 1 &&"
	    "git config extensions.partialClone origin", repository,
	    at("hooks"), trap);
	sh("cd '%s' && d=$(git rev-parse --absolute-git-dir) &&"
	    "cp '%s'/hooks/* $d/hooks/ && echo '[core] fsmonitor = %s' "
	    ">$d/more && git config include.path $d/more && "
	    "git config includeIf.gitdir:/.path $d/more && "
	    "git config includeIf.onbranch:**.path $d/more && "
	    "git config extensions.worktreeConfig true && "
	    "cp $d/more $d/config.worktree && mkdir -p $d/info "
	    "&& echo '* filter=evil diff=evil' >$d/info/attributes",
	    repository, here, trap);
}

static void __attribute__((format(printf, 1, 2)))
expect_trap_works(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	sh_status("%s", command);
	ck_assert_msg(exists("sprung"), "the trap is none: %s", command);
	sh("rm sprung");
}

static void
expect_nothing_sprung(const char *when)
{
	if (exists("sprung"))
		sh_status("cat sprung");
	ck_assert_msg(!exists("sprung"), "a trap was sprung: %s", when);
}

START_TEST(nothing_planted_in_the_project_is_run)
{
	make_project();
	sh("cd p && echo '* filter=evil diff=evil merge=evil' >.gitattributes "
	    "&& git add -A && " GIT "commit -q -m attributes");
	make_trap();
	plant_config("p");
	expect_trap_works("git -C p worktree add -f ../t main");
	sh_status("cd p && git worktree prune");
	sh_status("rm -rf t sprung");
	make("p");
	expect_nothing_sprung("make");
	sh("cd w/ && echo 1 >>a && echo n >n && rm b && cat a tool");
	take();
	expect_nothing_sprung("snapshot");
	ck_assert_uint_eq(n_changes, 3);
	expect("a", 'e', "+1");
	take_up_again("p");
	expect_nothing_sprung("take up");
	sh("rm -r \"$(readlink w)\"");
	take_up_again("p");
	expect_nothing_sprung("restore");
	is_done = false;
	working_copy_remove(wc, on_made, NULL);
	wait_done();
	expect_nothing_sprung("remove");
}
END_TEST

START_TEST(missing_objects_of_a_partial_clone_are_not_fetched)
{
	make_project();
	/* A commit and a file that only the remote has. */
	sh("cd p && c=$(" GIT "commit-tree -p main -m lost main^{tree}) &&"
	    "git update-ref refs/heads/dev $c && for o in $c $(git rev-parse "
	    "main:dir/c); do rm -f .git/objects/$(echo $o | cut -c1-2)/"
	    "$(echo $o | cut -c3-); done");
	make_trap();
	plant_config("p");
	sh_status("rm -f sprung");
	expect_trap_works("git -C p -c core.fsmonitor=false -c "
	    "core.pager=cat -c core.hooksPath=/dev/null -c diff.external= "
	    "cat-file -p %s", _i ? "dev" : "main:dir/c");
	wc = new_copy(SESSION, "p", _i ? "dev" : NULL);
	make_of(wc);
	ck_assert_str_ne(reason, "");
	expect_nothing_sprung("make");
}
END_TEST

START_TEST(nothing_planted_in_the_worktree_is_run)
{
	make_project();
	make_trap();
	make("p");
	/* Repositories within, one of them as a submodule in the index. */
	sh("cd w/ && git init -q nested && cd nested && echo n >n &&"
	    "git add n && " GIT "commit -q -m n");
	sh("cd w/ && echo '* filter=evil diff=evil' >.gitattributes");
	plant_config("w/nested");
	sh("git init -q side && mkdir w/linked && echo l >w/linked/l && "
	    "echo gitdir: '%s' >w/linked/.git", at("side/.git"));
	plant_config("side");
	sh("rm w/.git && git init -q evil && echo gitdir: '%s' >w/.git",
	    at("evil/.git"));
	plant_config("evil");
	expect_trap_works("git -C w/ status");
	expect_trap_works("git -C w/nested status");
	sh("cd w/ && echo 1 >>a");
	take();
	expect_nothing_sprung("snapshot");
	expect("a", 'e', "+1");
	ck_assert_ptr_null(change_of("nested/n"));
	ck_assert_ptr_null(change_of("nested"));
	ck_assert_ptr_null(change_of("linked/l"));
	take_up_again("p");
	expect_nothing_sprung("take up");
	sh("rm w/.git && mkdir w/.git && cp -r evil/.git/. w/.git/");
	sh("cd w/ && echo 2 >>a");
	take();
	expect_nothing_sprung("snapshot with a .git folder");
	expect("a", 'e', "+2");
	is_done = false;
	working_copy_remove(wc, on_made, NULL);
	wait_done();
	expect_nothing_sprung("remove");
}
END_TEST

/* What a git would take from the environment, were it handed on. */
static void
plant_environment(void)
{
	static const char *const commands[] = { "GIT_EXTERNAL_DIFF",
		"GIT_SSH", "GIT_SSH_COMMAND", "GIT_PAGER", "PAGER",
		"GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_ASKPASS",
		"SSH_ASKPASS", "GIT_PROXY_COMMAND" };
	static const char *const places[] = { "GIT_DIR", "GIT_WORK_TREE",
		"GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
		"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_INDEX_FILE",
		"GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_NAMESPACE",
		"GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_PREFIX" };

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		setenv(commands[i], at("trap"), 1);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		setenv(places[i], at("elsewhere"), 1);
	setenv("GIT_CONFIG_COUNT", "1", 1);
	setenv("GIT_CONFIG_KEY_0", "core.fsmonitor", 1);
	setenv("GIT_CONFIG_VALUE_0", at("trap"), 1);
	setenv("GIT_CONFIG_GLOBAL", at("home/.gitconfig"), 1);
	setenv("GIT_CONFIG_SYSTEM", at("home/.gitconfig"), 1);
	unsetenv("GIT_CONFIG_NOSYSTEM");
	setenv("HOME", at("home"), 1);
	setenv("XDG_CONFIG_HOME", at("home"), 1);
	setenv("GIT_TRACE", at("sprung"), 1);
	setenv("GIT_TRACE2_EVENT", at("sprung"), 1);
}

/* Each test has a process of its own, and so its own environment. */
START_TEST(nothing_planted_in_the_environment_is_heeded)
{
	make_project();
	make_trap();
	sh("mkdir elsewhere home home/git && printf '[core]\nfsmonitor = %s\n"
	    "hooksPath = %s\nexcludesFile = %s/all\n[filter \"evil\"]\n"
	    "clean = %s\n' >home/.gitconfig && cp home/.gitconfig "
	    "home/git/config && echo '*' | tee all home/git/ignore && "
	    "echo '* filter=evil' >home/git/attributes", at("trap"),
	    at("hooks"), here, at("trap"));
	plant_environment();
	expect_trap_works("env -u GIT_DIR git -C p status");
	wc = new_copy(SESSION, "p", NULL);
	make_of(wc);
	ck_assert_str_eq(reason, "");
	sh("ln -s '%s' w && echo 1 >>w/a && echo n >w/n",
	    working_copy_path(wc));
	take();
	ck_assert_uint_eq(n_changes, 2);
	expect("a", 'e', "+1");
	expect("n", 'c', "+n");
	expect_nothing_sprung("with an environment");
	sh("test -z \"$(ls elsewhere)\"");
}
END_TEST

START_TEST(planted_alternates_lead_nowhere)
{
	static const char *const alternates[] = { "/nonexistent/objects\n",
		"../objects\n", "# a remark\n\n\"unclosed\n",
		"/proc/self/root\n/dev\n" };

	make_project();
	make_trap();
	make("p");
	for (size_t i = 0; i < sizeof alternates / sizeof *alternates; i++) {
		write_file("p/.git/objects/info/alternates", alternates[i]);
		sh("echo %zu >>w/a", i);
		take();
		expect("a", 'e', "+0");
	}
	/* one with a repository around it that has traps */
	sh("git init -q evil");
	plant_config("evil");
	sh("echo '%s' >p/.git/objects/info/alternates", at("evil/.git/objects"));
	sh("rm -f sprung && echo more >>w/a");
	take();
	expect("a", 'e', "+more");
	take_up_again("p");
	expect_nothing_sprung("alternates");
}
END_TEST

static const struct {
	const char *plant, *mend;
	bool in_project;
} pipes[] = {
	{ "mkfifo w/dir/.gitignore", "rm w/dir/.gitignore", false },
	{ "mv p/.git/config c && mkfifo p/.git/config",
	    "mv c p/.git/config", true },
};

START_TEST(git_that_waits_for_a_planted_pipe_is_ended)
{
	make_project();
	if (!pipes[_i].in_project)
		make("p");
	sh("%s", pipes[_i].plant);
	is_done = false;
	if (pipes[_i].in_project) {
		wc = new_copy(SESSION, "p", NULL);
		working_copy_make(wc, on_made, NULL);
	} else {
		sh("echo 1 >>w/a");
		working_copy_snapshot(wc, on_taken, NULL);
	}
	wait_done();
	ck_assert_msg(strstr(reason, "Remove it") != NULL, "%s", reason);
	/* nothing is lost by it */
	sh("%s", pipes[_i].mend);
	if (pipes[_i].in_project) {
		make_of(wc);
		ck_assert_str_eq(reason, "");
	} else {
		take();
		expect("a", 'e', "+1");
	}
}
END_TEST

START_TEST(submodule_with_planted_configuration_is_left_alone)
{
	make_project();
	make_trap();
	sh("git init -q sub && cd sub && echo s >s && git add s && "
	    GIT "commit -q -m s");
	sh("cd p && git -c protocol.file.allow=always submodule --quiet add "
	    "../sub sub && " GIT "commit -q -m sub");
	make("p");
	sh("test -d w/sub && rmdir w/sub && git clone -q sub w/sub");
	take();
	ck_assert_uint_eq(n_changes, 0);
	sh("cd w/sub && echo 2 >>s && " GIT "commit -q -a -m two");
	plant_config("w/sub");
	expect_trap_works("git -C w/ status");
	sh("cd w/ && echo 1 >>a");
	take();
	expect_nothing_sprung("snapshot");
	ck_assert_uint_eq(n_changes, 1);
	expect("a", 'e', "+1");
}
END_TEST

START_TEST(odd_names_and_kinds_of_files_do_no_harm)
{
	make_project();
	make("p");
	sh("cd w/ && rm a && mkfifo a && rm b && mkdir b && echo in >b/in &&"
	    "mv dir dir2 && ln -s dir2 dir && mkfifo pipe &&"
	    "echo more >>dir2/c &&"
	    "printf x >'with\nline' && printf x >':(top)*' &&"
	    "printf x >' leading' && printf x >\"$(printf 'bad\\377name')\" &&"
	    "printf x >\"$(printf 'bad\\376name')\" &&"
	    "printf x >-dash && printf x >'quo\"te'");
	take();
	expect("a", 'd', "-one");
	expect("b", 'd', "-b");
	expect("b/in", 'c', "+in");
	expect("dir", 'c', "new file mode 120000");
	expect("dir/c", 'd', "-c");
	expect("dir/sub/d", 'd', "-d");
	expect("dir2/sub/d", 'c', "+d");
	expect("with\nline", 'c', "+x");
	expect(":(top)*", 'c', "+x");
	expect(" leading", 'c', "+x");
	expect("-dash", 'c', "+x");
	expect("quo\"te", 'c', "+x");
	expect("\"bad\\377name\"", 'c', "+x");
	expect("\"bad\\376name\"", 'c', "+x");
	ck_assert_ptr_null(change_of("pipe"));
	take();
	ck_assert_uint_eq(n_changes, 0);
	sh("cd w/ && rm dir && mv dir2 dir && rm a && git checkout -q a");
	take();
	expect("dir/sub/d", '=', "");
	expect("a", '=', "");
}
END_TEST

START_TEST(unreadable_file_is_left_as_it_was)
{
	if (geteuid() == 0)
		return; /* root reads everything */
	make_project();
	make("p");
	sh("cd w/ && echo 1 >>a && chmod 0 a && echo 2 >>b && echo n >n &&"
	    "chmod 0 n");
	take();
	ck_assert_uint_eq(n_changes, 1);
	expect("b", 'e', "+2");
}
END_TEST

START_TEST(name_that_looks_like_a_diff_misleads_nobody)
{
	make_project();
	make("p");
	sh("cd w/ && mkdir -p \"$(printf 'x\\ndiff --git a')\" &&"
	    "printf 'y\\n' >\"$(printf 'x\\ndiff --git a/f')\" &&"
	    "printf 'diff --git a/b b/b\\n' >c1 && printf 'Binary files a\\n' "
	    ">c2 && printf 'no newline' >c3 && printf 'z\\n' >c4");
	take();
	ck_assert_uint_eq(n_changes, 5);
	expect("x\ndiff --git a/f", 'c', "+y\n");
	expect("c1", 'c', "+diff --git a/b b/b\n");
	expect("c2", 'c', "+Binary files a\n");
	expect("c3", 'c', "+no newline\n\\ No newline");
	expect("c4", 'c', "+z\n");
	ck_assert_ptr_null(strstr(change_of("c1")->diff, "c2"));
}
END_TEST

START_TEST(binary_and_long_files_are_told_by_their_size)
{
	make_project();
	make("p");
	sh("cd w/ && printf 'a\\0b' >bin && yes 0123456789 | "
	    "head -c 3000000 >long && head -c 20000000 /dev/zero | tr '\\0' x "
	    ">huge && head -c 9000 /dev/zero | tr '\\0' x >late && "
	    "printf 'a\\0b\\n\\377\\n' >>late");
	take();
	ck_assert_uint_eq(n_changes, 4);
	ck_assert_str_eq(change_of("bin")->diff, "Binary file, 3 bytes\n");
	ck_assert_str_eq(change_of("long")->diff,
	    "Long file, difference not shown, 3000000 bytes\n");
	ck_assert_ptr_nonnull(strstr(change_of("huge")->diff,
	    "20000000 bytes"));
	expect("late", 'c', "a\xef\xbf\xbd" "b\n+\xef\xbf\xbd\n");
	sh("cd w/ && rm bin && echo b >>b");
	take();
	expect("bin", '=', "");
	expect("b", 'e', "+b");
	/* against a base that has such files */
	working_copy_free(&wc);
	sh("cd p && printf 'a\\0b' >bin && cp bin gone && chmod +x bin && "
	    "git add -A && " GIT "commit -q -m 2");
	wc = new_copy(OTHER_SESSION, "p", NULL);
	make_of(wc);
	ck_assert_str_eq(reason, "");
	sh("cd '%s' && printf 'a\\0bcdef' >bin && rm gone && chmod -x bin && "
	    "rm tool && ln -s \"$(printf 'caf\\351')\" tool",
	    working_copy_path(wc));
	take();
	ck_assert_uint_eq(n_changes, 3);
	ck_assert_str_eq(change_of("bin")->diff,
	    "Binary file, 7 bytes, was 3\n");
	ck_assert_str_eq(change_of("bin")->old_mode, "100755");
	ck_assert_str_eq(change_of("bin")->new_mode, "100644");
	expect("gone", 'd', "Binary file, 3 bytes\n");
	expect("tool", 'e', "+caf\xef\xbf\xbd\n\\ No newline");
}
END_TEST

START_TEST(many_changes_are_told_each_with_its_own_diff)
{
	char path[64], line[64];

	make_project();
	make("p");
	sh("cd w/ && i=0; while [ $i -lt 1100 ]; do mkdir -p m/$((i %% 7)); "
	    "echo f$i >m/$((i %% 7))/f$i; i=$((i + 1)); done");
	take();
	ck_assert_uint_eq(n_changes, 1100);
	sh("cd w/ && for f in m/[0-5]/*; do echo more >>$f; done");
	take();
	ck_assert_uint_eq(n_changes, 943);
	for (int i = 0; i < 1100; i++) {
		if (i % 7 == 6)
			continue;
		snprintf(path, sizeof path, "m/%d/f%d", i % 7, i);
		snprintf(line, sizeof line, "\n+f%d\n+more\n", i);
		expect(path, 'c', line);
	}
}
END_TEST

START_TEST(bytes_are_kept_whatever_attributes_say)
{
	sh("git init -q -b main p && cd p && printf 'x\\r\\n' >crlf && "
	    "printf 'y\\n' >lf && git add -A && printf '* text=auto eol=crlf "
	    "ident\\n*.u working-tree-encoding=UTF-16\\n' >.gitattributes &&"
	    "git add -A && " GIT "commit -q -m 1");
	make("p");
	sh("cd w && test \"$(od -An -c lf | tr -d ' ')\" = 'y\\n'");
	sh("cd w && touch lf crlf && printf 'z\\n' >z.u && "
	    "printf 'q\\r\\n' >q");
	take();
	ck_assert_uint_eq(n_changes, 2);
	expect("z.u", 'c', "+z\n");
	expect("q", 'c', "+q\r\n");
}
END_TEST

START_TEST(copy_is_clean_until_something_moves)
{
	make_project();
	make("p");
	ck_assert(working_copy_is_clean(wc));
	sh("cat w/a w/dir/c && ls -lR w/ >list && cd w/ && "
	    "GIT_OPTIONAL_LOCKS=0 git status");
	ck_assert(working_copy_is_clean(wc));
	sh("echo 1 >>w/dir/sub/d");
	ck_assert(!working_copy_is_clean(wc));
	ck_assert(!working_copy_is_clean(wc));
	take();
	ck_assert_uint_eq(n_changes, 1);
	ck_assert(working_copy_is_clean(wc));
	sh("chmod +x w/a");
	ck_assert(!working_copy_is_clean(wc));
	take();
	ck_assert(working_copy_is_clean(wc));
	sh("echo y >y && mv y w/dir/y");
	ck_assert(!working_copy_is_clean(wc));
}
END_TEST

START_TEST(new_folder_is_watched_after_the_next_tree)
{
	make_project();
	make("p");
	sh("mkdir -p w/new/deep");
	ck_assert(!working_copy_is_clean(wc));
	take();
	ck_assert_uint_eq(n_changes, 0);
	ck_assert(working_copy_is_clean(wc));
	sh("echo 1 >w/new/deep/f");
	ck_assert(!working_copy_is_clean(wc));
	take();
	expect("new/deep/f", 'c', "+1");
	ck_assert(working_copy_is_clean(wc));
	sh("rm -r w/new");
	ck_assert(!working_copy_is_clean(wc));
	take();
	ck_assert(working_copy_is_clean(wc));
}
END_TEST

START_TEST(change_during_a_snapshot_is_not_taken_for_clean)
{
	make_project();
	make("p");
	sh("echo 1 >>w/a");
	is_done = false;
	working_copy_snapshot(wc, on_taken, NULL);
	ck_assert(!working_copy_is_clean(wc));
	sh("echo 2 >>w/b");
	wait_done();
	ck_assert(!working_copy_is_clean(wc));
	take();
	take();
	ck_assert(working_copy_is_clean(wc));
}
END_TEST

START_TEST(copy_with_too_many_folders_is_never_clean)
{
	make_project();
	make("p");
	sh("cd w/ && seq -f 'many/%%g' 8300 | xargs mkdir -p");
	take();
	ck_assert(!working_copy_is_clean(wc));
	take();
	ck_assert(!working_copy_is_clean(wc));
	sh("rm -r w/many");
	take();
	ck_assert(working_copy_is_clean(wc));
}
END_TEST

START_TEST(two_sessions_of_one_project_do_not_disturb_each_other)
{
	struct working_copy *other;

	make_project();
	wc = new_copy(SESSION, "p", NULL);
	other = new_copy(OTHER_SESSION, "p", NULL);
	working_copy_make(wc, on_made, NULL);
	make_of(other);
	ck_assert_str_eq(reason, "");
	is_done = n_made == 2;
	if (!is_done)
		wait_done();
	ck_assert_str_eq(reason, "");
	ck_assert_str_ne(working_copy_branch(wc), working_copy_branch(other));
	while (!working_copy_is_clean(wc) || !working_copy_is_clean(other))
		ev_run(loop, EVRUN_ONCE);
	sh("echo 1 >>'%s/a'", working_copy_path(other));
	ck_assert(working_copy_is_clean(wc));
	ck_assert(!working_copy_is_clean(other));
	forget_changes();
	is_done = false;
	working_copy_snapshot(other, on_taken, NULL);
	wait_done();
	expect("a", 'e', "+1");
	take();
	ck_assert_uint_eq(n_changes, 0);
	working_copy_free(&other);
	ck_assert(working_copy_is_clean(wc));
}
END_TEST

START_TEST(freed_copy_calls_nobody)
{
	make_project();
	make("p");
	is_done = false;
	working_copy_snapshot(wc, on_taken, NULL);
	working_copy_free(&wc);
	for (int i = 0; i < 5; i++)
		ev_run(loop, EVRUN_NOWAIT);
	ck_assert(!is_done);
}
END_TEST

static void
on_made_free(void *ctx, const struct err *e)
{
	on_made(ctx, e);
	working_copy_free(&wc);
}

START_TEST(copy_may_be_freed_when_it_is_made)
{
	make_project();
	wc = new_copy(SESSION, "p", NULL);
	is_done = false;
	working_copy_make(wc, on_made_free, NULL);
	wait_done();
	ck_assert_str_eq(reason, "");
	ck_assert_ptr_null(wc);
}
END_TEST

static const char alien[] =
	"setpriv --reuid=65534 --regid=65534 --clear-groups ";

START_TEST(root_may_use_anybodys_project)
{
	if (geteuid() != 0)
		return;
	make_project();
	sh("chown -R 65534:65534 p");
	expect_trap_works("git -C p status || echo refused >sprung");
	make("p");
	sh("echo 1 >>w/a");
	take();
	expect("a", 'e', "+1");
}
END_TEST

/* Runs the helper as another user on project p; its words are in "words". */
static int
create_as_alien(void)
{
	char *helper = child_helper_path("hearth-worktree");

	/* where it lies the other user may not be let in */
	ck_assert_ptr_nonnull(helper);
	sh("cp '%s' helper && chmod 755 helper && mkdir theirs && "
	    "chown 65534:65534 theirs", helper);
	free(helper);
	return sh_status("%s ./helper create --state '%s' --session " SESSION
	    " --project-id 1 --project '%s' >out 2>words", alien, at("theirs"),
	    at("p"));
}

START_TEST(strangers_project_is_refused_in_words)
{
	if (geteuid() != 0)
		return; /* it takes two users */
	make_project();
	ck_assert_int_ne(create_as_alien(), 0);
	sh("grep 'belongs to another user' words");
	ck_assert(!exists("theirs/worktrees/" SESSION));
}
END_TEST

START_TEST(ordinary_user_can_do_all_of_it)
{
	if (geteuid() != 0)
		return; /* the other tests have shown it */
	make_project();
	sh("chown -R 65534:65534 p");
	ck_assert_int_eq(create_as_alien(), 0);
	sh("grep -q hearth/4c1e2f3a out && test -f theirs/worktrees/"
	    SESSION "/a");
}
END_TEST

static const struct {
	const char *take_away, *words;
} rights[] = {
	{ "chmod -R a-w p", "make it writable for hearthd's user" },
	{ "chmod a-w p/.git", "cannot write in .*/p/.git (Permission denied)" },
	{ "mkdir p/.git/worktrees && chmod 500 p/.git/worktrees && "
	    "chown 0 p/.git/worktrees", "cannot write in .*/worktrees (" },
	{ "chmod a-w p/.git/refs/heads", "cannot write in .*/refs/heads (" },
	{ "chmod 0 p/.git", "may not read its .git" },
	{ "chmod 0 p", "may not read it: give it the right to" },
	{ "rm -r p/.git && mkfifo p/f && chmod 0 p/dir p/b && chmod a-w p",
	    NULL }, /* a plain folder: what can be read is copied */
};

START_TEST(what_may_not_be_read_or_written_is_said_in_words)
{
	if (geteuid() != 0)
		return; /* the other user owns what it may not do */
	make_project();
	sh("chown -R 65534:65534 p && %s", rights[_i].take_away);
	if (rights[_i].words) {
		ck_assert_int_ne(create_as_alien(), 0);
		sh("grep \"%s\" words && test $(wc -l <words) = 1",
		    rights[_i].words);
		ck_assert(!exists("theirs/worktrees/" SESSION));
	} else {
		ck_assert_int_eq(create_as_alien(), 0);
		sh("cd theirs/worktrees/" SESSION " && test -f a && "
		    "test ! -e b && test ! -e dir && test ! -e f");
	}
}
END_TEST

static void
add_tests(TCase *t)
{
	tcase_add_loop_test(t,
	    record_is_read_only_when_it_is_whole_and_well_formed, 0,
	    sizeof record_cases / sizeof *record_cases);
	tcase_add_test(t, record_is_read_as_it_was_written);
	tcase_add_loop_test(t, name_is_shown_as_text_that_leads_back_to_it, 0,
	    sizeof names / sizeof *names);
	tcase_add_test(t, git_project_gets_a_worktree_on_a_branch_of_its_own);
	tcase_add_test(t, default_branch_is_where_the_copy_begins);
	tcase_add_test(t, changes_are_told_against_the_base);
	tcase_add_test(t, ignored_files_and_the_users_index_take_no_part);
	tcase_add_test(t, committing_in_the_worktree_is_no_change);
	tcase_add_test(t, plain_folder_is_copied);
	tcase_add_test(t, repository_without_a_commit_is_copied);
	tcase_add_test(t, folder_that_becomes_a_repository_stays_a_copy);
	tcase_add_test(t, folder_within_another_repository_is_copied_by_itself);
	tcase_add_test(t, bare_repository_works);
	tcase_add_test(t, project_that_is_a_worktree_itself_works);
	tcase_add_test(t, sha256_repository_works);
	tcase_add_test(t, taken_branch_name_gets_a_number);
	tcase_add_loop_test(t, half_made_copy_is_made_anew_under_the_same_name,
	    0, 2);
	tcase_add_test(t, copy_killed_while_it_is_made_can_be_made_again);
	tcase_add_test(t, copy_taken_up_again_tells_what_was_missed);
	tcase_add_loop_test(t, private_files_that_are_lost_are_built_again,
	    0, 4);
	tcase_add_test(t, worktree_that_was_removed_comes_back);
	tcase_add_loop_test(t, removed_copy_leaves_nothing_behind, 0, 2);
	tcase_add_loop_test(t, what_is_wrong_with_a_project_is_said_in_words,
	    0, sizeof error_cases / sizeof *error_cases);
}

static void
add_more_tests(TCase *t)
{
	tcase_add_test(t, nothing_planted_in_the_project_is_run);
	tcase_add_loop_test(t,
	    missing_objects_of_a_partial_clone_are_not_fetched, 0, 2);
	tcase_add_test(t, nothing_planted_in_the_worktree_is_run);
	tcase_add_test(t, nothing_planted_in_the_environment_is_heeded);
	tcase_add_test(t, planted_alternates_lead_nowhere);
	tcase_add_loop_test(t, git_that_waits_for_a_planted_pipe_is_ended, 0,
	    sizeof pipes / sizeof *pipes);
	tcase_add_test(t, submodule_with_planted_configuration_is_left_alone);
	tcase_add_test(t, odd_names_and_kinds_of_files_do_no_harm);
	tcase_add_test(t, unreadable_file_is_left_as_it_was);
	tcase_add_test(t, name_that_looks_like_a_diff_misleads_nobody);
	tcase_add_test(t, binary_and_long_files_are_told_by_their_size);
	tcase_add_test(t, many_changes_are_told_each_with_its_own_diff);
	tcase_add_test(t, bytes_are_kept_whatever_attributes_say);
	tcase_add_test(t, copy_is_clean_until_something_moves);
	tcase_add_test(t, new_folder_is_watched_after_the_next_tree);
	tcase_add_test(t, change_during_a_snapshot_is_not_taken_for_clean);
	tcase_add_test(t, copy_with_too_many_folders_is_never_clean);
	tcase_add_test(t,
	    two_sessions_of_one_project_do_not_disturb_each_other);
	tcase_add_test(t, freed_copy_calls_nobody);
	tcase_add_test(t, copy_may_be_freed_when_it_is_made);
	tcase_add_test(t, root_may_use_anybodys_project);
	tcase_add_test(t, strangers_project_is_refused_in_words);
	tcase_add_test(t, ordinary_user_can_do_all_of_it);
	tcase_add_loop_test(t, what_may_not_be_read_or_written_is_said_in_words,
	    0, sizeof rights / sizeof *rights);
}

/* The tests' own git reads no configuration of whoever runs them. */
static void
set_environment(void)
{
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	setenv("LC_ALL", "C", 1);
	unsetenv("GIT_DIR");
	unsetenv("GIT_INDEX_FILE");
	unsetenv("GIT_WORK_TREE");
}

int
main(void)
{
	const char *tmp = getenv("TMPDIR");
	Suite *s = suite_create("workspace");
	TCase *t = tcase_create("workspace");
	SRunner *sr;
	char name[PATH_MAX];
	int failed;

	snprintf(name, sizeof name, "%s/unit_workspace.XXXXXX",
	    tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(name) || !realpath(name, root) || chmod(root, 0755) < 0) {
		perror(name);
		return 1;
	}
	set_environment();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 120.);
	add_tests(t);
	add_more_tests(t);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	if (!getenv("UNIT_WORKSPACE_KEEP"))
		place_remove(root, NULL);
	return failed ? 1 : 0;
}
