/* SPDX-License-Identifier: MIT */
/*
 * worker/glob.c and worker/permission_rules.c as tables: patterns, then one
 * rule against one tool call, hostile ones too, then lists of rules.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "worker/glob.h"
#include "worker/permission_rules.h"

#define CWD "/srv/w/1"
#define N(table) (int)(sizeof (table) / sizeof *(table))

static const struct {
	enum glob_kind kind;
	const char *pattern, *text;
	bool matches;
} globs[] = {
	{ GLOB_PATH, "a.c", "a.c", true },
	{ GLOB_PATH, "a.c", "a.cc", false },
	{ GLOB_PATH, "", "", true },
	{ GLOB_PATH, "*", "", true },
	{ GLOB_PATH, "*.env", ".env", true },
	{ GLOB_PATH, "*.env", "a/b.env", false },
	{ GLOB_PATH, "src/*", "src/a", true },
	{ GLOB_PATH, "src/*", "src/a/b", false },
	{ GLOB_PATH, "src/**", "src/a/b", true },
	{ GLOB_PATH, "src/**", "src", false },
	{ GLOB_PATH, "src/**", "srcs/a", false },
	{ GLOB_PATH, "**/b", "b", true },
	{ GLOB_PATH, "**/b", "x/y/b", true },
	{ GLOB_PATH, "**/b", "xb", false },
	{ GLOB_PATH, "a/**/b", "a/b", true },
	{ GLOB_PATH, "a/**/b", "a/x/y/b", true },
	{ GLOB_PATH, "a/**/b", "a/xb", false },
	{ GLOB_PATH, "a/**/*.c", "a/x/y.h/z.c", true },
	{ GLOB_PATH, "a**b", "a/x/b", true },
	{ GLOB_PATH, "?", "/", false },
	{ GLOB_PATH, "a?c", "a\xc3\xa4" "c", true },
	{ GLOB_PATH, "a[!x]c", "a/c", false },
	{ GLOB_PATH, "a[b-d]", "ac", true },
	{ GLOB_PATH, "a[!b-d]", "ac", false },
	{ GLOB_PATH, "a[]]", "a]", true },
	{ GLOB_PATH, "a[b", "a[b", true },
	{ GLOB_PATH, "a\\*", "a*", true },
	{ GLOB_PATH, "a\\*", "ab", false },
	{ GLOB_PATH, "A", "a", false },
	{ GLOB_LINE, "git *", "git log a/b", true },
	{ GLOB_LINE, "git *", "git", false },
	{ GLOB_LINE, "git *", "gitk x", false },
	{ GLOB_LINE, "ls ?", "ls /", true },
	{ GLOB_LINE, "**/x", "a b/x", true },
};

START_TEST(globs_match_as_the_table_says)
{
	ck_assert_msg(glob_matches(globs[_i].kind, globs[_i].pattern,
	    globs[_i].text) == globs[_i].matches, "\"%s\" \"%s\"",
	    globs[_i].pattern, globs[_i].text);
}
END_TEST

