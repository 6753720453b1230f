/* SPDX-License-Identifier: MIT */
/*
 * The ACP client, against real child processes: tests/fake_agent.c mostly,
 * /bin/sh where an agent must be worse than that. What an agent does stands in
 * the prompt, a script of the fake agent.
 *
 * A box holds one worker and copies of what it told. Tests wait for facts, at
 * most WAIT seconds. box_close() checks that no descriptor is left open; that
 * no process is left is base/child's own promise, kept by AGENT_GONE.
 */
#include <check.h>
#undef fail /* check's old name, ours in base/err.h */
#include <dirent.h>
#include <ev.h>
#include <ftw.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/worker.h"

#define WAIT 30.
#define DIR_SIZE 64
#define TYPES (AGENT_GONE + 1)
#define ASKS_MAX 16

struct box;
typedef void hook_fn(struct box *b, const struct agent_event *ev);

struct box {
	struct ev_loop *loop;
	struct worker *w;
	struct worker_spec spec;
	char **argv;
	char **envp;
	char dir[DIR_SIZE];
	int fds;               /* open descriptors before */
	bool timed_out;
	hook_fn *hook;
	/* what was told */
	int count[TYPES];
	struct buf order;      /* a letter per event, equal ones once */
	struct buf text, reasoning;
	bool repaired;
	char *message_id;
	struct buf kinds;      /* of updates: "plan mode " */
	char *payload;
	char *tool_title, *tool_status;
	char *session_id, *offers, *resumed_by, *lost_reason;
	const char *preface;   /* of the next prompts */
	int64_t asks[ASKS_MAX];
	int ask_count;
	bool asked_answered;
	char *asked_option;
	char *settled_option, *settled_status;
	int64_t settled_serial;
	struct agent_event done;
	char *stop_reason, *done_code, *done_error;
	char *failed_code, *failed_error;
	struct agent_event ended;
	char *end_reason, *stderr_tail;
	int64_t ended_at, done_at;
};

/* All files of all tests; removed when they are over, however they ended. */
static char run_dir[DIR_SIZE / 2] = "/tmp/unit_worker.XXXXXX";

static int
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
keep(char **to, const char *s)
{
	free(*to);
	*to = xstrdup(s);
}

static void
note_order(struct box *b, enum agent_event_type type)
{
	char c = "SIRCTUAPpWDFEG"[type];

	if (b->order.len == 0 || b->order.data[b->order.len - 1] != c)
		buf_addc(&b->order, c);
}

static void
note_text(struct box *b, const struct agent_event *ev)
{
	ck_assert_uint_eq(strlen(ev->text.text), ev->text.len);
	buf_add(ev->text.reasoning ? &b->reasoning : &b->text, ev->text.text,
	    ev->text.len);
	b->repaired |= ev->text.repaired;
	keep(&b->message_id, ev->text.message_id);
}

static void
note_update(struct box *b, const struct agent_event *ev)
{
	ck_assert_uint_eq(strlen(ev->update.payload), ev->update.len);
	buf_printf(&b->kinds, "%s ", ev->update.kind);
	keep(&b->payload, ev->update.payload);
	if (ev->update.tool != NULL) {
		keep(&b->tool_title, ev->update.tool->title);
		keep(&b->tool_status, ev->update.tool->status);
	}
}

static void
note_permission(struct box *b, const struct agent_event *ev)
{
	ck_assert_int_lt(b->ask_count, ASKS_MAX);
	b->asks[b->ask_count++] = ev->permission.serial;
	b->asked_answered = ev->permission.answered;
	keep(&b->asked_option, ev->permission.option_id);
	ck_assert_ptr_nonnull(ev->permission.tool_call);
	ck_assert_ptr_nonnull(ev->permission.options);
	ck_assert_ptr_nonnull(ev->permission.tool);
}

static void
note_done(struct box *b, const struct agent_event *ev)
{
	b->done = *ev;
	b->done_at = clock_ms();
	keep(&b->stop_reason, ev->done.stop_reason);
	keep(&b->done_code, ev->done.error_code);
	keep(&b->done_error, ev->done.error);
}

static void
note_end(struct box *b, const struct agent_event *ev)
{
	b->ended = *ev;
	b->ended_at = clock_ms();
	keep(&b->end_reason, ev->ended.end_reason);
	keep(&b->stderr_tail, ev->ended.stderr_tail);
}

static void
note(struct box *b, const struct agent_event *ev)
{
	switch (ev->type) {
	case AGENT_READY:
		keep(&b->session_id, ev->ready.session_id);
		keep(&b->offers, ev->ready.offers);
		keep(&b->resumed_by, ev->ready.resumed_by);
		keep(&b->lost_reason, ev->ready.lost_reason);
		break;
	case AGENT_TEXT:
		note_text(b, ev);
		break;
	case AGENT_UPDATE:
		note_update(b, ev);
		break;
	case AGENT_PERMISSION:
		note_permission(b, ev);
		break;
	case AGENT_PERMISSION_SETTLED:
		b->settled_serial = ev->settled.serial;
		keep(&b->settled_option, ev->settled.option_id);
		keep(&b->settled_status, ev->settled.status);
		break;
	case AGENT_TURN_DONE:
		note_done(b, ev);
		break;
	case AGENT_FAILED:
		keep(&b->failed_code, ev->failed.error_code);
		keep(&b->failed_error, ev->failed.error);
		break;
	case AGENT_ENDED:
		note_end(b, ev);
		break;
	default:
		break;
	}
}

static bool in_call;

static void
on_event(void *ctx, struct worker *w, const struct agent_event *ev)
{
	struct box *b = ctx;

	ck_assert_msg(!in_call, "an event was told from within a call");
	ck_assert_ptr_eq(w, b->w);
	note_order(b, ev->type);
	note(b, ev);
	b->count[ev->type]++;
	if (b->hook != NULL)
		b->hook(b, ev);
}

/* A call from outside any callback: nothing may be told before it returns. */
#define OUTSIDE(call) \
	do { \
		in_call = true; \
		call; \
		in_call = false; \
	} while (0)

static void
on_wait_over(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct box *b = t->data;

	(void)revents;
	b->timed_out = true;
	ev_break(loop, EVBREAK_ONE);
}

static const char *
tell_all(struct box *b)
{
	static char text[2048];

	snprintf(text, sizeof text, "state %s, order %s, text %.200s, failed "
	    "%s (%s), done %s (%s), ended %s", worker_state_name(
	    worker_state(b->w)), b->order.data ? b->order.data : "",
	    b->text.data ? b->text.data : "",
	    b->failed_code ? b->failed_code : "-",
	    b->failed_error ? b->failed_error : "-",
	    b->done_code ? b->done_code : "-",
	    b->done_error ? b->done_error : "-",
	    b->end_reason ? b->end_reason : "-");
	return text;
}

#define WAIT_FOR(b, cond) \
	do { \
		ev_timer limit_; \
		ev_timer_init(&limit_, on_wait_over, WAIT, 0.); \
		limit_.data = (b); \
		(b)->timed_out = false; \
		ev_now_update((b)->loop); \
		ev_timer_start((b)->loop, &limit_); \
		while (!(cond) && !(b)->timed_out) \
			ev_run((b)->loop, EVRUN_ONCE); \
		ev_timer_stop((b)->loop, &limit_); \
		ck_assert_msg((cond), "never came true: %s; %s", #cond, \
		    tell_all(b)); \
	} while (0)

static void
on_passed(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	*(bool *)t->data = true;
}

/* Lets the loop run, to see that something does not happen. */
static void
run_ms(struct box *b, int ms)
{
	bool passed = false;
	ev_timer t;

	ev_timer_init(&t, on_passed, ms / 1000., 0.);
	t.data = &passed;
	ev_now_update(b->loop);
	ev_timer_start(b->loop, &t);
	while (!passed)
		ev_run(b->loop, EVRUN_ONCE);
}

static char *
find_fake_agent(void)
{
	char *path = child_helper_path("fake_agent");

	ck_assert_msg(path != NULL, "fake_agent is not built");
	return path;
}

/* The fake agent with arguments, a NULL after the last. */
static struct box *
box_new(const char *arg, ...)
{
	struct box *b = xcalloc(1, sizeof *b);
	char *path = find_fake_agent();
	va_list ap;

	snprintf(b->dir, sizeof b->dir, "%s/XXXXXX", run_dir);
	ck_assert_ptr_nonnull(mkdtemp(b->dir));
	strv_add(&b->argv, path);
	free(path);
	va_start(ap, arg);
	for (; arg != NULL; arg = va_arg(ap, const char *))
		strv_add(&b->argv, arg);
	va_end(ap);
	b->envp = child_environment();
	b->spec = (struct worker_spec){
		.serial = 7,
		.name = "test",
		.cwd = b->dir,
		.start_timeout = 20000,
		.turn_timeout = 60000,
		.cancel_timeout = 10000,
		.silence_timeout = 60000,
	};
	b->fds = count_fds();
	b->loop = ev_loop_new(EVFLAG_AUTO);
	return b;
}

/* sh -c SCRIPT as the agent. */
static struct box *
box_shell(const char *script)
{
	struct box *b = box_new(NULL);

	strv_free(&b->argv);
	strv_add(&b->argv, "/bin/sh");
	strv_add(&b->argv, "-c");
	strv_add(&b->argv, script);
	return b;
}

static void
box_start(struct box *b)
{
	struct err e;
	int rc;

	b->spec.argv = b->argv;
	b->spec.envp = b->envp;
	OUTSIDE(rc = worker_start(b->loop, &b->spec, on_event, b, &b->w, &e));
	ck_assert_msg(rc == 0, "worker_start: %s", e.text);
}

static void
box_ready(struct box *b)
{
	box_start(b);
	WAIT_FOR(b, b->count[AGENT_READY] == 1);
	ck_assert_int_eq(worker_state(b->w), WORKER_IDLE);
}

