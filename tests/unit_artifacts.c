/* SPDX-License-Identifier: MIT */
/*
 * worker/artifacts: which URLs name a thing, and what the words beside them say
 * of it. worker/findings: from chunks and tool results to each thing once.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "worker/artifacts.h"
#include "worker/findings.h"

static bool
note(void *ctx, const struct artifact *a)
{
	struct buf *b = ctx;

	if (b->len)
		buf_adds(b, " ");
	if (a->is_request)
		buf_printf(b, "%s=%s,%s,%s", a->url, a->provider, a->title,
		    a->state ? a->state : "-");
	else
		buf_printf(b, "%s=%s,%s", a->url, a->title,
		    a->path ? a->path : "-");
	return true;
}

/* From memory of the exact size, so that reading past it is seen. */
static char *
found_in(const char *text)
{
	size_t n = strlen(text);
	char *copy = memcpy(malloc(n ? n : 1), text, n);
	struct buf b = { 0 };

	artifacts_find(copy, n, note, &b);
	free(copy);
	return b.data ? buf_take(&b) : strdup("");
}

#define GH "https://github.com/shop/web/pull/12"
#define GH_IS(state) GH "=github,shop/web#12," state

static const struct {
	const char *text, *found;
} texts[] = {
	/* shapes of requests */
	{ GH, GH_IS("-") },
	{ "https://GitHub.com/shop/web/pull/12/files#diff-1?w=1", GH_IS("-") },
	{ GH "?expand=1", GH_IS("-") },
	{ "http://git.corp:8443/shop/web/pull/7",
	    "http://git.corp:8443/shop/web/pull/7=github,shop/web#7,-" },
	{ "https://gitlab.com/a/b/c/-/merge_requests/3/diffs",
	    "https://gitlab.com/a/b/c/-/merge_requests/3=gitlab,a/b/c!3,-" },
	{ "https://gitlab.corp/a/b/merge_requests/3",
	    "https://gitlab.corp/a/b/merge_requests/3=gitlab,a/b!3,-" },
	{ "https://bitbucket.org/w/r/pull-requests/9/overview",
	    "https://bitbucket.org/w/r/pull-requests/9=bitbucket,w/r#9,-" },
	{ "https://bb.corp/projects/P/repos/r/pull-requests/9",
	    "https://bb.corp/projects/P/repos/r/pull-requests/9="
	    "bitbucket,P/r#9,-" },
	{ "https://codeberg.org/o/r/pulls/4",
	    "https://codeberg.org/o/r/pulls/4=gitea,o/r#4,-" },
	{ "http://localhost:3000/o/r/pulls/4",
	    "http://localhost:3000/o/r/pulls/4=gitea,o/r#4,-" },
	{ "https://bot:secret@github.com/shop/web/pull/12", GH_IS("-") },
	/* what only looks so */
	{ "https://github.com/shop/web/pull/new/feature", "" },
	{ "https://github.com/shop/web/pull/12abc", "" },
	{ "https://github.com/shop/web/pull/0", "" },
	{ "https://github.com/shop/web/pull/", "" },
	{ "https://github.com/shop/web/pull/1234567890", "" },
	{ "https://github.com/shop/web/pulls", "" },
	{ "https://github.com/shop/web/issues/12", "" },
	{ "https://api.github.com/repos/shop/web/pulls/12", "" },
	{ "https://gitlab.com/api/v4/projects/merge_requests/12", "" },
	{ "https://gitlab.com/a/b/-/merge_requests/new?x=1", "" },
	{ "https://gitlab.com/a/-/merge_requests/1", "" },
	{ "ftp://github.com/shop/web/pull/12", "" },
	{ "github.com/shop/web/pull/12", "" },
	{ "xhttps://github.com/shop/web/pull/12", "" },
	{ "https:///shop/web/pull/12", "" },
	{ "https://a_b/shop/web/pull/12", "" },
	{ "https://h:99999/shop/web/pull/12", "" },
	{ "https://h/sh%20op/web/pull/12", "" },
	{ "://", "" }, { "http://", "" }, { "http://@", "" },
	{ "http://:80", "" }, { "http://[::1", "" }, { "http://[x]:1", "" },
	/* how they stand in texts */
	{ "See [PR](" GH ").", GH_IS("-") },
	{ "**" GH "**, and", GH_IS("-") },
	{ "{\"html_url\":\"" GH "\"}", GH_IS("-") },
	{ "\033]8;;" GH "\033\\PR\033]8;;\033\\", GH_IS("-") },
	{ "请看" GH "。", GH_IS("-") },
	{ "<" GH ">", GH_IS("-") }, { "'" GH "'.", GH_IS("-") },
	{ GH "\\n", GH_IS("-") },
	{ GH " " GH, GH_IS("-") " " GH_IS("-") },
	{ "https://x.y/?to=" GH, GH_IS("-") },
	{ "https://x.y/to/" GH, "" },
	/* states */
	{ "Opened " GH, GH_IS("opened") },
	{ "I created a pull request: " GH, GH_IS("opened") },
	{ "Creating pull request for f into main in shop/web\n\n" GH,
	    GH_IS("opened") },
	{ "Merged " GH ".", GH_IS("merged") },
	{ GH " was merged", GH_IS("merged") },
	{ GH " is closed", GH_IS("closed") },
	{ "declined: " GH, GH_IS("closed") },
	{ GH " can be merged", GH_IS("-") },
	{ GH " is not merged, it is open", GH_IS("opened") },
	{ "once merged, see " GH, GH_IS("-") },
	{ "title:\tFix\nstate:\tMERGED\nurl:\t" GH, GH_IS("merged") },
	{ "{\"state\":\"MERGED\",\"url\":\"" GH "\"}", GH_IS("merged") },
	{ "[{\"url\":\"https://g.it/a/b/pull/1\",\"state\":\"OPEN\"},"
	    "{\"url\":\"" GH "\",\"state\":\"MERGED\"}]",
	    "https://g.it/a/b/pull/1=github,a/b#1,opened " GH_IS("merged") },
	{ "{\"created_at\":\"2026\",\"url\":\"" GH "\"}", GH_IS("-") },
	{ "https://g.it/a/b/pull/1 was merged\n" GH " is open",
	    "https://g.it/a/b/pull/1=github,a/b#1,merged " GH_IS("opened") },
	{ "Emerged from " GH, GH_IS("-") },
	/* previews */
	{ "http://localhost:3000/", "http://localhost:3000=localhost:3000,-" },
	{ "http://LOCALHOST:3000/a/b?q=1#x.",
	    "http://localhost:3000=localhost:3000,/a/b" },
	{ "ready on http://127.0.0.1:8080.",
	    "http://127.0.0.1:8080=127.0.0.1:8080,-" },
	{ "http://0.0.0.0:1, http://[::1]:2/x",
	    "http://0.0.0.0:1=0.0.0.0:1,- http://[::1]:2=[::1]:2,/x" },
	{ "http://app.localhost:5173",
	    "http://app.localhost:5173=app.localhost:5173,-" },
	{ "https://web-git-f.vercel.app/shop",
	    "https://web-git-f.vercel.app=web-git-f.vercel.app,/shop" },
	{ "https://x-3000.app.github.dev",
	    "https://x-3000.app.github.dev=x-3000.app.github.dev,-" },
	{ "http://localhost", "" }, { "http://localhost:0", "" },
	{ "http://127.0.0.1/", "" }, { "https://vercel.app/", "" },
	{ "https://notvercel.app/", "" }, { "https://example.com:3000/", "" },
	{ "ws://localhost:3000", "" }, { "postgres://localhost:5432/x", "" },
	{ "", "" },
};

