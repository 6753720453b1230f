/* SPDX-License-Identifier: MIT */
/*
 * hearth-demo-agent, driven through its pipes as any ACP client would: every
 * order, permissions, cancelling, and that no path leads out of the session's
 * folder. Each test has an agent and a folder of its own; nothing here knows
 * the daemon.
 */
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <check.h>
#undef fail /* check's old name, ours in base/err.h */
#include <ftw.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"

#define LIMIT_MS 30000

static pid_t agent;
static int to_agent, from_agent;
static char dir[64];
static char *session;
static int last_id;
static char *in;
static size_t in_len;

/* What the last prompt brought. */
static json_t *updates;     /* other than text, in order */
static char said[1 << 16];
static int chunks, questions;
/* The option that permission questions are answered with. */
static const char *choice;
/* A session/cancel is sent after so many chunks or questions; -1 never. */
static int cancel_after;

static long long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void
send_text(const char *line)
{
	size_t len = strlen(line);

	ck_assert_int_eq(write(to_agent, line, len), (ssize_t)len);
	ck_assert_int_eq(write(to_agent, "\n", 1), 1);
}

static void
send_json(json_t *msg)
{
	char *line;

	ck_assert_ptr_nonnull(msg);
	json_object_set_new(msg, "jsonrpc", json_string("2.0"));
	line = json_dumps(msg, JSON_COMPACT);
	send_text(line);
	free(line);
	json_decref(msg);
}

static void
read_some(void)
{
	struct pollfd fd = { .fd = from_agent, .events = POLLIN };
	ssize_t n;

	ck_assert_msg(poll(&fd, 1, LIMIT_MS) == 1, "the agent is silent");
	in = realloc(in, in_len + 4096);
	n = read(from_agent, in + in_len, 4096);
	ck_assert_msg(n > 0, "the agent is gone");
	in_len += (size_t)n;
}

static json_t *
next_message(void)
{
	char *end;
	json_t *msg;
	size_t len;

	while (in_len == 0 || (end = memchr(in, '\n', in_len)) == NULL)
		read_some();
	len = (size_t)(end - in) + 1;
	msg = json_loadb(in, len, 0, NULL);
	ck_assert_msg(msg != NULL, "no JSON: %.*s", (int)len, in);
	in_len -= len;
	memmove(in, end + 1, in_len);
	return msg;
}

static void
cancel_if_due(void)
{
	if (chunks + questions != cancel_after)
		return;
	send_json(json_pack("{s:s, s:{s:s}}", "method", "session/cancel",
	    "params", "sessionId", session));
	cancel_after = -1;
}

static void
on_update(const json_t *msg)
{
	json_t *update = json_object_get(json_object_get(msg, "params"),
	    "update");
	const char *kind = json_string_value(
	    json_object_get(update, "sessionUpdate"));

	ck_assert_ptr_nonnull(kind);
	if (strcmp(kind, "agent_message_chunk") != 0) {
		json_array_append(updates, update);
		return;
	}
	strcat(said, json_string_value(json_object_get(
	    json_object_get(update, "content"), "text")));
	chunks++;
	cancel_if_due();
}

static void
on_question(const json_t *msg)
{
	ck_assert_str_eq(json_string_value(json_object_get(msg, "method")),
	    "session/request_permission");
	questions++;
	cancel_if_due();
	if (choice != NULL)
		send_json(json_pack("{s:O, s:{s:{s:s, s:s}}}", "id",
		    json_object_get(msg, "id"), "result", "outcome",
		    "outcome", "selected", "optionId", choice));
}

/* Waits for the answer to request id, taking what else comes before it. */
static json_t *
wait_answer(int id)
{
	json_t *msg, *got;

	for (;;) {
		msg = next_message();
		got = json_object_get(msg, "id");
		if (json_object_get(msg, "method") == NULL)
			break;
		if (got != NULL)
			on_question(msg);
		else
			on_update(msg);
		json_decref(msg);
	}
	ck_assert_int_eq(json_integer_value(got), id);
	return msg;
}