static void
box_prompt(struct box *b, int64_t turn, const char *script)
{
	json_t *blocks = json_pack("[{s:s,s:s}]", "type", "text", "text",
	    script);
	char *text = json_dumps(blocks, 0);

	OUTSIDE(worker_prompt(b->w, turn, b->preface, text));
	free(text);
	json_decref(blocks);
}

static void
box_done(struct box *b, int turns)
{
	WAIT_FOR(b, b->count[AGENT_TURN_DONE] == turns);
}

/* One turn from start to end. */
static struct box *
box_turn(const char *script)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	box_prompt(b, 1, script);
	box_done(b, 1);
	return b;
}

static void
free_notes(struct box *b)
{
	char **texts[] = { &b->message_id, &b->payload, &b->tool_title,
		&b->tool_status, &b->session_id, &b->offers, &b->asked_option,
		&b->settled_option, &b->settled_status, &b->stop_reason,
		&b->done_code, &b->done_error, &b->failed_code,
		&b->failed_error, &b->end_reason, &b->stderr_tail,
		&b->resumed_by, &b->lost_reason };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(*texts[i]);
	buf_free(&b->order);
	buf_free(&b->text);
	buf_free(&b->reasoning);
	buf_free(&b->kinds);
}

static void
box_close(struct box *b)
{
	if (b->w != NULL) {
		b->hook = NULL;
		OUTSIDE(worker_kill(b->w, "the test is over"));
		WAIT_FOR(b, b->count[AGENT_GONE] == 1);
		ck_assert_int_eq(b->count[AGENT_ENDED], 1);
		OUTSIDE(worker_free(&b->w));
		ck_assert_ptr_null(b->w);
	}
	ev_loop_destroy(b->loop);
	ck_assert_int_eq(count_fds(), b->fds);
	ck_assert_int_eq(rmdir(b->dir), 0);
	free_notes(b);
	strv_free(&b->argv);
	strv_free(&b->envp);
	free(b);
}

#define HAS(text, part) \
	ck_assert_msg((text) != NULL && strstr((text), (part)) != NULL, \
	    "\"%s\" lacks \"%s\"", (text) != NULL ? (text) : "(none)", (part))

/* ---- start ---- */

START_TEST(ready_comes_with_a_session_and_offers)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	ck_assert_str_eq(b->order.data, "SR");
	ck_assert_uint_gt(strlen(b->session_id), 0);
	HAS(b->offers, "\"agentCapabilities\"");
	HAS(b->offers, "\"authMethods\"");
	HAS(b->offers, "\"modes\"");
	ck_assert_int_gt(worker_pid(b->w), 0);
	ck_assert_int_eq(worker_serial(b->w), 7);
	box_close(b);
}
END_TEST

START_TEST(planned_stop_is_quick_and_says_its_reason)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	OUTSIDE(worker_stop(b->w, "idle too long"));
	ck_assert_int_eq(worker_state(b->w), WORKER_STOPPING);
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->order.data, "SREG");
	ck_assert(b->ended.ended.was_planned);
	ck_assert_msg(b->ended.ended.exit_code == 0, "ended by signal %d",
	    b->ended.ended.term_signal);
	ck_assert_str_eq(b->end_reason, "idle too long");
	ck_assert_int_eq(worker_state(b->w), WORKER_GONE);
	box_close(b);
}
END_TEST

START_TEST(stop_before_the_start_is_not_a_failure)
{
	struct box *b = box_new("--no-init", NULL);

	box_start(b);
	OUTSIDE(worker_stop(b->w, "not needed any more"));
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_int_eq(b->count[AGENT_FAILED], 0);
	ck_assert_str_eq(b->end_reason, "not needed any more");
	box_close(b);
}
END_TEST

START_TEST(agent_that_ignores_eof_and_term_is_killed)
{
	struct box *b = box_new("--no-eof", "--ignore-term", NULL);

	box_ready(b);
	OUTSIDE(worker_stop(b->w, "idle"));
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_int_eq(b->ended.ended.term_signal, SIGKILL);
	ck_assert(b->ended.ended.was_planned);
	box_close(b);
}
END_TEST

START_TEST(update_before_session_is_told_right_after_ready)
{
	struct box *b = box_new("--update-before-new", NULL);

	box_ready(b);
	WAIT_FOR(b, b->text.len > 0);
	ck_assert_str_eq(b->text.data, "early");
	ck_assert_str_eq(b->order.data, "SRT");
	box_close(b);
}
END_TEST

static const struct start_case {
	const char *args[4];
	const char *code, *words;
	int64_t start_timeout;
} start_cases[] = {
	{ { "--no-init" }, "start_timeout", "no answer to initialize", 300 },
	{ { "--no-new" }, "start_timeout", "no answer to session/new", 600 },
	{ { "--no-init", "--stderr", "open the pod bay doors" },
	    "start_timeout", "stderr ends with: open the pod bay doors", 300 },
	{ { "--no-init" }, "start_timeout", "start_timeout (300 ms)", 300 },
	{ { "--exit-at-start", "3" }, "agent_crashed", "code 3", 0 },
	{ { "--exit-at-init", "4" }, "agent_crashed", "code 4", 0 },
	{ { "--exit-at-new", "0" }, "agent_crashed", "code 0", 0 },
	{ { "--init-error", "-32603" }, "agent_error", "initialize failed",
	    0 },
	{ { "--new-error", "-32603" }, "agent_error", "session/new failed",
	    0 },
	{ { "--auth-new" }, "auth_required", "log in", 0 },
	{ { "--version", "2" }, "protocol_version", "version 2", 0 },
	{ { "--version", "2" }, "protocol_version", "another release", 0 },
	{ { "--exit-at-start", "1", "--stderr", "unknown option --acp" },
	    "agent_crashed", "before it was ready (is its ACP flag wrong for "
	    "the installed version?); stderr ends with: unknown option", 0 },
	{ { "--exit-at-start", "127" }, "agent_crashed", "not installed", 0 },
	{ { "--exit-at-init", "1", "--stderr", "please log in" },
	    "agent_crashed", "does it need a login?", 0 },
	{ { "--no-init" }, "start_timeout", "a wrong flag for ACP", 300 },
	{ { "--no-init", "--stderr", "You are not logged in." },
	    "start_timeout", "does it need a login?", 300 },
	{ { "--no-new" }, "start_timeout", "wait for a login", 600 },
	{ { "--new-error", "-32603", "--stderr", "Error: invalid API key" },
	    "agent_error", "does it need a login?", 0 },
};

START_TEST(failed_start_names_its_cause)
{
	const struct start_case *c = &start_cases[_i];
	struct box *b = box_new(c->args[0], c->args[1], c->args[2],
	    c->args[3], NULL);

	if (c->start_timeout != 0)
		b->spec.start_timeout = c->start_timeout;
	box_start(b);
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_int_eq(b->count[AGENT_FAILED], 1);
	ck_assert_int_eq(b->count[AGENT_READY], 0);
	ck_assert_str_eq(b->failed_code, c->code);
	HAS(b->failed_error, c->words);
	ck_assert_str_eq(b->order.data, "SFEG");
	ck_assert(!b->ended.ended.was_planned);
	box_close(b);
}
END_TEST

static const struct auth_case {
	const char *methods, *hint;
} auth_cases[] = {
	{ "[]", "session/new failed: no key" },
	{ "[{\"id\":\"a\"},{\"id\":\"b\",\"name\":\"B\",\"description\":"
	    "\"by mail\"},7]", "; ways to log in: a, B (by mail)" },
	{ "[{\"id\":\"k\",\"vars\":[{\"name\":\"A_KEY\"},{},{\"name\":"
	    "\"B_KEY\"}]}]", "k [set A_KEY, B_KEY in its env]" },
	{ "[{\"id\":\"t\",\"_meta\":{\"terminal-auth\":{\"command\":"
	    "\"/bin/agent\",\"args\":[\"/login\",1],\"env\":{}}}}]",
	    "t [run /bin/agent /login]" },
	{ "[{\"id\":\"v\",\"vars\":[{}],\"_meta\":null}]",
	    "ways to log in: v" },
};

START_TEST(missing_login_says_how_to_log_in)
{
	const struct auth_case *c = &auth_cases[_i];
	char *script = xasprintf("read x; echo '{\"jsonrpc\":\"2.0\",\"id\":1,"
	    "\"result\":{\"protocolVersion\":1,\"authMethods\":%s}}'; read x; "
	    "echo '{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32000,"
	    "\"message\":\"no key\"}}'; read x", c->methods);
	struct box *b = box_shell(script);
	size_t len = strlen(c->hint);

	box_start(b);
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->failed_code, "auth_required");
	ck_assert_uint_ge(strlen(b->failed_error), len);
	ck_assert_str_eq(b->failed_error + strlen(b->failed_error) - len,
	    c->hint);
	box_close(b);
	free(script);
}
END_TEST

/* ---- a conversation that an earlier child had ---- */

#define LOST "--resume", "--session-lost"
#define BROKEN "--lost-words", "The model is overloaded"