/* Backtracking would not end while the test has patience. */
START_TEST(no_pattern_is_slow)
{
	static char text[16000];

	memset(text, 'a', sizeof text - 1);
	ck_assert(!glob_matches(GLOB_LINE, "*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
	ck_assert(!glob_matches(GLOB_PATH, "**/*a*a*a**a*a*a**/*a*a*b", text));
}
END_TEST

/* One rule, one call: which of allow, deny and ask would match. */
static const struct {
	const char *kind, *path, *command;             /* the rule */
	const char *has_kind, *locations, *raw_input, *content;
	const char *matches;   /* a: allow does; d: deny and ask do */
} calls[] = {
	/* kinds */
	{ NULL, NULL, NULL, "edit", NULL, NULL, NULL, "ad" },
	{ "edit", NULL, NULL, "edit", NULL, NULL, NULL, "ad" },
	{ "edit", NULL, NULL, "execute", NULL, NULL, NULL, "" },
	{ "other", NULL, NULL, NULL, NULL, NULL, NULL, "ad" },

	/* paths */
	{ NULL, "src/**", NULL, "edit", "[{\"path\":\"" CWD "/src/a\"}]",
	    NULL, NULL, "ad" },
	{ NULL, "src/**", NULL, "edit", "[{\"path\":\"src/a\"}]",
	    NULL, NULL, "ad" },
	{ NULL, "src/**", NULL, "edit", "[{\"path\":\"/srv/w/12/src/a\"}]",
	    NULL, NULL, "" },
	{ NULL, "**", NULL, "edit", "[{\"path\":\"/srv/w/1x\"}]",
	    NULL, NULL, "" },
	{ NULL, "**", NULL, "edit", "[{\"path\":\"" CWD "\"}]",
	    NULL, NULL, "ad" },
	{ NULL, "/etc/**", NULL, "edit", "[{\"path\":\"/etc/x/y\"}]",
	    NULL, NULL, "ad" },
	{ NULL, "*.env", NULL, "edit", "[{\"path\":\"a/b/.env\"}]",
	    NULL, NULL, "ad" },
	{ NULL, "a/*.env", NULL, "edit", "[{\"path\":\"a/b/.env\"}]",
	    NULL, NULL, "" },
	/* the folder's other name */
	{ NULL, "*.env", NULL, "edit", "[{\"path\":\"/data/1/.env\"}]",
	    NULL, NULL, "ad" },
	{ NULL, "src/**", NULL, "edit", NULL,
	    "{\"file_path\":\"src/a\"}", NULL, "ad" },
	{ NULL, "src/**", NULL, "edit", NULL,
	    "{\"path\":\"src/a\",\"filePath\":\"src/b\","
	    "\"abs_path\":\"" CWD "/src/c\"}", NULL, "ad" },
	{ NULL, "src/**", NULL, "edit", NULL, NULL,
	    "[{\"type\":\"diff\",\"path\":\"src/a\",\"newText\":\"\"}]", "ad" },
	/* nothing is named */
	{ NULL, "**", NULL, "edit", NULL, NULL, NULL, "" },
	{ NULL, "**", NULL, "edit", "[]", "{}", "[]", "" },
	{ NULL, "**", NULL, "edit", "null", "null", "null", "" },
	/* one of several is elsewhere */
	{ NULL, "src/**", NULL, "edit",
	    "[{\"path\":\"src/a\"},{\"path\":\"doc/a\"}]", NULL, NULL, "d" },
	{ NULL, "src/**", NULL, "edit", "[{\"path\":\"src/a\"}]",
	    "{\"file_path\":\"/etc/passwd\"}", NULL, "d" },
	{ NULL, "src/**", NULL, "edit", "[{\"path\":\"src/a\"}]", NULL,
	    "[{\"type\":\"diff\",\"path\":\"/etc/passwd\"}]", "d" },
	/* out of the worktree, and back */
	{ NULL, "src/**", NULL, "edit", "[{\"path\":\"src/../../../x\"}]",
	    NULL, NULL, "" },
	{ NULL, "src/**", NULL, "edit",
	    "[{\"path\":\"" CWD "/src/../.git/config\"}]", NULL, NULL, "" },
	{ NULL, ".git/**", NULL, "edit",
	    "[{\"path\":\"src/.././/.git/./config\"}]", NULL, NULL, "ad" },
	{ NULL, "/etc/*", NULL, "edit",
	    "[{\"path\":\"../../../../../../etc/passwd\"}]", NULL, NULL,
	    "ad" },
	/* what is not what it looks like */
	{ NULL, "**", NULL, "edit", "[{\"path\":\"~/.ssh/id\"}]",
	    NULL, NULL, "d" },
	{ NULL, "**", NULL, "edit", "[{\"path\":\"file:///etc/passwd\"}]",
	    NULL, NULL, "d" },
	{ NULL, "**", NULL, "edit", "[{\"path\":\"file:/etc/passwd\"}]",
	    NULL, NULL, "d" },
	{ NULL, "**", NULL, "edit", "[{\"path\":\"\"}]", NULL, NULL, "d" },
	{ NULL, "**", NULL, "edit", "[{\"path\":[\"a\"]}]", NULL, NULL, "d" },
	{ NULL, "**", NULL, "edit", "[{}]", NULL, NULL, "d" },
	{ NULL, "**", NULL, "edit", "[\"a\"]", NULL, NULL, "d" },
	{ NULL, "**", NULL, "edit", "{\"path\":\"a\"}", NULL, NULL, "d" },
	{ NULL, "src/**", NULL, "edit", "[{\"path\":\"src/a\"}]",
	    "\"rm -rf /\"", NULL, "d" },
	/* a command that the rule says nothing about */
	{ NULL, "src/**", NULL, "edit", "[{\"path\":\"src/a\"}]",
	    "{\"command\":\"rm -rf /\"}", NULL, "d" },
	{ NULL, NULL, "git *", "edit", "[{\"path\":\"/etc/passwd\"}]",
	    "{\"command\":\"git log\"}", NULL, "d" },
	{ NULL, "src/**", "git *", "execute", "[{\"path\":\"src/a\"}]",
	    "{\"command\":\"git log\"}", NULL, "ad" },
	{ NULL, "src/**", "git *", "execute", NULL,
	    "{\"command\":\"git log\"}", NULL, "" },

	/* commands */
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log\"}", NULL, "ad" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"cmd\":\"git log\"}", NULL, "ad" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":[\"git\",\"log\"]}", NULL, "ad" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"  git\\t\\tlog\\n\"}", NULL, "ad" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"title\":\"git log\"}", NULL, "" },
	{ NULL, NULL, "*", "execute", NULL, "{\"command\":\"\"}", NULL, "" },
	{ NULL, NULL, "*", "execute", NULL, "{\"command\":null}", NULL, "" },
	{ NULL, NULL, "*", "execute", NULL, "{\"command\":[]}", NULL, "" },
	{ NULL, NULL, "*", "execute", NULL, "{\"command\":7}", NULL, "d" },
	{ NULL, NULL, "*", "execute", NULL,
	    "{\"command\":[\"git\",{}]}", NULL, "d" },
	/* an input that is not taken apart may be anything */
	{ NULL, NULL, "rm *", "execute", NULL, "\"rm -rf /\"", NULL, "d" },
	{ NULL, NULL, "rm *", "execute", NULL, "[\"rm\",\"-rf\",\"/\"]",
	    NULL, "d" },
	{ NULL, "*.env", NULL, "edit", NULL, "\".env\"", NULL, "d" },
	/* more than one */
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log\",\"cmd\":\"rm -rf /\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log; rm -rf /\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log && rm -rf /\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log | sh\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log `rm x`\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log $(rm x)\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log > /etc/x\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log < /etc/x\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log\\nrm x\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":\"git log\\rrm x\"}", NULL, "d" },
	{ NULL, NULL, "git *", "execute", NULL,
	    "{\"command\":[\"git\",\"log;\",\"rm\"]}", NULL, "d" },
	{ NULL, NULL, "make * | tail *", "execute", NULL,
	    "{\"command\":\"make x | tail -3\"}", NULL, "ad" },
	{ NULL, NULL, "make * | tail *", "execute", NULL,
	    "{\"command\":\"make x | tail -3; rm x\"}", NULL, "d" },
	{ NULL, NULL, "echo (*", "execute", NULL,
	    "{\"command\":\"echo ($(rm x))\"}", NULL, "d" },
	/* deny finds the part */
	{ NULL, NULL, "rm *", "execute", NULL,
	    "{\"command\":\"cd x && rm -rf y\"}", NULL, "d" },
	{ NULL, NULL, "rm *", "execute", NULL,
	    "{\"command\":\"echo $(rm -rf y)\"}", NULL, "d" },
	{ NULL, NULL, "rm *", "execute", NULL,
	    "{\"command\":\"sh -c 'rm -rf y'\"}", NULL, "d" },
	{ NULL, NULL, "rm *", "execute", NULL,
	    "{\"command\":[\"bash\",\"-lc\",\"rm -rf y\"]}", NULL, "d" },
	{ NULL, NULL, "rm *", "execute", NULL,
	    "{\"command\":\" \\t rm\\t-rf y\"}", NULL, "ad" },
	{ NULL, NULL, "rm *", "execute", NULL,
	    "{\"command\":\"farm x\"}", NULL, "" },
	{ NULL, NULL, "reboot", "execute", NULL,
	    "{\"command\":\"true;reboot;true\"}", NULL, "d" },
};

