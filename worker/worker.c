/* SPDX-License-Identifier: MIT */
/*
 * The life of a worker: its states, its start, its stop and its end.
 *
 * worker_set_state() is the only place that writes the state; what a state
 * implies (which deadline runs: deadlines.c) is begun and ended there. The
 * process's exit moves to ENDED before what it still said is read, so that no
 * callback takes a dead agent for one that can be prompted.
 *
 * Must never know: what the messages mean. Next: io.c, then rpc.c.
 */
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "worker/worker_private.h"

#define GRACE_SECONDS 0.5
#define STDERR_KEPT 8192 /* of its tail, in AGENT_ENDED */
#define LADDER "wait:500 TERM:1500"

static const char *const names[] = {
#define STATE(name, meaning) #name,
#define EDGE(from, to)
#include "worker/worker_state.def"
#undef STATE
#undef EDGE
};

static const bool edges[WORKER_STATES][WORKER_STATES] = {
#define STATE(name, meaning)
#define EDGE(from, to) [WORKER_##from][WORKER_##to] = true,
#include "worker/worker_state.def"
#undef STATE
#undef EDGE
};

void
worker_set_state(struct worker *w, enum worker_state s)
{
	MUST(edges[w->state][s]);
	log_debug(w->label, "%s -> %s", names[w->state], names[s]);
	w->state = s;
	deadlines_sync(w);
	if (!worker_is_live(w)) {
		ev_timer_stop(w->loop, &w->grace);
		ev_timer_stop(w->loop, &w->quiet);
	}
}

void
worker_tell(struct worker *w, const struct agent_event *ev)
{
	gather_release(w);
	w->on_event(w->ctx, w, ev);
}

void
worker_kick(struct worker *w)
{
	ev_feed_event(w->loop, &w->kick, EV_CUSTOM);
}

static void
on_kick(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct worker *w = t->data;
	bool was_woken = w->was_woken && worker_is_live(w) &&
	    !w->is_frozen;

	(void)loop;
	(void)revents;
	w->was_woken = false;
	if (was_woken)
		worker_tell(w, &(struct agent_event){ .type = AGENT_WOKEN });
	ask_tell_settled(w);
}

static void
on_quiet(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	attach_on_quiet(t->data);
}

/* The child is on its way out; events are the caller's. */
static void
end_child(struct worker *w, const char *reason, bool at_once)
{
	w->end_reason = xstrdup(reason);
	ask_cancel_all(w);
	worker_set_state(w, WORKER_STOPPING);
	/* a stop lets it go on */
	w->is_frozen = false;
	io_close_stdin(w);
	terminals_close(w->terminals, at_once);
	if (at_once)
		child_kill(w->child);
	else
		child_stop(w->child);
}

static void
tell_failed(struct worker *w, const char *code, const char *error)
{
	w->has_failed = true;
	/* Whatever kept it from reopening its conversation, or from what was
	 * set, it may do so at the next start, too: the owner must know. */
	if (w->is_reopening && strcmp(code, "auth_required") != 0)
		code = w->may_replace ? "session_lost" : "resume_failed";
	else if (configure_is_for_earlier(w))
		code = "settings_failed";
	worker_tell(w, &(struct agent_event){
		.type = AGENT_FAILED,
		.failed = { .error_code = code, .error = error },
	});
}

void
worker_give_up(struct worker *w, const char *code, const char *reason,
    const char *error, bool at_once)
{
	bool was_starting = w->state <= WORKER_CONFIGURING;

	if (!worker_is_live(w))
		return;
	log_warning(w->label, "%s: %s", code, error);
	end_child(w, reason, at_once);
	if (was_starting)
		tell_failed(w, code, error);
	else if (w->turn.is_open)
		prompt_fail(w, code, error);
	ask_tell_settled(w);
}

static void
on_grace(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct worker *w = t->data;
	char *cause = words_cause(w, -1, NULL);
	char *error = xasprintf("the agent %s but did not exit%s",
	    w->grace_reason, cause);

	(void)loop;
	(void)revents;
	worker_give_up(w, "agent_crashed", w->grace_reason, error, true);
	free(error);
	free(cause);
}

void
worker_expect_exit(struct worker *w, const char *reason)
{
	if (!worker_is_live(w) || ev_is_active(&w->grace))
		return;
	w->grace_reason = reason;
	ev_now_update(w->loop);
	ev_timer_set(&w->grace, GRACE_SECONDS, 0.);
	ev_timer_start(w->loop, &w->grace);
}

static void
on_started(struct child *c, void *ctx, pid_t pid)
{
	struct worker *w = ctx;

	(void)c;
	if (w->state != WORKER_STARTING)
		return;
	worker_set_state(w, WORKER_INITIALIZING);
	handshake_initialize(w);
	worker_tell(w, &(struct agent_event){
		.type = AGENT_SPAWNED,
		.spawned = { .pid = pid,
			.spawn_ms = clock_ms() - w->spawn_at },
	});
}