static const struct reopen_case {
	const char *args[6];
	bool may_replace;
	/* READY: */
	const char *resumed_by, *lost;
	/* or FAILED: */
	const char *code, *words;
} reopen_cases[] = {
	{ { "--resume" }, .resumed_by = "resume" },
	{ { "--resume", "--null-results" }, .resumed_by = "resume" },
	{ { "--load" }, .resumed_by = "load" },
	{ { "--load", "--resume" }, .resumed_by = "resume" },
	{ { "--load", "--null-results", "--replay", "9" },
	    .resumed_by = "load" },
	{ { "--load", "--replay", "0" }, .resumed_by = "load" },
	{ { "--load", "--replay-late", "0" }, .resumed_by = "load" },
	{ { "--load", "--replay-late", "150", "--replay", "5" },
	    .resumed_by = "load" },
	{ { NULL }, .resumed_by = "new", .lost = "cannot reopen" },
	{ { LOST, "-32002" }, .resumed_by = "new", .lost = "not found" },
	{ { LOST, "-32001" }, .resumed_by = "new", .lost = "not found" },
	{ { LOST, "-32602", "--lost-words", "Invalid params" },
	    .resumed_by = "new", .lost = "Invalid params" },
	{ { LOST, "-32603" }, .resumed_by = "new", .lost = "not found" },
	{ { LOST, "-32000" }, .resumed_by = "new", .lost = "not found" },
	{ { LOST, "-32601" }, .resumed_by = "new", .lost = "not found" },
	{ { "--load", "--session-lost", "-32601" }, .resumed_by = "new",
	    .lost = "not found" },
	{ { LOST, "-32603", BROKEN }, .code = "resume_failed",
	    .words = "session/resume failed: The model is overloaded" },
	{ { LOST, "-32603", BROKEN }, .may_replace = true,
	    .resumed_by = "new", .lost = "overloaded" },
	{ { LOST, "-32000", "--lost-words", "Authentication required" },
	    .may_replace = true, .code = "auth_required", .words = "log in" },
	{ { "--load", "--exit-at-reopen", "3" }, .code = "resume_failed",
	    .words = "code 3 before it was ready" },
	{ { "--load", "--no-reopen" }, .code = "resume_failed",
	    .words = "start_timeout (700 ms): no answer to session/load" },
	/* the second time it is given up */
	{ { "--load", "--exit-at-reopen", "3" }, .may_replace = true,
	    .code = "session_lost", .words = "code 3 before it was ready" },
	{ { "--load", "--no-reopen" }, .may_replace = true,
	    .code = "session_lost",
	    .words = "start_timeout (700 ms): no answer to session/load" },
};

START_TEST(conversation_is_reopened_or_replaced)
{
	const struct reopen_case *c = &reopen_cases[_i];
	struct box *b = box_new(c->args[0], c->args[1], c->args[2],
	    c->args[3], c->args[4], c->args[5], NULL);

	b->spec.known_session = "the-old-one";
	b->spec.may_replace = c->may_replace;
	if (c->args[1] && strcmp(c->args[1], "--no-reopen") == 0)
		b->spec.start_timeout = 700;
	box_start(b);
	if (c->code != NULL) {
		WAIT_FOR(b, b->count[AGENT_GONE] == 1);
		ck_assert_str_eq(b->failed_code, c->code);
		HAS(b->failed_error, c->words);
		ck_assert_int_eq(b->count[AGENT_READY], 0);
		box_close(b);
		return;
	}
	WAIT_FOR(b, b->count[AGENT_READY] == 1);
	ck_assert_str_eq(b->resumed_by, c->resumed_by);
	if (c->lost != NULL) {
		HAS(b->lost_reason, c->lost);
		ck_assert_str_ne(b->session_id, "the-old-one");
	} else {
		ck_assert_ptr_null(b->lost_reason);
		ck_assert_str_eq(b->session_id, "the-old-one");
	}
	box_prompt(b, 1, "say here;echo-session");
	box_done(b, 1);
	HAS(b->text.data, "here[session ");
	HAS(b->text.data, b->session_id);
	ck_assert_ptr_null(strstr(b->text.data, "answer"));
	ck_assert_str_eq(b->stop_reason, "end_turn");
	box_close(b);
}
END_TEST

static void
box_spare(struct box *b)
{
	b->spec.is_spare = true;
	box_start(b);
	WAIT_FOR(b, b->count[AGENT_INITIALIZED] == 1);
	ck_assert_int_eq(worker_state(b->w), WORKER_SPARE);
}

/* Its process stays where it is: the session has another folder. */
START_TEST(spare_waits_for_whom_it_is_claimed)
{
	struct box *b = box_new("--load", NULL);

	b->spec.start_timeout = 300;
	box_spare(b);
	run_ms(b, 400);
	ck_assert_int_eq(worker_state(b->w), WORKER_SPARE);
	ck_assert_int_eq(b->count[AGENT_READY], 0);
	b->spec.known_session = "the-old-one";
	b->spec.cwd = run_dir;
	OUTSIDE(worker_claim(b->w, &b->spec));
	WAIT_FOR(b, b->count[AGENT_READY] == 1);
	ck_assert_str_eq(b->resumed_by, "load");
	box_prompt(b, 1, "echo-session;echo-cwd");
	box_done(b, 1);
	HAS(b->text.data, "[session the-old-one]");
	HAS(b->text.data, run_dir);
	ck_assert_ptr_null(strstr(b->text.data, b->dir));
	box_close(b);
}
END_TEST

START_TEST(spare_that_gets_no_session_fails_by_start_timeout)
{
	struct box *b = box_new("--no-new", NULL);

	b->spec.start_timeout = 300;
	box_spare(b);
	OUTSIDE(worker_claim(b->w, &b->spec));
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->failed_code, "start_timeout");
	HAS(b->failed_error, "session/new");
	box_close(b);
}
END_TEST

/* What the agent was answered, by its log of the wire. */
static bool
was_answered(const char *wire, const char *words)
{
	char line[4096];
	bool was = false;
	FILE *f = fopen(wire, "r");

	while (f && fgets(line, sizeof line, f))
		was |= strstr(line, words) != NULL;
	if (f)
		fclose(f);
	return was;
}

/* Whose rules will hold for it is not known. */
START_TEST(spare_is_granted_nothing)
{
	char wire[512];
	struct box *b;

	snprintf(wire, sizeof wire, "%s/wire", run_dir);
	b = box_new("--ask-at-once", "--wire-log", wire, NULL);
	b->spec.permission_mode = PERMISSION_ALLOW;
	box_spare(b);
	WAIT_FOR(b, was_answered(wire, "\"outcome\":\"selected\""));
	ck_assert(was_answered(wire, "\"optionId\":\"no\""));
	unlink(wire);
	box_close(b);
}
END_TEST

START_TEST(spare_that_ends_has_failed)
{
	struct box *b = box_new("--exit-idle-after", "50", NULL);

	box_spare(b);
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->failed_code, "agent_crashed");
	ck_assert_int_eq(b->ended.ended.exit_code, 7);
	box_close(b);
}
END_TEST

/* Later than anybody waits for; only the first prompt ends it. */
START_TEST(replay_that_comes_late_is_not_told)
{
	struct box *b = box_new("--load", "--replay-late", "900", "--commands",
	    NULL);

	b->spec.known_session = "the-old-one";
	box_ready(b);
	WAIT_FOR(b, strstr(b->kinds.len > 0 ? b->kinds.data : "", "commands"));
	ck_assert_uint_eq(b->text.len, 0);
	ck_assert_str_eq(b->kinds.data, "commands ");
	box_prompt(b, 1, "say new");
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "new");
	box_close(b);
}
END_TEST

START_TEST(frozen_agent_goes_on_when_it_is_prompted)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	OUTSIDE(worker_freeze(b->w));
	ck_assert(worker_is_frozen(b->w));
	box_prompt(b, 1, "say awake");
	ck_assert(!worker_is_frozen(b->w));
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "awake");
	OUTSIDE(worker_freeze(b->w));
	OUTSIDE(worker_stop(b->w, "enough"));
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	/* in order, by the end of its input */
	ck_assert_int_eq(b->ended.ended.exit_code, 0);
	box_close(b);
}
END_TEST

static void
pause_when_done(struct box *b, const struct agent_event *ev)
{
	if (ev->type == AGENT_TURN_DONE)
		worker_pause(b->w, true);
}

/* Freezes it once it has done what comes after its turn's end, of which nothing
 * is read before: it begins with that when it is told to. */
static void
freeze_after(struct box *b, const char *script)
{
	char *go = xasprintf("%s/go", b->dir);
	char *mark = xasprintf("%s/mark", b->dir);
	char *all = xasprintf("stop;run while test ! -e %s\\; do sleep 0.01"
	    "\\; done;%s;write mark x", go, script);
	FILE *f;

	b->hook = pause_when_done;
	box_prompt(b, 1, all);
	box_done(b, 1);
	b->hook = NULL;
	f = fopen(go, "w");
	ck_assert_ptr_nonnull(f);
	fclose(f);
	while (access(mark, F_OK) != 0)
		run_ms(b, 10);
	unlink(go);
	unlink(mark);
	OUTSIDE(worker_freeze(b->w));
	OUTSIDE(worker_pause(b->w, false));
	free(all);
	free(mark);
	free(go);
}

/* It asked after its turn, and that was read only when it was frozen. */
START_TEST(frozen_agent_that_is_answered_is_told_to_be_awake)
{
	struct box *b = box_new(NULL);

	b->spec.permission_mode = PERMISSION_ALLOW;
	box_ready(b);
	freeze_after(b, "permission-async");
	WAIT_FOR(b, b->count[AGENT_WOKEN] == 1);
	ck_assert(!worker_is_frozen(b->w));
	ck_assert_int_eq(b->ask_count, 1);
	box_prompt(b, 2, "say x");
	box_done(b, 2);
	ck_assert_int_eq(b->count[AGENT_WOKEN], 1);
	box_close(b);
}
END_TEST

/* What paged it out must not find it asleep. */
START_TEST(frozen_agent_that_is_given_up_is_not_frozen)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	freeze_after(b, "close-stdout");
	ck_assert_int_eq(worker_state(b->w), WORKER_IDLE);
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert(!worker_is_frozen(b->w));
	box_close(b);
}
END_TEST

START_TEST(preface_is_a_block_of_its_own)
{
	struct box *b = box_new(NULL);

	b->preface = "what \"was\"\nsaid";
	box_ready(b);
	box_prompt(b, 1, "echo-blocks;echo-block 0");
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "[blocks 2]what \"was\"\nsaid");
	box_close(b);
}
END_TEST