static bool
decides(enum permission_decision decision, int i)
{
	struct permission_rule rule = {
		.id = 7, .tool_kind = calls[i].kind,
		.path_pattern = calls[i].path,
		.command_pattern = calls[i].command, .decision = decision,
	};
	struct permission_call call = {
		.kind = calls[i].has_kind, .locations = calls[i].locations,
		.raw_input = calls[i].raw_input, .content = calls[i].content,
		.cwd = CWD, .real_cwd = "/data/1",
	};
	struct permission_scope who = { "", "qwen", 1 };
	struct permission_rules *r = permission_rules_new();
	const struct permission_rule *found;
	bool is;

	permission_rules_set(r, &rule, 1);
	found = permission_rules_find(r, &who, &call);
	is = found != NULL && found->id == 7 && found->decision == decision;
	permission_rules_free(&r);
	return is;
}

START_TEST(calls_are_matched_as_the_table_says)
{
	const char *what = calls[_i].matches;
	bool deny = strchr(what, 'd') != NULL;

	ck_assert_msg(decides(DECISION_ALLOW, _i) == (strchr(what, 'a') !=
	    NULL), "case %d: allow", _i);
	ck_assert_msg(decides(DECISION_DENY, _i) == deny, "case %d: deny", _i);
	ck_assert_msg(decides(DECISION_ASK, _i) == deny, "case %d: ask", _i);
}
END_TEST