/* What an end that nobody planned means for whoever waits. */
static void
tell_crash(struct worker *w, const struct child_exit *x, const char *how,
    bool was_starting)
{
	const char *step = x->exec_step != NULL ? x->exec_step : "exec";
	const char *code = "agent_crashed";
	const char *when = !w->is_ready ? " before it was ready" :
	    was_starting ? " when its settings were made" : "";
	char *error, *cause = words_cause(w,
	    x->term_signal != 0 ? -1 : x->exit_code, NULL);

	if (x->exec_errno != 0) {
		error = xstrdup(how);
		code = strcmp(step, "exec") == 0 ? "agent_missing"
		    : "agent_error";
	} else if (w->was_planned) {
		error = xasprintf("the agent was stopped: %s", w->end_reason);
	} else if (x->term_signal != 0) {
		error = xasprintf("agent was killed by %s%s%s", how, when,
		    cause);
	} else {
		error = xasprintf("agent exited with code %d%s%s",
		    x->exit_code, when, cause);
	}
	if (w->turn.is_open)
		prompt_fail(w, code, error);
	else if (was_starting && !w->has_failed && !w->was_planned)
		tell_failed(w, code, error);
	free(error);
	free(cause);
}

static void
tell_ended(struct worker *w, const struct child_exit *x, const char *how)
{
	char *tail = words_stderr_tail(w, STDERR_KEPT);

	worker_tell(w, &(struct agent_event){
		.type = AGENT_ENDED,
		.ended = {
			.exit_code = x->exit_code,
			.term_signal = x->term_signal,
			.was_planned = w->was_planned,
			.end_reason = w->end_reason != NULL ? w->end_reason
			    : how,
			.stderr_tail = tail,
			.peak_rss_kb = x->peak_rss_kb,
		},
	});
	free(tail);
}

static void
on_exited(struct child *c, void *ctx, const struct child_exit *x)
{
	struct worker *w = ctx;
	char *how = x->exec_errno != 0 ? words_missing(w, x) : words_exit(x);
	bool was_starting = w->state <= WORKER_CONFIGURING;

	(void)c;
	worker_set_state(w, WORKER_ENDED);
	terminals_close(w->terminals, true);
	io_drain(w);
	ask_cancel_all(w);
	if (w->end_reason == NULL)
		log_warning(w->label, "ended by itself: %s", how);
	else
		log_info(w->label, "ended: %s (%s)", w->end_reason, how);
	tell_crash(w, x, how, was_starting);
	ask_tell_settled(w);
	tell_ended(w, x, how);
	free(how);
}

void
worker_check_gone(struct worker *w)
{
	if (!w->is_child_gone || terminals_alive(w->terminals) > 0)
		return;
	worker_set_state(w, WORKER_GONE);
	/* The callback may free it: nothing comes after this. */
	worker_tell(w, &(struct agent_event){ .type = AGENT_GONE });
}

static void
on_gone(struct child *c, void *ctx)
{
	struct worker *w = ctx;

	(void)c;
	w->is_child_gone = true;
	worker_check_gone(w);
}

static const struct child_callbacks child_callbacks = {
	.started = on_started,
	.exited = on_exited,
	.gone = on_gone,
};