START_TEST(text_that_is_not_acp_fails_the_start)
{
	struct box *b = box_shell("while read x; do for i in 1 2 3 4 5 6 7 8 "
	    "9 10 11; do echo \"Welcome $i\"; done; done");

	box_start(b);
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->failed_code, "not_acp");
	HAS(b->failed_error, "ACP flag");
	HAS(b->failed_error, "Welcome 1");
	box_close(b);
}
END_TEST

START_TEST(noise_before_and_around_messages_is_skipped)
{
	struct box *b = box_new("--noise-lines", "9", "--noise-glued",
	    "--crlf", NULL);

	box_ready(b);
	box_prompt(b, 1, "noise hello;glue \\s]0\\sx;say good;noise bye");
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "good");
	ck_assert_str_eq(b->stop_reason, "end_turn");
	box_close(b);
}
END_TEST

START_TEST(missing_program_is_named_with_the_path)
{
	struct box *b = box_new(NULL);

	strv_free(&b->argv);
	strv_add(&b->argv, "no-such-agent");
	child_setenv(&b->envp, "PATH=/nowhere/bin");
	child_setenv(&b->envp, "API_KEY=secret");
	box_start(b);
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->failed_code, "agent_missing");
	ck_assert_str_eq(b->failed_error, "cannot run \"no-such-agent\": No "
	    "such file or directory (searched PATH=/nowhere/bin)");
	ck_assert_int_eq(b->ended.ended.exit_code, -1);
	ck_assert_str_eq(b->order.data, "FEG");
	box_close(b);
}
END_TEST

START_TEST(answers_may_be_fragmented_to_single_bytes)
{
	struct box *b = box_new("--dribble", NULL);

	box_ready(b);
	box_prompt(b, 1, "say one two");
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "one two");
	box_close(b);
}
END_TEST