START_TEST(what_is_too_long_is_never_allowed_and_always_denied)
{
	static char input[20100];
	struct permission_rule rules[] = {
		{ .id = 1, .command_pattern = "*",
		    .decision = DECISION_ALLOW },
		{ .id = 2, .command_pattern = "rm *",
		    .decision = DECISION_DENY },
	};
	struct permission_scope who = { "", "qwen", 1 };
	struct permission_call call = { .kind = "execute", .cwd = CWD,
	    .raw_input = input };
	struct permission_rules *r = permission_rules_new();

	strcpy(input, "{\"command\":\"");
	memset(input + strlen(input), 'x', 20000);
	strcat(input, "\"}");
	permission_rules_set(r, rules, 2);
	ck_assert_int_eq(permission_rules_find(r, &who, &call)->id, 2);
	permission_rules_free(&r);
}
END_TEST

START_TEST(one_path_too_many_is_not_allowed)
{
	static char locations[20000] = "[{\"path\":\"a\"}";
	struct permission_rule rule = { .id = 1, .path_pattern = "**",
	    .decision = DECISION_ALLOW };
	struct permission_scope who = { "", "qwen", 1 };
	struct permission_call call = { .kind = "edit", .cwd = CWD,
	    .locations = locations };
	struct permission_rules *r = permission_rules_new();

	for (int i = 0; i < 256; i++)
		strcat(locations, ",{\"path\":\"a\"}");
	strcat(locations, "]");
	permission_rules_set(r, &rule, 1);
	ck_assert_ptr_null(permission_rules_find(r, &who, &call));
	permission_rules_free(&r);
}
END_TEST

/* ---- lists: who falls under which, and which is the first */

static const struct permission_rule list[] = {
	{ .id = 1, .scope = { "acme", NULL, 0 }, .decision = DECISION_DENY },
	{ .id = 2, .scope = { "", "codex", 0 }, .decision = DECISION_ASK },
	{ .id = 3, .scope = { "", NULL, 5 }, .decision = DECISION_ALLOW },
	{ .id = 4, .scope = { "", "qwen", 6 }, .decision = DECISION_DENY },
};

static const struct {
	struct permission_scope who;
	int64_t rule;
} whos[] = {
	{ { "acme", "codex", 5 }, 1 },
	{ { "", "codex", 5 }, 2 },
	{ { "", "qwen", 5 }, 3 },
	{ { "other", "qwen", 5 }, 3 },
	{ { "", "qwen", 6 }, 4 },
	{ { "", "gemini", 6 }, 0 },
	{ { "", "qwen", 7 }, 0 },
	{ { NULL, NULL, 0 }, 0 },
};

START_TEST(the_first_rule_of_the_childs_own_decides)
{
	struct permission_rules *r = permission_rules_new();
	struct permission_call call = { .kind = "edit", .cwd = CWD };
	const struct permission_rule *found;

	permission_rules_set(r, list, N(list));
	found = permission_rules_find(r, &whos[_i].who, &call);
	ck_assert_int_eq(found != NULL ? found->id : 0, whos[_i].rule);
	permission_rules_free(&r);
}
END_TEST

START_TEST(rules_that_are_not_known_yet_ask)
{
	struct permission_rules *r = permission_rules_new();
	struct permission_call call = { .kind = "edit", .cwd = CWD };
	const struct permission_rule *found;

	found = permission_rules_find(r, &whos[0].who, &call);
	ck_assert_ptr_nonnull(found);
	ck_assert_int_eq(found->decision, DECISION_ASK);
	permission_rules_set(r, NULL, 0);
	ck_assert_ptr_null(permission_rules_find(r, &whos[0].who, &call));
	permission_rules_free(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("permission_rules");
	TCase *t = tcase_create("permission_rules");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, globs_match_as_the_table_says, 0, N(globs));
	tcase_add_test(t, no_pattern_is_slow);
	tcase_add_loop_test(t, calls_are_matched_as_the_table_says, 0,
	    N(calls));
	tcase_add_test(t,
	    what_is_too_long_is_never_allowed_and_always_denied);
	tcase_add_test(t, one_path_too_many_is_not_allowed);
	tcase_add_loop_test(t, the_first_rule_of_the_childs_own_decides, 0,
	    N(whos));
	tcase_add_test(t, rules_that_are_not_known_yet_ask);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