START_TEST(a_text_names_things)
{
	char *found = found_in(texts[_i].text);

	ck_assert_msg(strcmp(found, texts[_i].found) == 0,
	    "in <%s>\nfound <%s>\nnot <%s>", texts[_i].text, found,
	    texts[_i].found);
	free(found);
}
END_TEST

START_TEST(an_endless_url_is_none)
{
	struct buf b = { 0 };
	char *found;

	buf_adds(&b, "http://localhost:3000/");
	while (b.len <= ARTIFACT_URL_MAX)
		buf_adds(&b, "aaaaaaaaaa");
	found = found_in(b.data);
	ck_assert_str_eq(found, "");
	free(found);
	buf_free(&b);
}
END_TEST

static bool
count(void *ctx, const struct artifact *a)
{
	(void)a;
	return ++*(int *)ctx < 3;
}

START_TEST(enough_is_enough)
{
	const char text[] = GH " " GH " " GH " " GH " " GH;
	int n = 0;

	artifacts_find(text, sizeof text - 1, count, &n);
	ck_assert_int_eq(n, 3);
}
END_TEST

/* Each URL in the path of the one before: quadratic would take minutes. */
START_TEST(a_megabyte_of_urls_is_read_once)
{
	struct buf b = { 0 };
	char *found;

	while (b.len < 1 << 20)
		buf_adds(&b, "http://a/b/");
	found = found_in(b.data);
	ck_assert_str_eq(found, "");
	free(found);
	buf_free(&b);
}
END_TEST