/* A shell's agent that gets as far as a session, then does what follows. */
#define SHELL_READY \
	"read x; echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":" \
	"{\"protocolVersion\":\"1\"}}'; read x; " \
	"echo '{\"jsonrpc\":\"2.0\",\"result\":{\"sessionId\":\"s\"}," \
	"\"id\":2}'; "

#define SHELL_UPDATE \
	"echo '{\"jsonrpc\":\"2.0\",\"method\":\"session/update\"," \
	"\"params\":{\"sessionId\":\"s\",\"update\":{\"sessionUpdate\":" \
	"\"plan\",\"entries\":[]}}}'; "

START_TEST(updates_before_the_session_are_bounded)
{
	struct box *b = box_shell("i=0; while [ $i -lt 250 ]; do "
	    SHELL_UPDATE "i=$((i+1)); done; " SHELL_READY SHELL_UPDATE
	    "read x");

	box_ready(b);
	WAIT_FOR(b, b->count[AGENT_UPDATE] == 201);
	box_close(b);
}
END_TEST

/* ---- what is offered and answered ---- */

static json_t *
read_wire(struct box *b, const char *path, const char *method)
{
	FILE *f = fopen(path, "r");
	json_t *found = NULL, *o;
	char *line = NULL;
	size_t size = 0;

	(void)b;
	ck_assert_ptr_nonnull(f);
	while (found == NULL && getline(&line, &size, f) > 0) {
		o = json_loads(line, 0, NULL);
		ck_assert_msg(o != NULL, "sent what is not JSON: %s", line);
		if (json_is_string(json_object_get(o, "method")) &&
		    strcmp(json_string_value(json_object_get(o, "method")),
		    method) == 0)
			found = o;
		else
			json_decref(o);
	}
	free(line);
	fclose(f);
	ck_assert_msg(found != NULL, "%s was not sent", method);
	return found;
}

START_TEST(capabilities_are_the_default_with_overrides)
{
	char wire[96];
	struct box *b = box_new(NULL);
	json_t *o, *c;

	snprintf(wire, sizeof wire, "%s/wire", b->dir);
	strv_add(&b->argv, "--wire-log");
	strv_add(&b->argv, wire);
	b->spec.client_capabilities = "{\"fs\":{\"readTextFile\":true},"
	    "\"terminal\":true,\"_meta\":{\"terminal_output\":true}}";
	b->spec.mcp_servers = "[{\"name\":\"x\",\n\"command\":\"/x\","
	    "\"args\":[],\"env\":[]}]";
	box_ready(b);
	o = read_wire(b, wire, "initialize");
	c = json_object_get(json_object_get(o, "params"),
	    "clientCapabilities");
	ck_assert(json_is_true(json_object_get(json_object_get(c, "fs"),
	    "readTextFile")));
	ck_assert(json_is_false(json_object_get(json_object_get(c, "fs"),
	    "writeTextFile")));
	ck_assert(json_is_true(json_object_get(c, "terminal")));
	ck_assert_ptr_nonnull(json_object_get(json_object_get(c, "session"),
	    "notices"));
	ck_assert_ptr_nonnull(json_object_get(c, "_meta"));
	json_decref(o);
	o = read_wire(b, wire, "session/new");
	ck_assert_uint_eq(json_array_size(json_object_get(
	    json_object_get(o, "params"), "mcpServers")), 1);
	json_decref(o);
	ck_assert_int_eq(unlink(wire), 0);
	box_close(b);
}
END_TEST

/* Such as ssh's with {command}: it would run the agent once more. */
START_TEST(terminals_are_not_offered_behind_a_launcher_with_the_command)
{
	char wire[96];
	struct box *b = box_new(NULL);
	json_t *o;

	snprintf(wire, sizeof wire, "%s/wire", b->dir);
	strv_add(&b->argv, "--wire-log");
	strv_add(&b->argv, wire);
	b->spec.client_capabilities = "{\"terminal\":true}";
	b->spec.launcher_words = 3;
	box_ready(b);
	o = read_wire(b, wire, "initialize");
	ck_assert(json_is_false(json_object_get(json_object_get(
	    json_object_get(o, "params"), "clientCapabilities"),
	    "terminal")));
	json_decref(o);
	ck_assert_int_eq(unlink(wire), 0);
	box_close(b);
}
END_TEST

START_TEST(files_are_served_only_when_offered)
{
	struct box *b = box_turn("fs-write @ nothing;unknown-request");

	HAS(b->text.data, "[fs-write error -32601]");
	HAS(b->text.data, "[unknown-request -32601]");
	box_close(b);
}
END_TEST

START_TEST(offered_files_are_served_below_the_folder_alone)
{
	struct box *b = box_new(NULL);
	char script[512], file[96];

	b->spec.client_capabilities =
	    "{\"fs\":{\"readTextFile\":true,\"writeTextFile\":true}}";
	snprintf(file, sizeof file, "%s/f", b->dir);
	snprintf(script, sizeof script, "fs-write %s hi;fs-read %s;"
	    "fs-read %s.none;fs-read /etc/passwd", file, file, file);
	box_ready(b);
	box_prompt(b, 1, script);
	box_done(b, 1);
	HAS(b->text.data, "[fs-write ok]");
	HAS(b->text.data, "[fs-read hi]");
	HAS(b->text.data, "[fs-read error -32002]");
	HAS(b->text.data, "[fs-read error -32602]");
	ck_assert_int_eq(unlink(file), 0);
	box_close(b);
}
END_TEST

static const char *const id_forms[] = { "int", "zero", "string", "huge" };

START_TEST(requests_are_answered_whatever_their_id)
{
	struct box *b;
	char script[128];

	snprintf(script, sizeof script,
	    "request-id %s;unknown-request;say end", id_forms[_i]);
	b = box_turn(script);
	ck_assert_str_eq(b->text.data, "[unknown-request -32601]end");
	box_close(b);
}
END_TEST

START_TEST(strays_change_nothing)
{
	struct box *b = box_turn("foreign-response;error-no-id;error-null-id;"
	    "batch;unknown-notification;unknown-update;say still here");

	ck_assert_str_eq(b->text.data, "still here");
	ck_assert_str_eq(b->kinds.data, "unknown ");
	ck_assert_str_eq(b->stop_reason, "end_turn");
	box_close(b);
}
END_TEST

/* ---- text and updates ---- */

#define CHUNK(more) "raw {\"jsonrpc\":\"2.0\",\"method\":\"session/update\"," \
	"\"params\":{\"sessionId\":\"@S@\",\"update\":{\"sessionUpdate\":" \
	"\"agent_message_chunk\"," more "}}}\n"

START_TEST(text_is_the_same_on_both_paths)
{
	/* the second has a member that the scanner refuses */
	struct box *b = box_turn(
	    CHUNK("\"content\":{\"type\":\"text\",\"text\":"
		"\"a\\u00e4\\ud83d\\ude00\\n\"}")
	    CHUNK("\"_meta\":null,\"content\":{\"type\":\"text\",\"text\":"
		"\"a\\u00e4\\ud83d\\ude00\\n\"}"));

	ck_assert_int_eq(b->count[AGENT_TEXT], 2);
	ck_assert_uint_eq(b->text.len % 2, 0);
	ck_assert_mem_eq(b->text.data, b->text.data + b->text.len / 2,
	    b->text.len / 2);
	ck_assert_str_eq(b->text.data, "a\303\244\360\237\230\200\n"
	    "a\303\244\360\237\230\200\n");
	ck_assert(!b->repaired);
	box_close(b);
}
END_TEST

START_TEST(text_that_jsonb_would_refuse_is_repaired)
{
	struct box *b = box_turn("bad-utf8;nul;surrogate;split \303\244");

	ck_assert(b->repaired);
	HAS(b->text.data, "a\357\277\275b");
	HAS(b->text.data, "\303\244");
	box_close(b);
}
END_TEST

START_TEST(reasoning_is_not_text)
{
	struct box *b = box_turn("message m1;think hm;message m2;say yes");

	ck_assert_str_eq(b->reasoning.data, "hm");
	ck_assert_str_eq(b->text.data, "yes");
	ck_assert_str_eq(b->message_id, "m2");
	ck_assert(!b->done.done.was_empty);
	ck_assert(!b->done.done.used_tool);
	box_close(b);
}
END_TEST

START_TEST(empty_turn_is_marked)
{
	struct box *b = box_turn("think hm;plan 2");

	ck_assert(b->done.done.was_empty);
	ck_assert_str_eq(b->kinds.data, "plan ");
	box_close(b);
}
END_TEST

START_TEST(repeated_message_is_dropped)
{
	struct box *b = box_turn("say one ;say two;message m1;say one two");

	ck_assert_str_eq(b->text.data, "one two");
	box_close(b);
}
END_TEST

static const struct {
	const char *script, *text;
} kept_cases[] = {
	{ "say one;message m1;say one", "oneone" },
	{ "say a;say b;message m1;say ac", "abac" },
	{ "say a;say b;say ab", "abab" },
	{ "message m1;say a;say b;message m2;say ab", "abab" },
	{ "say a;say b;tool read x;message m1;say ab", "abab" },
};

START_TEST(text_is_kept_unless_it_is_all_of_the_message)
{
	struct box *b = box_turn(kept_cases[_i].script);

	ck_assert_str_eq(b->text.data, kept_cases[_i].text);
	box_close(b);
}
END_TEST

START_TEST(updates_have_kinds)
{
	struct box *b = box_turn("commands a b;plan 1;mode x;config y;"
	    "usage 1 2;info title;notice n;user me;tool read look");

	HAS(b->kinds.data, "commands plan mode config usage session_info "
	    "unknown tool_call ");
	ck_assert_str_eq(b->tool_title, "look");
	ck_assert_str_eq(b->tool_status, "completed");
	ck_assert(b->done.done.used_tool);
	ck_assert(!b->done.done.was_empty);
	ck_assert_uint_eq(b->text.len, 0);
	box_close(b);
}
END_TEST

START_TEST(tool_state_is_merged_over_updates)
{
	struct box *b = box_turn("tool-start t1 edit change it;"
	    "tool-update t1 in_progress;tool-end t1 failed no");

	ck_assert_str_eq(b->tool_title, "change it");
	ck_assert_str_eq(b->tool_status, "failed");
	HAS(b->payload, "\"tool_call_update\"");
	box_close(b);
}
END_TEST

START_TEST(update_of_another_session_is_unknown)
{
	struct box *b = box_turn("wrong-session psst;say mine");

	ck_assert_str_eq(b->text.data, "mine");
	ck_assert_str_eq(b->kinds.data, "unknown ");
	HAS(b->payload, "psst");
	box_close(b);
}
END_TEST

START_TEST(updates_after_the_answer_are_told)
{
	struct box *b = box_turn("say in ;stop;say after");

	WAIT_FOR(b, strcmp(b->text.data, "in after") == 0);
	ck_assert_str_eq(b->order.data, "SRTDT");
	box_close(b);
}
END_TEST

START_TEST(line_of_40_mib_is_one_text)
{
	struct box *b = box_turn("big 40;say .");

	ck_assert_uint_eq(b->text.len, ((size_t)40 << 20) + 1);
	box_close(b);
}
END_TEST

START_TEST(line_over_the_cap_ends_the_agent)
{
	struct box *b = box_turn("big 65;sleep 60000");

	ck_assert_str_eq(b->done_code, "protocol_error");
	HAS(b->done_error, "64 MiB");
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	HAS(b->end_reason, "64 MiB");
	ck_assert(!b->ended.ended.was_planned);
	box_close(b);
}
END_TEST

START_TEST(chunk_that_is_no_text_is_kept_whole)
{
	struct box *b = box_turn(CHUNK("\"content\":{\"type\":\"image\","
	    "\"data\":\"AA==\",\"mimeType\":\"image/png\"}"));

	ck_assert_str_eq(b->kinds.data, "unknown ");
	HAS(b->payload, "image/png");
	ck_assert(!b->done.done.was_empty);
	box_close(b);
}
END_TEST

/* ---- the answer ---- */

static const struct {
	const char *script, *stop_reason, *code, *words;
} answer_cases[] = {
	{ "say x", "end_turn", NULL, NULL },
	{ "stop max_tokens", "max_tokens", NULL, NULL },
	{ "stop what_is_this", "what_is_this", NULL, NULL },
	{ "empty", "end_turn", NULL, NULL },
	{ "answer-id string;say x", "end_turn", NULL, NULL },
	{ "error -32603 quota is used up", NULL, "agent_error", "quota" },
	{ "auth", NULL, "auth_required", "log in" },
};

START_TEST(answers_end_the_turn)
{
	struct box *b = box_turn(answer_cases[_i].script);

	ck_assert_pstr_eq(b->stop_reason, answer_cases[_i].stop_reason);
	ck_assert_pstr_eq(b->done_code, answer_cases[_i].code);
	if (answer_cases[_i].words != NULL)
		HAS(b->done_error, answer_cases[_i].words);
	ck_assert_int_eq(b->done.done.turn, 1);
	ck_assert_int_eq(worker_state(b->w), WORKER_IDLE);
	box_close(b);
}
END_TEST

static const struct {
	const char *result;
	int64_t in, out;
} usage_cases[] = {
	{ "{\"stopReason\":\"end_turn\"}", -1, -1 },
	{ "{\"usage\":{\"inputTokens\":5,\"outputTokens\":7}}", 5, 7 },
	{ "{\"usage\":{\"inputTokens\":5,\"outputTokens\":7,"
	    "\"cachedReadTokens\":10,\"cachedWriteTokens\":20,"
	    "\"thoughtTokens\":3,\"totalTokens\":45}}", 35, 10 },
	{ "{\"usage\":{\"inputTokens\":35,\"outputTokens\":10,"
	    "\"cachedReadTokens\":10,\"totalTokens\":45}}", 35, 10 },
	{ "{\"usage\":{\"inputTokens\":-5,\"outputTokens\":1e30}}", -1, -1 },
	{ "{\"usage\":{\"inputTokens\":\"x\"}}", -1, -1 },
	{ "{\"_meta\":{\"quota\":{\"token_count\":{\"input_tokens\":1,"
	    "\"output_tokens\":2}}}}", 1, 2 },
};

START_TEST(usage_is_read_with_care)
{
	char script[512];
	struct box *b;

	snprintf(script, sizeof script, "result %s", usage_cases[_i].result);
	b = box_turn(script);
	ck_assert_int_eq(b->done.done.input_tokens, usage_cases[_i].in);
	ck_assert_int_eq(b->done.done.output_tokens, usage_cases[_i].out);
	box_close(b);
}
END_TEST

static void
prompt_again(struct box *b, const struct agent_event *ev)
{
	if (ev->type == AGENT_TURN_DONE && b->count[AGENT_TURN_DONE] < 3)
		worker_prompt(b->w, ev->done.turn + 1, NULL,
		    "[{\"type\":\"text\",\n\"text\":\"echo-turn\"}]");
}

START_TEST(next_prompt_may_come_from_within_the_end_of_the_last)
{
	struct box *b = box_new(NULL);

	b->hook = prompt_again;
	box_ready(b);
	box_prompt(b, 1, "echo-turn");
	box_done(b, 3);
	ck_assert_str_eq(b->text.data, "[turn 1][turn 2][turn 3]");
	ck_assert_int_eq(b->done.done.turn, 3);
	box_close(b);
}
END_TEST

START_TEST(second_answer_is_dropped)
{
	struct box *b = box_turn("stop;stop");

	box_prompt(b, 2, "say x");
	box_done(b, 2);
	ck_assert_str_eq(b->text.data, "x");
	box_close(b);
}
END_TEST

/* ---- cancel ---- */

START_TEST(cancel_is_answered)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	OUTSIDE(worker_cancel(b->w));
	ck_assert_int_eq(worker_state(b->w), WORKER_IDLE);
	box_prompt(b, 1, "say x;hang");
	WAIT_FOR(b, b->text.len > 0);
	OUTSIDE(worker_cancel(b->w));
	ck_assert_int_eq(worker_state(b->w), WORKER_CANCELLING);
	OUTSIDE(worker_cancel(b->w));
	box_done(b, 1);
	ck_assert_str_eq(b->stop_reason, "cancelled");
	ck_assert_ptr_null(b->done_code);
	ck_assert(b->done.done.was_cancelled);
	box_prompt(b, 2, "say y");
	box_done(b, 2);
	ck_assert_str_eq(b->text.data, "xy");
	ck_assert(!b->done.done.was_cancelled);
	box_close(b);
}
END_TEST

START_TEST(abort_error_after_cancel_is_cancelled)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	box_prompt(b, 1, "on-cancel error;say x;hang");
	WAIT_FOR(b, b->text.len > 0);
	OUTSIDE(worker_cancel(b->w));
	box_done(b, 1);
	ck_assert_str_eq(b->stop_reason, "cancelled");
	ck_assert_ptr_null(b->done_code);
	box_close(b);
}
END_TEST

START_TEST(second_cancel_comes_at_half_of_the_limit)
{
	struct box *b = box_new(NULL);

	b->spec.cancel_timeout = 2000;
	box_ready(b);
	box_prompt(b, 1, "on-cancel second;say x;hang");
	WAIT_FOR(b, b->text.len > 0);
	OUTSIDE(worker_cancel(b->w));
	box_done(b, 1);
	ck_assert_str_eq(b->stop_reason, "cancelled");
	ck_assert_int_eq(worker_state(b->w), WORKER_IDLE);
	box_close(b);
}
END_TEST

START_TEST(cancel_that_is_never_answered_ends_the_agent)
{
	struct box *b = box_new(NULL);

	b->spec.cancel_timeout = 300;
	box_ready(b);
	box_prompt(b, 1, "on-cancel never;say x;hang");
	WAIT_FOR(b, b->text.len > 0);
	OUTSIDE(worker_cancel(b->w));
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->order.data, "SRTDEG");
	ck_assert_str_eq(b->done_code, "cancel_timeout");
	HAS(b->done_error, "cancel_timeout (300 ms)");
	ck_assert_ptr_null(b->stop_reason);
	ck_assert(b->done.done.was_cancelled);
	ck_assert_str_eq(b->end_reason, "cancel_timeout");
	box_close(b);
}
END_TEST

