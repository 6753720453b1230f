/* SPDX-License-Identifier: MIT */
/*
 * Kinds of projects: whatever git or a folder can be, a turn works in it, or
 * fails with workspace_failed and one line that says why and what to do.
 */
#include "tests/e2e.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

/* In the test's folder: mk makes a repository with the files a and d/b. */
#define WORDS "cd '%s' && git() { command git -c user.name=T " \
	"-c user.email=t@localhost -c init.defaultBranch=main " \
	"-c protocol.file.allow=always -c advice.detachedHead=false \"$@\"; } && " \
	"mk() { git init -q \"$1\" && (cd \"$1\" && echo one >a && mkdir d && " \
	"echo b >d/b && git add -A && git commit -qm 1); } && "

static const char *
path_of(const char *name)
{
	return keep(xasprintf("%s/%s", folder, name));
}

static const struct kind {
	const char *path, *make;
	const char *also;   /* what is true in the working copy */
	const char *branch; /* projects.default_branch, or NULL */
} kinds[] = {
	{ "plain", "mkdir -p plain/d && echo one >plain/a && echo b >plain/d/b",
	    "! test -e .git", NULL },
	{ "young", "git init -q young && echo one >young/a && mkdir young/d && "
	    "echo b >young/d/b", "! test -e .git", NULL },
	{ "outer/in", "mk outer && mkdir -p outer/in/d && echo one >outer/in/a "
	    "&& echo b >outer/in/d/b", "! test -e .git", NULL },
	{ "bare.git", "mk b && git clone -q --bare b bare.git", "git status",
	    NULL },
	{ "headless.git", "mk h && git clone -q --bare h headless.git && "
	    "git -C headless.git symbolic-ref HEAD refs/heads/none",
	    "git status", "main" },
	{ "orphan", "mk orphan && cd orphan && git checkout -q --orphan new && "
	    "git rm -qrf . && echo x >x", "test ! -e x", "main" },
	{ "detached", "mk detached && git -C detached checkout -q --detach",
	    "git status", NULL },
	{ "modules", "mk sub && mk modules && cd modules && git submodule "
	    "--quiet add ../sub sub && git commit -qm 2",
	    "test -d sub && rmdir sub && mkdir sub && "
	    "test -z \"$(git status --porcelain)\"", NULL },
	{ "super/sub", "mk part && mk super && cd super && git submodule "
	    "--quiet add ../part sub", "git status", NULL },
	{ "lfs", "mk lfs && cd lfs && echo '*.bin filter=lfs diff=lfs' "
	    ">.gitattributes && printf 'version "
	    "https://git-lfs.github.com/spec/v1\\noid sha256:%%064d\\nsize "
	    "123456\\n' 7 >x.bin && git -c filter.lfs.clean= add -A && "
	    "git commit -qm 2 && git config filter.lfs.smudge false && "
	    "git config filter.lfs.required true",
	    "head -n 1 x.bin | grep -q git-lfs", NULL },
	{ "sparse", "mk sparse && cd sparse && mkdir e && echo e >e/e && "
	    "git add -A && git commit -qm 2 && git sparse-checkout set e && "
	    "test ! -e d", "test -f d/b && test -f e/e", NULL },
	{ "linked", "mk main && git -C main worktree add -q -b side ../linked",
	    "git status", NULL },
	{ "apart", "mk apart && mv apart/.git apart.git && "
	    "echo gitdir: ../apart.git >apart/.git", "git status", NULL },
	{ "borrower", "mk lender && git clone -q --shared lender borrower && "
	    "echo ../../../lender/.git/objects "
	    ">borrower/.git/objects/info/alternates && "
	    "test -z \"$(find borrower/.git/objects -type f -size +1k)\"",
	    "git status", NULL },
	{ "shallow", "mk deep && git -C deep commit -q --allow-empty -m 2 && "
	    "git clone -q --depth 1 \"file://$PWD/deep\" shallow",
	    "git status", NULL },
	{ "longhash", "git init -q --object-format=sha256 longhash && "
	    "cd longhash && echo one >a && mkdir d && echo b >d/b && "
	    "git add -A && git commit -qm 1", "git status", NULL },
	{ "-f", "mk ./-f", "git status", NULL },
	{ "t\303\251l\303\251 \"x\" $y", "mk 't\303\251l\303\251 \"x\" $y'",
	    "git status", NULL },
	{ "twins", "mk twins && cd twins && echo A >A && git add A && "
	    "git commit -qm 2", "test \"$(cat A)\" = A && "
	    "test \"$(cat a)\" = one", NULL },
};