/* Steals params; the whole answer is the caller's. */
static json_t *
call(const char *method, json_t *params)
{
	ck_assert_ptr_nonnull(params);
	send_json(json_pack("{s:i, s:s, s:o}", "id", ++last_id, "method",
	    method, "params", params));
	return wait_answer(last_id);
}

static json_int_t
call_error(const char *method, json_t *params)
{
	json_t *answer = call(method, params);
	json_int_t code = json_integer_value(json_object_get(
	    json_object_get(answer, "error"), "code"));

	json_decref(answer);
	return code;
}

/* Prompts and expects the stop reason; what came is in said and updates. */
static void
prompt(const char *text, const char *stop_reason)
{
	const char *got = NULL;
	json_t *answer;

	said[0] = '\0';
	chunks = questions = 0;
	json_array_clear(updates);
	answer = call("session/prompt", json_pack("{s:s, s:[{s:s, s:s}]}",
	    "sessionId", session, "prompt", "type", "text", "text", text));
	ck_assert_int_eq(json_unpack(answer, "{s:{s:s}}", "result",
	    "stopReason", &got), 0);
	ck_assert_str_eq(got, stop_reason);
	json_decref(answer);
}

static void
set_mode(const char *mode)
{
	ck_assert_int_eq(call_error("session/set_mode", json_pack(
	    "{s:s, s:s}", "sessionId", session, "modeId", mode)), 0);
}

static void
start_agent(void)
{
	char *path = child_helper_path("hearth-demo-agent");
	int in_pipe[2], out_pipe[2];

	ck_assert_msg(path != NULL, "hearth-demo-agent is not built");
	ck_assert_int_eq(pipe2(in_pipe, 0), 0);
	ck_assert_int_eq(pipe2(out_pipe, 0), 0);
	agent = fork();
	if (agent == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in_pipe[0], 0);
		dup2(out_pipe[1], 1);
		close(in_pipe[0]);
		close(in_pipe[1]);
		close(out_pipe[0]);
		close(out_pipe[1]);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(in_pipe[0]);
	close(out_pipe[1]);
	to_agent = in_pipe[1];
	from_agent = out_pipe[0];
	free(path);
}

static void
set_up(void)
{
	json_t *answer;

	strcpy(dir, "/tmp/unit_demo_agent.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	updates = json_array();
	choice = "yes";
	cancel_after = -1;
	last_id = 0;
	start_agent();
	answer = call("initialize", json_pack("{s:i, s:{}}",
	    "protocolVersion", 1, "clientCapabilities"));
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(
	    answer, "result"), "protocolVersion")), 1);
	json_decref(answer);
	answer = call("session/new", json_pack("{s:s, s:[]}", "cwd", dir,
	    "mcpServers"));
	session = strdup(json_string_value(json_object_get(
	    json_object_get(answer, "result"), "sessionId")));
	json_decref(answer);
}