/* So that it may store what it has before it goes. */
START_TEST(session_is_closed_before_the_agent_is_ended)
{
	char log[] = "/tmp/hearth-wire-XXXXXX", line[4096] = "";
	int fd = mkstemp(log), closed = close(fd);
	struct box *b = box_new("--close", "--wire-log", log, NULL);
	bool was_closed = false;
	FILE *f;

	ck_assert_int_eq(closed, 0);
	b->spec.cancel_timeout = 200;
	b->spec.turn_timeout = _i == 0 ? 100 : 60000;
	box_ready(b);
	box_prompt(b, 1, "on-cancel never;say x;hang");
	WAIT_FOR(b, b->text.len > 0);
	if (_i == 1)
		OUTSIDE(worker_cancel(b->w));
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->done_code, _i == 0 ? "turn_timeout" :
	    "cancel_timeout");
	f = fopen(log, "r");
	while (fgets(line, sizeof line, f) != NULL)
		was_closed = strstr(line, "\"session/close\"") != NULL;
	ck_assert(was_closed); /* it was the last line */
	fclose(f);
	unlink(log);
	box_close(b);
}
END_TEST

START_TEST(turn_timeout_cancels_and_names_itself)
{
	struct box *b = box_new(NULL);

	b->spec.turn_timeout = 300;
	box_ready(b);
	box_prompt(b, 1, "say x;hang");
	box_done(b, 1);
	ck_assert_str_eq(b->done_code, "turn_timeout");
	HAS(b->done_error, "turn_timeout (300 ms)");
	ck_assert_str_eq(b->stop_reason, "cancelled");
	ck_assert(!b->done.done.was_cancelled);
	ck_assert_int_eq(worker_state(b->w), WORKER_IDLE);
	box_close(b);
}
END_TEST

START_TEST(turn_timeout_kills_who_does_not_cancel)
{
	struct box *b = box_new("--no-eof", "--ignore-term", NULL);

	b->spec.turn_timeout = 200;
	b->spec.cancel_timeout = 200;
	box_ready(b);
	box_prompt(b, 1, "on-cancel never;hang");
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_str_eq(b->done_code, "turn_timeout");
	ck_assert_str_eq(b->end_reason, "turn_timeout");
	ck_assert_int_eq(b->ended.ended.term_signal, SIGKILL);
	box_close(b);
}
END_TEST

START_TEST(silence_cancels_and_names_itself)
{
	struct box *b = box_new(NULL);

	b->spec.silence_timeout = 300;
	box_ready(b);
	box_prompt(b, 1, "say x;hang");
	box_done(b, 1);
	ck_assert_str_eq(b->done_code, "silence_timeout");
	HAS(b->done_error, "silence_timeout (300 ms)");
	HAS(b->done_error, "said nothing");
	ck_assert_str_eq(b->stop_reason, "cancelled");
	ck_assert(!b->done.done.was_cancelled);
	ck_assert_int_eq(worker_state(b->w), WORKER_IDLE);
	/* The next one has all of its time again. */
	box_prompt(b, 2, "sleep 100;say y");
	box_done(b, 2);
	ck_assert_str_eq(b->stop_reason, "end_turn");
	box_close(b);
}
END_TEST

START_TEST(silence_kills_who_does_not_cancel)
{
	struct box *b = box_new("--no-eof", "--ignore-term", NULL);

	b->spec.silence_timeout = 200;
	b->spec.cancel_timeout = 200;
	box_ready(b);
	box_prompt(b, 1, "on-cancel never;hang");
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_str_eq(b->done_code, "silence_timeout");
	HAS(b->done_error, "cancel_timeout (200 ms)");
	ck_assert_str_eq(b->end_reason, "silence_timeout");
	ck_assert_int_eq(b->ended.ended.term_signal, SIGKILL);
	box_close(b);
}
END_TEST

/* Each is longer than the limit as a whole, and never silent for so long. */
static const char *const not_silent[] = {
	"count 12 100",
	"tool-start t execute make;sleep 1200;tool-end t;say x",
	"tool-start t read x;tool-update t in_progress;sleep 1200;tool-end t",
};

START_TEST(who_speaks_or_uses_a_tool_is_not_silent)
{
	struct box *b = box_new(NULL);

	b->spec.silence_timeout = 600;
	box_ready(b);
	box_prompt(b, 1, not_silent[_i]);
	box_done(b, 1);
	ck_assert_ptr_null(b->done_code);
	ck_assert_str_eq(b->stop_reason, "end_turn");
	box_close(b);
}
END_TEST

START_TEST(silence_after_a_tool_is_silence)
{
	struct box *b = box_new(NULL);

	b->spec.silence_timeout = 300;
	box_ready(b);
	box_prompt(b, 1, "tool-start t execute make;sleep 500;tool-end t;hang");
	box_done(b, 1);
	ck_assert_str_eq(b->done_code, "silence_timeout");
	box_close(b);
}
END_TEST

START_TEST(no_limit_of_silence_is_none)
{
	struct box *b = box_new(NULL);

	b->spec.silence_timeout = 0;
	box_ready(b);
	box_prompt(b, 1, "sleep 300;say x");
	box_done(b, 1);
	ck_assert_str_eq(b->stop_reason, "end_turn");
	box_close(b);
}
END_TEST

START_TEST(a_pause_is_no_silence)
{
	struct box *b = box_new(NULL);
	int64_t begin;

	b->spec.silence_timeout = 1000;
	box_ready(b);
	box_prompt(b, 1, "sleep 300;say x;hang");
	WAIT_FOR(b, b->text.len > 0);
	OUTSIDE(worker_pause(b->w, true));
	run_ms(b, 1500);
	ck_assert_int_eq(worker_state(b->w), WORKER_PROMPTING);
	begin = clock_ms();
	OUTSIDE(worker_pause(b->w, false));
	box_done(b, 1);
	ck_assert_str_eq(b->done_code, "silence_timeout");
	ck_assert_int_ge(clock_ms() - begin, 800);
	box_close(b);
}
END_TEST

START_TEST(pause_stops_reading_and_the_turn_timer)
{
	struct box *b = box_new(NULL);

	b->spec.turn_timeout = 1500;
	box_ready(b);
	OUTSIDE(worker_pause(b->w, true));
	box_prompt(b, 1, "say x");
	run_ms(b, 2000);
	ck_assert_int_eq(b->count[AGENT_TEXT], 0);
	ck_assert_int_eq(worker_state(b->w), WORKER_PROMPTING);
	OUTSIDE(worker_pause(b->w, false));
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "x");
	ck_assert_str_eq(b->stop_reason, "end_turn");
	box_close(b);
}
END_TEST

START_TEST(paused_turn_keeps_what_was_left_of_its_time)
{
	struct box *b = box_new(NULL);
	int64_t begin;

	b->spec.turn_timeout = 1000;
	box_ready(b);
	box_prompt(b, 1, "hang");
	run_ms(b, 300);
	OUTSIDE(worker_pause(b->w, true));
	run_ms(b, 1200);
	begin = clock_ms();
	OUTSIDE(worker_pause(b->w, false));
	box_done(b, 1);
	ck_assert_str_eq(b->done_code, "turn_timeout");
	ck_assert_int_ge(clock_ms() - begin, 500);
	box_close(b);
}
END_TEST

/* ---- permissions ---- */

/* It names no tool call: only the question is open. */
#define QUESTION "raw {\"jsonrpc\":\"2.0\",\"id\":77,\"method\":" \
	"\"session/request_permission\",\"params\":{\"sessionId\":\"@S@\"," \
	"\"toolCall\":{\"toolCallId\":\"q\",\"status\":\"completed\"}," \
	"\"options\":[{\"optionId\":\"a\",\"name\":\"A\"," \
	"\"kind\":\"reject_once\"}]}};hang"

START_TEST(who_waits_for_a_permission_is_not_silent)
{
	struct box *b = box_new(NULL);
	int64_t answered;

	b->spec.silence_timeout = 500;
	box_ready(b);
	box_prompt(b, 1, QUESTION);
	WAIT_FOR(b, b->count[AGENT_PERMISSION] == 1);
	run_ms(b, 1200);
	ck_assert_int_eq(worker_state(b->w), WORKER_PROMPTING);
	answered = clock_ms();
	OUTSIDE(worker_expire_permission(b->w, b->asks[0]));
	box_done(b, 1);
	ck_assert_str_eq(b->done_code, "silence_timeout");
	ck_assert_int_ge(clock_ms() - answered, 450);
	box_close(b);
}
END_TEST

static struct box *
box_asking(const char *script)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	box_prompt(b, 1, script);
	WAIT_FOR(b, b->count[AGENT_PERMISSION] == 1);
	ck_assert(!b->asked_answered);
	return b;
}

START_TEST(permission_is_asked_and_answered_once)
{
	struct box *b = box_asking("permission");
	struct err e;
	int rc;

	OUTSIDE(rc = worker_answer_permission(b->w, b->asks[0], "nonsense",
	    &e));
	ck_assert_int_eq(rc, -1);
	HAS(e.text, "nonsense");
	OUTSIDE(rc = worker_answer_permission(b->w, b->asks[0], "allow-once",
	    &e));
	ck_assert_int_eq(rc, 0);
	OUTSIDE(rc = worker_answer_permission(b->w, b->asks[0], "allow-once",
	    &e));
	ck_assert_int_eq(rc, -1);
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "[permission allow-once]");
	ck_assert_int_eq(b->count[AGENT_PERMISSION_SETTLED], 1);
	ck_assert_int_eq(b->settled_serial, b->asks[0]);
	ck_assert_str_eq(b->settled_status, "answered");
	ck_assert_str_eq(b->settled_option, "allow-once");
	ck_assert_str_eq(b->order.data, "SRPpTD");
	box_close(b);
}
END_TEST