/* ---- findings */

static struct findings *findings;

static void
set_up(void)
{
	findings = findings_new();
}

static void
tear_down(void)
{
	findings_free(&findings);
	ck_assert_ptr_null(findings);
	findings_free(&findings);
}

static void
say(const char *text)
{
	findings_text(findings, text, strlen(text));
}

/* All that waits: "type url metadata", each on a line. */
static const char *
taken(void)
{
	static struct buf b;
	const struct agent_artifact *a;

	buf_reset(&b, 0);
	buf_adds(&b, "");
	while ((a = findings_take(findings)) != NULL)
		buf_printf(&b, "%s%s %s %s", b.len ? "\n" : "", a->type,
		    a->url ? a->url : "-", a->metadata);
	return b.data ? b.data : "";
}

#define META "{\"provider\":\"github\",\"repository\":\"shop/web\"," \
	"\"number\":12"

START_TEST(a_url_in_pieces_is_one)
{
	const char *text = "Opened " GH ".";

	for (const char *p = text; *p; p++) {
		findings_text(findings, p, 1);
		ck_assert_ptr_null(findings_take(findings));
	}
	findings_end(findings);
	ck_assert_str_eq(taken(), "pr " GH " " META ",\"state\":\"opened\"}");
}
END_TEST

START_TEST(what_is_known_is_found_again_only_with_another_state)
{
	say(GH);
	findings_end(findings);
	ck_assert_str_eq(taken(), "pr " GH " " META "}");
	say("see " GH " or " GH);
	findings_end(findings);
	ck_assert_str_eq(taken(), "");
	say("Opened " GH " and again opened " GH);
	findings_end(findings);
	ck_assert_str_eq(taken(), "pr " GH " " META ",\"state\":\"opened\"}");
	say(GH);
	findings_end(findings);
	ck_assert_str_eq(taken(), "");
	say("Merged " GH);
	findings_end(findings);
	ck_assert_str_eq(taken(), "pr " GH " " META ",\"state\":\"merged\"}");
}
END_TEST

START_TEST(the_next_message_does_not_go_on_with_a_url)
{
	say("http://localhost:30");
	findings_break(findings);
	say("00 and more");
	findings_end(findings);
	ck_assert_str_eq(taken(), "preview http://localhost:30 {}");
}
END_TEST

/* More than a window, URLs everywhere, also over its edges. */
START_TEST(a_long_text_is_looked_through_in_pieces)
{
	struct buf b = { 0 };
	int n = 0;

	for (int i = 1; i <= FINDINGS_MAX; i++) {
		for (int k = 0; k < 130; k++)
			buf_adds(&b, "word word\n");
		buf_printf(&b, "http://localhost:%d ", i);
	}
	for (size_t at = 0; at < b.len; at += 7)
		findings_text(findings, b.data + at,
		    b.len - at < 7 ? b.len - at : 7);
	findings_end(findings);
	while (findings_take(findings))
		n++;
	ck_assert_int_eq(n, FINDINGS_MAX);
	buf_free(&b);
}
END_TEST

START_TEST(a_turn_finds_so_many_and_the_next_as_many)
{
	char text[64];
	int n = 0;

	for (int turn = 0; turn < 2; turn++) {
		for (int i = 1; i <= FINDINGS_MAX + 10; i++) {
			snprintf(text, sizeof text, "http://localhost:%d\n",
			    1000 * turn + i);
			say(text);
		}
		findings_end(findings);
		n = 0;
		while (findings_take(findings))
			n++;
		ck_assert_int_eq(n, FINDINGS_MAX);
	}
}
END_TEST

static void
tool(const char *kind, const char *content, const char *raw)
{
	json_t *c = content ? json_loads(content, 0, NULL) : NULL;
	json_t *r = raw ? json_loads(raw, JSON_DECODE_ANY, NULL) : NULL;

	ck_assert(!content || c);
	ck_assert(!raw || r);
	findings_tool(findings, "call-1", "Look", kind, c, r);
	json_decref(c);
	json_decref(r);
}