static int
remove_entry(const char *path, const struct stat *st, int type,
    struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static void
tear_down(void)
{
	int status;

	close(to_agent);
	ck_assert_int_eq(waitpid(agent, &status, 0), agent);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "the agent ended with %d at the end of its input", status);
	close(from_agent);
	json_decref(updates);
	free(session);
	free(in);
	in = NULL;
	in_len = 0;
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void
path_of(char *path, size_t size, const char *file)
{
	snprintf(path, size, "%s/%s", dir, file);
}

static void
put(const char *file, const char *text)
{
	char path[256];
	FILE *f;

	path_of(path, sizeof path, file);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

/* text NULL: there is no such file. */
static void
expect_file(const char *file, const char *text)
{
	char path[256], got[4096];
	size_t n;
	FILE *f;

	path_of(path, sizeof path, file);
	f = fopen(path, "r");
	ck_assert_msg((f != NULL) == (text != NULL), "%s: exists %d", file,
	    f != NULL);
	if (f == NULL)
		return;
	n = fread(got, 1, sizeof got - 1, f);
	got[n] = '\0';
	fclose(f);
	ck_assert_str_eq(got, text);
}

/* The last update of the kind, which must be there. */
static json_t *
last_update(const char *kind)
{
	size_t i = json_array_size(updates);

	while (i-- > 0) {
		json_t *u = json_array_get(updates, i);

		if (strcmp(json_string_value(json_object_get(u,
		    "sessionUpdate")), kind) == 0)
			return u;
	}
	ck_abort_msg("no %s", kind);
}

static void
expect_last_status(const char *status)
{
	ck_assert_str_eq(json_string_value(json_object_get(
	    last_update("tool_call_update"), "status")), status);
}

/* There is always a file "old" with "one\ntwo one\n" before. */
static const struct {
	const char *prompt;
	const char *answer;
	const char *file;
	const char *text;
} orders[] = {
	{ "write new with hello world", "I wrote new.", "new",
	    "hello world\n" },
	{ "WRITE new With Mixed Case", "I wrote new.", "new", "Mixed Case\n" },
	{ "write a/b/new with x", "I wrote a/b/new.", "a/b/new", "x\n" },
	{ "write ./new with x", "I wrote ./new.", "new", "x\n" },
	{ "write new with a with b", "I wrote new.", "new", "a with b\n" },
	{ "write new with \"quoted\"", "I wrote new.", "new", "quoted\n" },
	{ "write \"two words\" with x", "I wrote two words.", "two words",
	    "x\n" },
	{ "write new with a\\nb", "I wrote new.", "new", "a\nb\n" },
	{ "write new with a\nb\n\nlist", "I wrote new.", "new",
	    "a\nb\n\nlist\n" },
	{ "write new with caf\xc3\xa9 \xe7\x81\xab", "I wrote new.", "new",
	    "caf\xc3\xa9 \xe7\x81\xab\n" },
	{ "write old with x", "I wrote old.", "old", "x\n" },
	{ "append three to old", "I added a line to old.", "old",
	    "one\ntwo one\nthree\n" },
	{ "append a to b to old", "I added a line to old.", "old",
	    "one\ntwo one\na to b\n" },
	{ "append x to new", "I added a line to new.", "new", "x\n" },
	{ "replace one with 1 in old", "I replaced 2 places in old.", "old",
	    "1\ntwo 1\n" },
	{ "replace two with \"\" in old", "I replaced 1 place in old.", "old",
	    "one\n one\n" },
	{ "replace six with 6 in old", "I found no \"six\" in old.", "old",
	    "one\ntwo one\n" },
	{ "replace a with b in new", "There is no new.", "new", NULL },
	{ "delete old", "I deleted old.", "old", NULL },
	{ "delete new", "There is no new.", "old", "one\ntwo one\n" },
	{ "read old", "old says:\n\none\ntwo one\n", "old",
	    "one\ntwo one\n" },
	{ "/read old", "old says:\n\none\ntwo one\n", "old",
	    "one\ntwo one\n" },
	{ "list", "old\n", "old", "one\ntwo one\n" },
	{ "write b with 1\nwrite a with 2\nlist",
	    "I wrote b.\nI wrote a.\na\nb\nold\n", "a", "2\n" },
	{ "say 10 words",
	    "the fire is warm and so am I the fire", "new", NULL },
	{ "say 1 word", "the", "new", NULL },
	{ "count 2 slowly", "1 2", "new", NULL },
};

START_TEST(order_is_obeyed)
{
	put("old", "one\ntwo one\n");
	prompt(orders[_i].prompt, "end_turn");
	ck_assert_str_eq(said, orders[_i].answer);
	expect_file(orders[_i].file, orders[_i].text);
	ck_assert_int_eq(questions, 0);
}
END_TEST

static const char *const chats[] = {
	"hello", "read the manual", "say many words", "wait a second",
	"count 0 slowly", "say 9999999 words", "write", "list it", "",
};

START_TEST(anything_else_is_a_chat)
{
	char want[256];

	prompt(chats[_i], "end_turn");
	snprintf(want, sizeof want, "You said: %s\nThis is turn 1 of our "
	    "conversation. Say \"help\" to see what I can do.", chats[_i]);
	ck_assert_str_eq(said, want);
	ck_assert_uint_le(json_array_size(updates), 1);
}
END_TEST

START_TEST(turns_of_a_session_are_counted)
{
	prompt("hello", "end_turn");
	prompt("list", "end_turn");
	prompt("hello again", "end_turn");
	ck_assert_ptr_nonnull(strstr(said, "This is turn 3 of"));
}
END_TEST

static const char *const outside[] = {
	"../out", "a/../../out", "/etc/hearth-demo-out", "..", ".", "link",
	"link/out", "dir/../old", "",
};

START_TEST(no_path_leads_out_of_the_folder)
{
	char text[256], path[256];
	const char *target = outside[_i];

	put("old", "keep me\n");
	path_of(path, sizeof path, "link");
	ck_assert_int_eq(symlink("/tmp", path), 0);
	snprintf(text, sizeof text, "write \"%s\" with x", target);
	prompt(text, "end_turn");
	ck_assert_ptr_null(strstr(said, "I wrote"));
	snprintf(text, sizeof text, "delete \"%s\"", target);
	prompt(text, "end_turn");
	ck_assert_ptr_null(strstr(said, "I deleted"));
	snprintf(text, sizeof text, "read \"%s\"", target);
	prompt(text, "end_turn");
	ck_assert_ptr_null(strstr(said, "says"));
	expect_file("old", "keep me\n");
	ck_assert_int_ne(access("/tmp/out", F_OK), 0);
}
END_TEST

START_TEST(absolute_path_into_the_folder_is_taken)
{
	char text[256];

	snprintf(text, sizeof text, "write %s/new with x", dir);
	prompt(text, "end_turn");
	expect_file("new", "x\n");
}
END_TEST

START_TEST(what_is_no_text_file_is_left_alone)
{
	char path[256];

	put("binary", "\xff\xfe");
	prompt("write binary with x", "end_turn");
	ck_assert_str_eq(said, "binary is not a text file.");
	path_of(path, sizeof path, "fifo");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	prompt("read fifo", "end_turn");
	ck_assert_str_eq(said, "fifo is not a file.");
	expect_last_status("failed");
}
END_TEST

START_TEST(edit_is_a_tool_call_with_its_difference)
{
	const char *id, *other, *kind, *old, *new;
	json_t *update;

	put("old", "before\n");
	prompt("write old with after", "end_turn");
	ck_assert_int_eq(json_unpack(last_update("tool_call"),
	    "{s:s, s:s, s:[{s:s, s:s}]}", "toolCallId", &id, "kind", &kind,
	    "content", "oldText", &old, "newText", &new), 0);
	ck_assert_str_eq(kind, "edit");
	ck_assert_str_eq(old, "before\n");
	ck_assert_str_eq(new, "after\n");
	update = last_update("tool_call_update");
	other = json_string_value(json_object_get(update, "toolCallId"));
	ck_assert_str_eq(id, other);
	expect_last_status("completed");
}
END_TEST

START_TEST(edit_mode_does_not_ask)
{
	prompt("write new with x", "end_turn");
	ck_assert_int_eq(questions, 0);
}
END_TEST

START_TEST(ask_mode_asks_before_each_edit_only)
{
	set_mode("ask");
	prompt("write new with x\nappend y to new\nread new", "end_turn");
	ck_assert_int_eq(questions, 2);
	expect_file("new", "x\ny\n");
}
END_TEST

START_TEST(refused_edit_changes_nothing)
{
	set_mode("ask");
	choice = "no";
	prompt("write new with x", "end_turn");
	ck_assert_str_eq(said, "You did not allow it: new stays as it was.");
	expect_last_status("failed");
	expect_file("new", NULL);
}
END_TEST

START_TEST(always_is_asked_once)
{
	set_mode("ask");
	choice = "always";
	prompt("write a with x\nwrite b with y", "end_turn");
	ck_assert_int_eq(questions, 1);
	expect_file("b", "y\n");
}
END_TEST

static const char *const long_prompts[] = {
	"count 60 slowly", "say 100000 words",
};

START_TEST(cancelled_prompt_stops_at_once)
{
	long long start = now_ms();

	cancel_after = 1;
	prompt(long_prompts[_i], "cancelled");
	ck_assert_int_lt(chunks, 1000);
	ck_assert_int_lt(now_ms() - start, LIMIT_MS / 2);
	prompt("list", "end_turn");
}
END_TEST

START_TEST(cancel_withdraws_an_open_question)
{
	set_mode("ask");
	choice = NULL;
	cancel_after = 1;
	prompt("write new with x", "cancelled");
	expect_file("new", NULL);
	choice = "yes";
	prompt("write new with y", "end_turn");
	expect_file("new", "y\n");
}
END_TEST

START_TEST(cancel_without_a_prompt_is_ignored)
{
	send_json(json_pack("{s:s, s:{s:s}}", "method", "session/cancel",
	    "params", "sessionId", session));
	prompt("list", "end_turn");
}
END_TEST

START_TEST(long_answer_comes_in_words)
{
	prompt("say 40 words", "end_turn");
	ck_assert_int_eq(chunks, 40);
}
END_TEST

START_TEST(commands_are_offered)
{
	prompt("list", "end_turn");
	ck_assert_uint_gt(json_array_size(json_object_get(last_update(
	    "available_commands_update"), "availableCommands")), 0);
}
END_TEST

START_TEST(wrong_requests_are_refused)
{
	ck_assert_int_eq(call_error("session/load", json_object()), -32601);
	ck_assert_int_eq(call_error("no/such", json_object()), -32601);
	ck_assert_int_eq(call_error("session/prompt", json_object()), -32002);
	ck_assert_int_eq(call_error("session/new", json_object()), -32602);
	ck_assert_int_eq(call_error("session/new",
	    json_pack("{s:s}", "cwd", "relative")), -32602);
	ck_assert_int_eq(call_error("session/set_mode", json_pack(
	    "{s:s, s:s}", "sessionId", session, "modeId", "x")), -32602);
	send_text("nonsense");
	json_decref(wait_answer(0));
	prompt("list", "end_turn");
}
END_TEST

START_TEST(closed_session_is_gone)
{
	ck_assert_int_eq(call_error("session/close",
	    json_pack("{s:s}", "sessionId", session)), 0);
	ck_assert_int_eq(call_error("session/close",
	    json_pack("{s:s}", "sessionId", session)), -32002);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("turns");
	Suite *s = suite_create("demo_agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, order_is_obeyed, 0,
	    sizeof orders / sizeof *orders);
	tcase_add_loop_test(t, anything_else_is_a_chat, 0,
	    sizeof chats / sizeof *chats);
	tcase_add_test(t, turns_of_a_session_are_counted);
	tcase_add_loop_test(t, no_path_leads_out_of_the_folder, 0,
	    sizeof outside / sizeof *outside);
	tcase_add_test(t, absolute_path_into_the_folder_is_taken);
	tcase_add_test(t, what_is_no_text_file_is_left_alone);
	tcase_add_test(t, edit_is_a_tool_call_with_its_difference);
	tcase_add_test(t, edit_mode_does_not_ask);
	tcase_add_test(t, ask_mode_asks_before_each_edit_only);
	tcase_add_test(t, refused_edit_changes_nothing);
	tcase_add_test(t, always_is_asked_once);
	tcase_add_loop_test(t, cancelled_prompt_stops_at_once, 0,
	    sizeof long_prompts / sizeof *long_prompts);
	tcase_add_test(t, cancel_withdraws_an_open_question);
	tcase_add_test(t, cancel_without_a_prompt_is_ignored);
	tcase_add_test(t, long_answer_comes_in_words);
	tcase_add_test(t, commands_are_offered);
	tcase_add_test(t, wrong_requests_are_refused);
	tcase_add_test(t, closed_session_is_gone);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