START_TEST(expired_permission_is_rejected)
{
	struct box *b = box_asking("permission");

	OUTSIDE(worker_expire_permission(b->w, b->asks[0]));
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "[permission reject-once]");
	ck_assert_str_eq(b->settled_status, "expired");
	box_close(b);
}
END_TEST

static const struct {
	enum permission_mode mode;
	const char *script, *option, *text;
} policy_cases[] = {
	{ PERMISSION_ALLOW, "permission", "allow-once",
	    "[permission allow-once]" },
	{ PERMISSION_DENY, "permission", "reject-once",
	    "[permission reject-once]" },
	{ PERMISSION_DENY, "permission allow_once", NULL,
	    "[permission cancelled]" },
};

START_TEST(policy_answers_at_once)
{
	struct box *b = box_new(NULL);

	b->spec.permission_mode = policy_cases[_i].mode;
	box_ready(b);
	box_prompt(b, 1, policy_cases[_i].script);
	box_done(b, 1);
	ck_assert_int_eq(b->count[AGENT_PERMISSION], 1);
	ck_assert(b->asked_answered);
	ck_assert_pstr_eq(b->asked_option, policy_cases[_i].option);
	ck_assert_int_eq(b->count[AGENT_PERMISSION_SETTLED], 0);
	ck_assert_str_eq(b->text.data, policy_cases[_i].text);
	box_close(b);
}
END_TEST

START_TEST(cancel_settles_open_permissions)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	box_prompt(b, 1, "permissions 3;hang");
	WAIT_FOR(b, b->count[AGENT_PERMISSION] == 3);
	OUTSIDE(worker_cancel(b->w));
	box_done(b, 1);
	ck_assert_int_eq(b->count[AGENT_PERMISSION_SETTLED], 3);
	ck_assert_str_eq(b->settled_status, "cancelled");
	ck_assert_ptr_null(b->settled_option);
	ck_assert_str_eq(b->stop_reason, "cancelled");
	box_close(b);
}
END_TEST

START_TEST(two_parallel_permissions_are_told_apart)
{
	struct box *b = box_new(NULL);
	struct err e;

	box_ready(b);
	box_prompt(b, 1, "permissions 2");
	WAIT_FOR(b, b->count[AGENT_PERMISSION] == 2);
	ck_assert_int_ne(b->asks[0], b->asks[1]);
	OUTSIDE(worker_answer_permission(b->w, b->asks[1], "reject-once",
	    &e));
	OUTSIDE(worker_answer_permission(b->w, b->asks[0], "allow-once", &e));
	box_done(b, 1);
	ck_assert_str_eq(b->text.data,
	    "[permission allow-once][permission reject-once]");
	box_close(b);
}
END_TEST

START_TEST(permission_during_cancel_is_cancelled)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	box_prompt(b, 1, "on-cancel permission;say x;hang");
	WAIT_FOR(b, b->text.len > 0);
	OUTSIDE(worker_cancel(b->w));
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "x[permission cancelled]");
	ck_assert(b->asked_answered);
	ck_assert_int_eq(b->count[AGENT_PERMISSION_SETTLED], 0);
	box_close(b);
}
END_TEST

START_TEST(turn_end_settles_open_permissions_first)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	box_prompt(b, 1, "permission-async;say x;stop");
	box_done(b, 1);
	ck_assert_str_eq(b->order.data, "SRPTpD");
	ck_assert_str_eq(b->settled_status, "cancelled");
	box_close(b);
}
END_TEST

#define ASK_42 "raw {\"jsonrpc\":\"2.0\",\"id\":\"q\\u0034\",\"method\":" \
	"\"session/request_permission\",\"params\":{\"sessionId\":\"@S@\"," \
	"\"toolCall\":{\"toolCallId\":\"c\"},\"options\":[{\"optionId\":\"y\"," \
	"\"name\":\"Yes\",\"kind\":\"allow_once\"}]}}\n"

START_TEST(withdrawn_permission_is_settled)
{
	struct box *b = box_turn(ASK_42 "raw {\"jsonrpc\":\"2.0\",\"method\":"
	    "\"$/cancel_request\",\"params\":{\"requestId\":\"q4\"}}\n"
	    "say x");

	ck_assert_str_eq(b->order.data, "SRPpTD");
	ck_assert_str_eq(b->settled_status, "cancelled");
	box_close(b);
}
END_TEST

START_TEST(permission_with_death_is_settled)
{
	struct box *b = box_turn("permission-async;exit 2");

	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_str_eq(b->order.data, "SRPpDE");
	ck_assert_str_eq(b->settled_status, "cancelled");
	box_close(b);
}
END_TEST

static void
answer_within(struct box *b, const struct agent_event *ev)
{
	struct err e;

	if (ev->type == AGENT_PERMISSION)
		ck_assert_int_eq(worker_answer_permission(b->w,
		    ev->permission.serial, "allow-once", &e), 0);
}

START_TEST(permission_may_be_answered_from_within)
{
	struct box *b = box_new(NULL);

	b->hook = answer_within;
	box_ready(b);
	box_prompt(b, 1, "permission");
	box_done(b, 1);
	ck_assert_str_eq(b->text.data, "[permission allow-once]");
	ck_assert_str_eq(b->order.data, "SRPpTD");
	box_close(b);
}
END_TEST

/* ---- death ---- */

START_TEST(exit_in_a_turn_names_code_and_stderr)
{
	struct box *b = box_turn("say last words;stderr out of cheese;"
	    "exit 3");

	ck_assert_str_eq(b->text.data, "last words");
	ck_assert_str_eq(b->done_code, "agent_crashed");
	HAS(b->done_error, "agent exited with code 3; stderr ends with: ");
	HAS(b->done_error, "out of cheese");
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->order.data, "SRTDEG");
	ck_assert_int_eq(b->ended.ended.exit_code, 3);
	ck_assert_str_eq(b->end_reason, "exit code 3");
	HAS(b->stderr_tail, "out of cheese");
	ck_assert_int_le(b->ended_at - b->done_at, 50);
	box_close(b);
}
END_TEST

START_TEST(signal_in_a_turn_is_named)
{
	struct box *b = box_turn("signal SEGV");

	ck_assert_str_eq(b->done_code, "agent_crashed");
	HAS(b->done_error, "SIGSEGV");
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_int_eq(b->ended.ended.term_signal, SIGSEGV);
	ck_assert_int_eq(b->ended.ended.exit_code, -1);
	ck_assert_str_eq(b->end_reason, "SIGSEGV");
	box_close(b);
}
END_TEST

START_TEST(last_line_needs_no_line_end)
{
	struct box *b = box_turn("say a;nolf;say b;exit 0");

	ck_assert_str_eq(b->text.data, "ab");
	ck_assert_str_eq(b->done_code, "agent_crashed");
	box_close(b);
}
END_TEST

START_TEST(answer_before_death_counts)
{
	struct box *b = box_turn("say a;stop;exit 1");

	ck_assert_str_eq(b->stop_reason, "end_turn");
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_int_eq(b->count[AGENT_TURN_DONE], 1);
	box_close(b);
}
END_TEST

START_TEST(what_was_said_before_death_is_told_although_paused)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	OUTSIDE(worker_pause(b->w, true));
	box_prompt(b, 1, "chunks 100 100;exit 1");
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_uint_eq(b->text.len, 10000);
	ck_assert_str_eq(b->done_code, "agent_crashed");
	box_close(b);
}
END_TEST

START_TEST(agent_that_closes_its_stdout_is_killed)
{
	struct box *b = box_turn("say a;close-stdout;sleep 60000");

	ck_assert_str_eq(b->done_code, "agent_crashed");
	HAS(b->done_error, "closed its stdout");
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_str_eq(b->end_reason, "closed its stdout");
	box_close(b);
}
END_TEST

START_TEST(descendant_that_holds_the_pipes_delays_nothing)
{
	struct box *b = box_turn("grandchild;exit 5");

	HAS(b->done_error, "code 5");
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_str_eq(b->end_reason, "exit code 5");
	box_close(b);
}
END_TEST

START_TEST(stop_in_a_turn_says_why)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	box_prompt(b, 1, "say x;sleep 60000");
	WAIT_FOR(b, b->text.len > 0);
	OUTSIDE(worker_kill(b->w, "evicted"));
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_str_eq(b->done_code, "agent_crashed");
	HAS(b->done_error, "evicted");
	ck_assert_str_eq(b->end_reason, "evicted");
	ck_assert(b->ended.ended.was_planned);
	box_close(b);
}
END_TEST

static void
stop_within(struct box *b, const struct agent_event *ev)
{
	if (ev->type == AGENT_TEXT)
		worker_stop(b->w, "enough");
}

START_TEST(stop_from_within_a_callback_is_safe)
{
	struct box *b = box_new(NULL);

	b->hook = stop_within;
	box_ready(b);
	box_prompt(b, 1, "chunks 100 10;permission");
	WAIT_FOR(b, b->count[AGENT_GONE] == 1);
	ck_assert_int_eq(b->count[AGENT_TURN_DONE], 1);
	ck_assert_str_eq(b->end_reason, "enough");
	box_close(b);
}
END_TEST

static void
free_within(struct box *b, const struct agent_event *ev)
{
	if (ev->type == AGENT_GONE)
		worker_free(&b->w);
}

START_TEST(gone_worker_may_be_freed_from_within)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	b->hook = free_within;
	OUTSIDE(worker_stop(b->w, "bye"));
	WAIT_FOR(b, b->w == NULL);
	box_close(b);
}
END_TEST