static char *
find_path(char *const *envp)
{
	for (; envp != NULL && *envp != NULL; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return xstrdup(*envp + 5);
	return NULL;
}

static void
init_timers(struct worker *w)
{
	deadlines_init(w);
	ev_init(&w->grace, on_grace);
	ev_init(&w->quiet, on_quiet);
	ev_init(&w->kick, on_kick);
	w->grace.data = w;
	w->quiet.data = w;
	w->kick.data = w;
}

/* Whose it is, and where. */
static void
take_place(struct worker *w, const struct worker_spec *spec)
{
	free(w->label);
	free(w->cwd);
	free(w->real_cwd);
	free(w->known_session);
	free(w->tenant);
	free(w->agent);
	w->label = xasprintf("worker %lld %s", (long long)w->serial,
	    spec->name);
	w->cwd = xstrdup(spec->cwd);
	w->real_cwd = realpath(spec->cwd, NULL);
	w->known_session = xstrdup(spec->known_session);
	w->may_replace = spec->may_replace;
	w->tenant = xstrdup(spec->scope.tenant);
	w->agent = xstrdup(spec->scope.agent);
	w->project_id = spec->scope.project_id;
	configure_want(w, spec->wanted);
}

static struct worker *
new_worker(struct ev_loop *loop, const struct worker_spec *spec)
{
	struct worker *w = xcalloc(1, sizeof *w);

	w->serial = spec->serial;
	w->is_spare = spec->is_spare;
	w->gathers = spec->gathers;
	w->argv = strv_copy(spec->argv);
	w->path = find_path(spec->envp);
	w->capabilities = xstrdup(spec->client_capabilities);
	w->mcp_servers = xstrdup(spec->mcp_servers);
	w->permission_mode = spec->permission_mode;
	w->start_timeout = spec->start_timeout;
	w->turn_timeout = spec->turn_timeout;
	w->cancel_timeout = spec->cancel_timeout;
	w->silence_timeout = spec->silence_timeout;
	w->secrets = secrets_new(spec->secret_env, spec->mcp_servers);
	w->rules = spec->rules;
	w->loop = loop;
	w->state = WORKER_STARTING;
	w->tools = tool_calls_new();
	update_init(w);
	gather_init(w);
	list_init(&w->early);
	list_init(&w->wishes);
	list_init(&w->asks);
	take_place(w, spec);
	terminal_init(w, spec);
	init_timers(w);
	io_init(w);
	return w;
}

int
worker_start(struct ev_loop *loop, const struct worker_spec *spec,
    worker_event_fn *on_event, void *ctx, struct worker **out,
    struct err *e)
{
	struct worker *w = new_worker(loop, spec);
	struct child_spec child = {
		.label = w->label,
		.argv = spec->argv,
		.envp = spec->envp,
		.cwd = spec->cwd,
		.ladder = LADDER,
		.pass_fd = -1,
		.stdin_fd = -1,
		.has_cgroup = true,
	};

	w->on_event = on_event;
	w->ctx = ctx;
	w->spawn_at = w->wanted_at = w->last_active = clock_ms();
	if (child_start(loop, &child, &child_callbacks, w, &w->child, e) < 0) {
		worker_free(&w);
		return -1;
	}
	io_open(w);
	deadlines_sync(w);
	*out = w;
	return 0;
}

void
worker_claim(struct worker *w, const struct worker_spec *spec)
{
	MUST(w->state == WORKER_SPARE);
	w->is_spare = false;
	w->wanted_at = clock_ms();
	take_place(w, spec);
	terminals_move(w->terminals, w->label, w->cwd);
	attach_begin(w);
}

enum worker_state
worker_state(const struct worker *w)
{
	return w->state;
}

const char *
worker_state_name(enum worker_state s)
{
	MUST(s < WORKER_STATES);
	return names[s];
}

int64_t
worker_serial(const struct worker *w)
{
	return w->serial;
}

const char *
worker_session_id(const struct worker *w)
{
	return w->session_id;
}

pid_t
worker_pid(const struct worker *w)
{
	return child_pid(w->child);
}

int64_t
worker_last_active(const struct worker *w)
{
	return w->last_active;
}

bool
worker_has_terminals(const struct worker *w)
{
	return terminals_alive(w->terminals) > 0;
}

size_t
worker_keepers(const struct worker *w, pid_t *out, size_t max)
{
	pid_t own = child_keeper(w->child);
	size_t n = 0;

	if (own > 0 && max > 0)
		out[n++] = own;
	return n + terminals_keepers(w->terminals, out + n, max - n);
}

/* The time of a pause is none of the agent's silence. */
static void
note_pause(struct worker *w)
{
	int64_t now = clock_ms(), since = w->last_active;

	if (w->is_paused) {
		w->paused_at = now;
		return;
	}
	if (w->excused_until > since)
		since = w->excused_until;
	/* What was excused while paused leaves nothing to add. */
	if (since > w->paused_at)
		since = w->paused_at;
	w->excused_until = since + (now - w->paused_at);
}

void
worker_pause(struct worker *w, bool paused)
{
	if (w->is_paused == paused)
		return;
	w->is_paused = paused;
	deadlines_freeze(w, paused);
	note_pause(w);
	io_pause(w);
}

void
worker_freeze(struct worker *w)
{
	MUST(w->state == WORKER_IDLE && !worker_has_terminals(w));
	log_debug(w->label, "frozen");
	w->is_frozen = true;
	child_freeze(w->child);
}

void
worker_thaw(struct worker *w)
{
	if (!w->is_frozen)
		return;
	log_debug(w->label, "thawed");
	w->is_frozen = false;
	child_thaw(w->child);
}

bool
worker_is_frozen(const struct worker *w)
{
	return w->is_frozen;
}

void
worker_stop(struct worker *w, const char *reason)
{
	if (!worker_is_live(w))
		return;
	w->was_planned = true;
	end_child(w, reason, false);
}

void
worker_kill(struct worker *w, const char *reason)
{
	if (worker_is_live(w)) {
		w->was_planned = true;
		end_child(w, reason, true);
	} else if (w->state == WORKER_STOPPING) {
		terminals_close(w->terminals, true);
		child_kill(w->child);
	}
}

void
worker_free(struct worker **wp)
{
	struct worker *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	deadlines_free(w);
	ev_timer_stop(w->loop, &w->grace);
	ev_timer_stop(w->loop, &w->quiet);
	ev_clear_pending(w->loop, &w->kick);
	io_free(w);
	ask_free(w);
	terminal_free(w);
	handshake_free(w);
	attach_free(w);
	configure_free(w);
	gather_free(w);
	tool_calls_free(&w->tools);
	findings_free(&w->findings);
	buf_free(&w->text);
	buf_free(&w->message_id);
	child_free(&w->child);
	strv_free(&w->argv);
	free(w->path);
	free(w->cwd);
	free(w->capabilities);
	free(w->mcp_servers);
	free(w->end_reason);
	free(w->first_noise);
	secrets_free(&w->secrets);
	free(w->label);
	free(w->tenant);
	free(w->agent);
	free(w->real_cwd);
	free(w);
}