/* The session's worktree has the files, a turn changes one, and it is told. */
static void
check_kind(const struct kind *k)
{
	const char *session, *path;
	int64_t turn;

	shell(WORDS "%s", folder, k->make);
	session = new_session(path_of(k->path));
	if (k->branch)
		sql("update hearth.projects set default_branch = '%s' "
		    "where path = '%s'", k->branch, path_of(k->path));
	turn = submit(new_chat(session), "fake", "append a two\\n;"
	    "delete d/b;write new \\n");
	if (!comes_true(LIMIT, "true", "select (ended_at is not null)::text "
	    "from hearth.turns where id = %lld", (long long)turn))
		e2e_fail(__FILE__, __LINE__, "%s: no end", k->path);
	if (strcmp(turn_of(turn, "status"), "completed") != 0)
		e2e_fail(__FILE__, __LINE__, "%s: %s", k->path,
		    turn_of(turn, "error"));
	if (strcmp(value("select string_agg(file_path || '/' || operation, "
	    "' ' order by file_path) from hearth.pending_changes where "
	    "turn_id = %lld", (long long)turn),
	    "a/edit d/b/delete new/create") != 0)
		e2e_fail(__FILE__, __LINE__, "%s: %s", k->path,
		    value("select string_agg(file_path || '/' || operation, "
		    "' ') from hearth.pending_changes where turn_id = %lld",
		    (long long)turn));
	/* undone by hand: as it was made */
	path = value("select path from hearth.worktrees where session_id = "
	    "'%s'", session);
	shell("cd '%s' && echo one >a && echo b >d/b && rm new && "
	    "export GIT_CEILING_DIRECTORIES=\"$PWD/..\" && "
	    "{ %s; } >/dev/null", path, k->also);
}

START_TEST(every_kind_of_project_works)
{
	start(NULL);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		check_kind(&kinds[i]);
}
END_TEST

static const struct {
	const char *path, *make, *words;
	const char *mend; /* then a turn works */
} wrong[] = {
	{ "missing", "true", "make it, or correct projects.path", "mk missing" },
	{ "file", "echo x >file", "it is not a folder", "rm file && mk file" },
	{ "void.git", "git init -q --bare void.git", "push one", "mk v && "
	    "git -C v push -q ../void.git main" },
	{ "damaged", "mk damaged && mv damaged/.git/objects o && "
	    "mkdir damaged/.git/objects", "git fsck",
	    "rmdir damaged/.git/objects && mv o damaged/.git/objects" },
	{ "cut", "mk whole && git -C whole worktree add -q -b side ../cut && "
	    "mv whole away", "move the .git away", "mv away whole" },
	{ "broken", "mk broken && echo '[' >>broken/.git/config", "bad config",
	    "git init -q c && cp c/.git/config broken/.git/config" },
	{ "taken", "mk taken && git -C taken branch hearth", "hearth",
	    "git -C taken branch -D hearth" },
};

static int64_t
refused(const char *in, const char *words)
{
	int64_t turn = submit(in, "fake", "say x");

	wait_turn(turn, "failed", LIMIT);
	check_has(turn_of(turn, "error"), words);
	ck_assert_str_eq(turn_of(turn, "error_code"), "workspace_failed");
	check_true(!strchr(turn_of(turn, "error"), '\n'));
	check_value("0", "select count(*) from hearth.events where turn_id = "
	    "%lld and kind = 'turn_started'", (long long)turn);
	return turn;
}