START_TEST(live_worker_may_be_freed)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	box_prompt(b, 1, "permission");
	WAIT_FOR(b, b->count[AGENT_PERMISSION] == 1);
	OUTSIDE(worker_cancel(b->w));
	OUTSIDE(worker_free(&b->w));
	run_ms(b, 300);
	ck_assert_int_eq(b->count[AGENT_ENDED], 0);
	box_close(b);
}
END_TEST

/* ---- pipes ---- */

START_TEST(stderr_flood_does_not_stop_the_turn)
{
	struct box *b = box_turn("stderr-flood 10485760;say through");

	ck_assert_str_eq(b->text.data, "through");
	OUTSIDE(worker_stop(b->w, "enough"));
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_uint_gt(strlen(b->stderr_tail), 1000);
	ck_assert_uint_le(strlen(b->stderr_tail), 64 << 10);
	box_close(b);
}
END_TEST

/*
 * After initialize and session/new the agent speaks without reading, while a
 * prompt larger than any pipe waits to be written.
 */
START_TEST(agent_that_does_not_read_is_still_read_from)
{
	struct box *b = box_new(NULL);
	size_t size = (size_t)4 << 20;
	char *text = xmalloc(size + 1);

	box_ready(b);
	box_prompt(b, 1, "stop;say x ;deaf 1500;chunks 20 10;stop");
	box_done(b, 1);
	memset(text, ' ', size);
	strcpy(text + size - 8, ";say y");
	box_prompt(b, 2, text);
	free(text);
	WAIT_FOR(b, b->text.len >= 2 + 200);
	box_done(b, 2);
	HAS(b->text.data, "y");
	ck_assert_str_eq(b->stop_reason, "end_turn");
	box_close(b);
}
END_TEST

START_TEST(answers_that_are_not_taken_are_bounded)
{
	struct box *b = box_shell(SHELL_READY "exec yes "
	    "'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x/y\"}'");

	box_start(b);
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_int_eq(b->count[AGENT_READY], 1);
	ck_assert_str_eq(b->end_reason, "does not read its stdin");
	box_close(b);
}
END_TEST

START_TEST(agent_that_closes_its_stdin_is_killed)
{
	struct box *b = box_new(NULL);

	box_ready(b);
	box_prompt(b, 1, "close-stdin;say x;sleep 60000");
	WAIT_FOR(b, b->text.len > 0);
	OUTSIDE(worker_cancel(b->w));
	box_done(b, 1);
	ck_assert_str_eq(b->done_code, "agent_crashed");
	HAS(b->done_error, "closed its stdin");
	WAIT_FOR(b, b->count[AGENT_ENDED] == 1);
	ck_assert_str_eq(b->end_reason, "closed its stdin");
	box_close(b);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *s = suite_create("worker");
	TCase *t;

#define N(a) ((int)(sizeof (a) / sizeof (a)[0]))
	t = tcase_create("start");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, ready_comes_with_a_session_and_offers);
	tcase_add_test(t, planned_stop_is_quick_and_says_its_reason);
	tcase_add_test(t, stop_before_the_start_is_not_a_failure);
	tcase_add_test(t, agent_that_ignores_eof_and_term_is_killed);
	tcase_add_test(t, update_before_session_is_told_right_after_ready);
	tcase_add_loop_test(t, failed_start_names_its_cause, 0,
	    N(start_cases));
	tcase_add_loop_test(t, missing_login_says_how_to_log_in, 0,
	    N(auth_cases));
	tcase_add_loop_test(t, conversation_is_reopened_or_replaced, 0,
	    (int)(sizeof reopen_cases / sizeof reopen_cases[0]));
	tcase_add_test(t, spare_waits_for_whom_it_is_claimed);
	tcase_add_test(t, spare_that_gets_no_session_fails_by_start_timeout);
	tcase_add_test(t, spare_is_granted_nothing);
	tcase_add_test(t, spare_that_ends_has_failed);
	tcase_add_test(t, replay_that_comes_late_is_not_told);
	tcase_add_test(t, preface_is_a_block_of_its_own);
	tcase_add_test(t, frozen_agent_goes_on_when_it_is_prompted);
	tcase_add_test(t, frozen_agent_that_is_answered_is_told_to_be_awake);
	tcase_add_test(t, frozen_agent_that_is_given_up_is_not_frozen);
	tcase_add_test(t, text_that_is_not_acp_fails_the_start);
	tcase_add_test(t, noise_before_and_around_messages_is_skipped);
	tcase_add_test(t, missing_program_is_named_with_the_path);
	tcase_add_test(t, answers_may_be_fragmented_to_single_bytes);
	tcase_add_test(t, updates_before_the_session_are_bounded);
	suite_add_tcase(s, t);

	t = tcase_create("requests");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, capabilities_are_the_default_with_overrides);
	tcase_add_test(t,
	    terminals_are_not_offered_behind_a_launcher_with_the_command);
	tcase_add_test(t, files_are_served_only_when_offered);
	tcase_add_test(t, offered_files_are_served_below_the_folder_alone);
	tcase_add_loop_test(t, requests_are_answered_whatever_their_id, 0,
	    N(id_forms));
	tcase_add_test(t, strays_change_nothing);
	suite_add_tcase(s, t);

	t = tcase_create("updates");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, text_is_the_same_on_both_paths);
	tcase_add_test(t, text_that_jsonb_would_refuse_is_repaired);
	tcase_add_test(t, reasoning_is_not_text);
	tcase_add_test(t, empty_turn_is_marked);
	tcase_add_test(t, repeated_message_is_dropped);
	tcase_add_loop_test(t, text_is_kept_unless_it_is_all_of_the_message, 0,
	    N(kept_cases));
	tcase_add_test(t, updates_have_kinds);
	tcase_add_test(t, tool_state_is_merged_over_updates);
	tcase_add_test(t, update_of_another_session_is_unknown);
	tcase_add_test(t, updates_after_the_answer_are_told);
	tcase_add_test(t, chunk_that_is_no_text_is_kept_whole);
	tcase_add_test(t, line_of_40_mib_is_one_text);
	tcase_add_test(t, line_over_the_cap_ends_the_agent);
	suite_add_tcase(s, t);

	t = tcase_create("turns");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, answers_end_the_turn, 0, N(answer_cases));
	tcase_add_loop_test(t, usage_is_read_with_care, 0, N(usage_cases));
	tcase_add_test(t, next_prompt_may_come_from_within_the_end_of_the_last);
	tcase_add_test(t, second_answer_is_dropped);
	tcase_add_test(t, cancel_is_answered);
	tcase_add_test(t, abort_error_after_cancel_is_cancelled);
	tcase_add_test(t, second_cancel_comes_at_half_of_the_limit);
	tcase_add_test(t, cancel_that_is_never_answered_ends_the_agent);
	tcase_add_loop_test(t, session_is_closed_before_the_agent_is_ended,
	    0, 2);
	tcase_add_test(t, turn_timeout_cancels_and_names_itself);
	tcase_add_test(t, turn_timeout_kills_who_does_not_cancel);
	tcase_add_test(t, silence_cancels_and_names_itself);
	tcase_add_test(t, silence_kills_who_does_not_cancel);
	tcase_add_loop_test(t, who_speaks_or_uses_a_tool_is_not_silent, 0,
	    sizeof not_silent / sizeof *not_silent);
	tcase_add_test(t, silence_after_a_tool_is_silence);
	tcase_add_test(t, no_limit_of_silence_is_none);
	tcase_add_test(t, a_pause_is_no_silence);
	tcase_add_test(t, pause_stops_reading_and_the_turn_timer);
	tcase_add_test(t, paused_turn_keeps_what_was_left_of_its_time);
	suite_add_tcase(s, t);

	t = tcase_create("permissions");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, permission_is_asked_and_answered_once);
	tcase_add_test(t, expired_permission_is_rejected);
	tcase_add_test(t, who_waits_for_a_permission_is_not_silent);
	tcase_add_loop_test(t, policy_answers_at_once, 0, N(policy_cases));
	tcase_add_test(t, cancel_settles_open_permissions);
	tcase_add_test(t, two_parallel_permissions_are_told_apart);
	tcase_add_test(t, permission_during_cancel_is_cancelled);
	tcase_add_test(t, turn_end_settles_open_permissions_first);
	tcase_add_test(t, withdrawn_permission_is_settled);
	tcase_add_test(t, permission_with_death_is_settled);
	tcase_add_test(t, permission_may_be_answered_from_within);
	suite_add_tcase(s, t);

	t = tcase_create("death");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, exit_in_a_turn_names_code_and_stderr);
	tcase_add_test(t, signal_in_a_turn_is_named);
	tcase_add_test(t, last_line_needs_no_line_end);
	tcase_add_test(t, answer_before_death_counts);
	tcase_add_test(t, what_was_said_before_death_is_told_although_paused);
	tcase_add_test(t, agent_that_closes_its_stdout_is_killed);
	tcase_add_test(t, descendant_that_holds_the_pipes_delays_nothing);
	tcase_add_test(t, stop_in_a_turn_says_why);
	tcase_add_test(t, stop_from_within_a_callback_is_safe);
	tcase_add_test(t, gone_worker_may_be_freed_from_within);
	tcase_add_test(t, live_worker_may_be_freed);
	suite_add_tcase(s, t);

	t = tcase_create("pipes");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, stderr_flood_does_not_stop_the_turn);
	tcase_add_test(t, agent_that_does_not_read_is_still_read_from);
	tcase_add_test(t, answers_that_are_not_taken_are_bounded);
	tcase_add_test(t, agent_that_closes_its_stdin_is_killed);
	suite_add_tcase(s, t);
	return s;
}

static int
remove_one(const char *path, const struct stat *st, int type,
    struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

int
main(void)
{
	SRunner *sr;
	int failed;

	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(run_dir) == NULL) {
		perror(run_dir);
		return EXIT_FAILURE;
	}
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	sr = srunner_create(make_suite());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	nftw(run_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