#define TEXT_BLOCK(text) "{\"type\":\"content\",\"content\":{" \
	"\"type\":\"text\",\"text\":\"" text "\"}}"
#define IMAGE "{\"type\":\"image\",\"mimeType\":\"image/png\"," \
	"\"data\":\"AAAAAAAA\"}"

START_TEST(tools_count_by_what_they_do)
{
	static const char *const doing[] = { "execute", "other", "unheard-of" };
	static const char *const others[] = { "read", "search", "fetch",
		"think", "edit", "delete", "move" };
	char text[128];

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		tool(others[i], "[" TEXT_BLOCK("http://localhost:1") "]", NULL);
	ck_assert_str_eq(taken(), "");
	for (size_t i = 0; i < sizeof doing / sizeof *doing; i++) {
		snprintf(text, sizeof text, "[" TEXT_BLOCK(
		    "http://localhost:%zu") "]", i + 1);
		tool(doing[i], text, NULL);
		snprintf(text, sizeof text,
		    "preview http://localhost:%zu {}", i + 1);
		ck_assert_str_eq(taken(), text);
	}
}
END_TEST

START_TEST(raw_output_is_looked_through_whatever_its_form)
{
	tool("execute", NULL, "\"on http://localhost:1\"");
	tool("execute", "[" TEXT_BLOCK("http://localhost:1") "]",
	    "{\"a\":[{\"stdout\":\"http://localhost:2\\n\"}],\"n\":1}");
	ck_assert_str_eq(taken(), "preview http://localhost:1 {}\n"
	    "preview http://localhost:2 {}");
}
END_TEST

START_TEST(an_image_is_told_by_its_place)
{
	tool("read", "[" TEXT_BLOCK("x") ",{\"type\":\"content\",\"content\":"
	    IMAGE "}]", "{\"content\":[" IMAGE "]}");
	ck_assert_str_eq(taken(), "screenshot - {\"tool_call_id\":\"call-1\","
	    "\"column\":\"content\",\"index\":1,\"bytes\":6,"
	    "\"mime_type\":\"image/png\"}");
	tool("other", NULL, "{\"content\":[" IMAGE "]}");
	ck_assert_str_eq(taken(), "screenshot - {\"tool_call_id\":\"call-1\","
	    "\"column\":\"raw_output\",\"index\":0,\"bytes\":6,"
	    "\"mime_type\":\"image/png\"}");
	tool("other", "[{\"type\":\"content\",\"content\":{\"type\":\"image\","
	    "\"data\":\"AAAA\",\"uri\":\"https://x.y/z.png\"}}]", NULL);
	ck_assert_str_eq(taken(), "screenshot https://x.y/z.png "
	    "{\"tool_call_id\":\"call-1\",\"column\":\"content\",\"index\":0,"
	    "\"bytes\":3}");
	tool("other", "[{\"type\":\"content\",\"content\":{\"type\":\"image\"}},"
	    "7,{}]", "[1]");
	ck_assert_str_eq(taken(), "");
}
END_TEST

START_TEST(what_nobody_took_is_freed)
{
	say("http://localhost:1");
	findings_end(findings);
	say("http://localhost:2");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("artifacts");
	TCase *a = tcase_create("artifacts"), *f = tcase_create("findings");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(a, a_text_names_things, 0,
	    (int)(sizeof texts / sizeof *texts));
	tcase_add_test(a, an_endless_url_is_none);
	tcase_add_test(a, enough_is_enough);
	tcase_add_test(a, a_megabyte_of_urls_is_read_once);
	tcase_add_checked_fixture(f, set_up, tear_down);
	tcase_add_test(f, a_url_in_pieces_is_one);
	tcase_add_test(f, what_is_known_is_found_again_only_with_another_state);
	tcase_add_test(f, the_next_message_does_not_go_on_with_a_url);
	tcase_add_test(f, a_long_text_is_looked_through_in_pieces);
	tcase_add_test(f, a_turn_finds_so_many_and_the_next_as_many);
	tcase_add_test(f, tools_count_by_what_they_do);
	tcase_add_test(f, raw_output_is_looked_through_whatever_its_form);
	tcase_add_test(f, an_image_is_told_by_its_place);
	tcase_add_test(f, what_nobody_took_is_freed);
	suite_add_tcase(s, a);
	suite_add_tcase(s, f);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