START_TEST(what_does_not_work_says_why_and_works_when_it_is_mended)
{
	start(NULL);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		const char *in = new_chat(new_session(path_of(wrong[i].path)));

		shell(WORDS "%s", folder, wrong[i].make);
		refused(in, wrong[i].words);
		shell(WORDS "%s", folder, wrong[i].mend);
		complete(in, "fake", "run test -e a || exit 1");
	}
	check_value("0", "select count(*) from hearth.worktrees where "
	    "status <> 'active'");
}
END_TEST

START_TEST(a_default_branch_that_does_not_exist_is_named)
{
	start(NULL);
	sql("update hearth.projects set default_branch = 'nowhere'");
	refused(chat, "it has no branch \"nowhere\": correct "
	    "projects.default_branch");
	sql("update hearth.projects set default_branch = null");
	complete(chat, "fake", "say x");
}
END_TEST

START_TEST(a_repository_that_may_not_be_written_is_refused)
{
	const char *in;

	if (geteuid() == 0)
		return; /* root may */
	start(NULL);
	shell(WORDS "mk fixed && chmod a-w fixed/.git", folder);
	in = new_chat(new_session(path_of("fixed")));
	refused(in, "make it writable for hearthd's user");
	shell("chmod u+w %s/fixed/.git", folder);
	complete(in, "fake", "say x");
}
END_TEST

START_TEST(what_an_agent_does_in_a_repository_of_its_own_is_no_change)
{
	start(NULL);
	shell(WORDS "mk sub && mk modules && cd modules && git submodule "
	    "--quiet add ../sub sub && git commit -qm 2", folder);
	chat = new_chat(new_session(path_of("modules")));
	complete(chat, "fake", "run git -c protocol.file.allow=always "
	    "submodule --quiet update --init;append sub/a more\\n;"
	    "run git init -q own;write own/f x;write beside x");
	check_value("beside", "select string_agg(file_path, ' ') from "
	    "hearth.pending_changes where session_id = '%s'",
	    session_of(chat));
}
END_TEST

START_TEST(names_that_are_no_text_are_told_apart)
{
	start(NULL);
	complete(chat, "fake", "run printf 1 >\"$(printf 'caf\\351')\"\\; "
	    "printf 2 >\"$(printf 'caf\\350')\"\\; printf 3 >'\"q\"'\\; "
	    "printf 4 >\"$(printf 'a\\nb')\"\\; printf 5 >-x");
	check_value("\"\\\"q\\\"\" \"caf\\350\" \"caf\\351\" -x a|b", "select "
	    "string_agg(translate(file_path, E'\\n', '|'), ' ' "
	    "order by file_path collate \"C\") from hearth.pending_changes "
	    "where status = 'pending'");
	/* and lead back to the files */
	sql("select hearth.accept_changes('%s')", session_of(chat));
	wait_value("applied 5", LIMIT, "select min(status) || ' ' || count(*) "
	    "from hearth.pending_changes having count(distinct status) = 1");
	shell("cd %s && grep -q 1 \"$(printf 'caf\\351')\" && "
	    "grep -q 2 \"$(printf 'caf\\350')\" && grep -q 3 '\"q\"' && "
	    "grep -q 4 \"$(printf 'a\\nb')\" && grep -q 5 ./-x", project);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, every_kind_of_project_works);
	tcase_add_test(tc,
	    what_does_not_work_says_why_and_works_when_it_is_mended);
	tcase_add_test(tc, a_default_branch_that_does_not_exist_is_named);
	tcase_add_test(tc, a_repository_that_may_not_be_written_is_refused);
	tcase_add_test(tc,
	    what_an_agent_does_in_a_repository_of_its_own_is_no_change);
	tcase_add_test(tc, names_that_are_no_text_are_told_apart);
}

int
main(void)
{
	return e2e_main("projects", add_tests);
}
