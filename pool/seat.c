/* SPDX-License-Identifier: MIT */
/* One seat: what is known of it, and what is asked of it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "pool/pool_private.h"

bool
seat_is_live(const struct seat *s)
{
	return s->bucket && !s->is_leaving &&
	    worker_state(s->worker) < WORKER_STOPPING;
}

bool
seat_is_idle(const struct seat *s)
{
	return !s->is_held && seat_is_ready(s) &&
	    !worker_has_terminals(s->worker);
}

void
seat_wake(struct seat *s)
{
	worker_thaw(s->worker);
	if (!s->is_hibernated)
		return;
	s->is_hibernated = false;
	s->pool->on_sleep(s->pool->ctx, s, false);
}

const char *
seat_session(const struct seat *s)
{
	return s->session;
}

const char *
seat_chat(const struct seat *s)
{
	return s->chat;
}

const char *
seat_agent(const struct seat *s)
{
	return s->agent;
}

const char *
seat_config_hash(const struct seat *s)
{
	return s->config_hash;
}

int64_t
seat_execution(const struct seat *s)
{
	return s->execution;
}

pid_t
seat_pid(const struct seat *s)
{
	return worker_pid(s->worker);
}

size_t
seat_keepers(const struct seat *s, pid_t *out, size_t max)
{
	return worker_keepers(s->worker, out, max);
}

int64_t
seat_first_prompt(const struct seat *s)
{
	return s->first_prompt;
}

int64_t
seat_last_turn(const struct seat *s)
{
	return s->last_turn;
}

bool
seat_is_spare(const struct seat *s)
{
	return *s->chat == '\0';
}

bool
seat_can_be_claimed(const struct seat *s)
{
	return seat_is_live(s) && worker_state(s->worker) == WORKER_SPARE;
}

int64_t
seat_memory(const struct seat *s)
{
	return s->tree.pss_kb;
}

bool
seat_is_ready(const struct seat *s)
{
	return seat_is_live(s) && worker_state(s->worker) == WORKER_IDLE;
}

bool
seat_has_prompt(const struct seat *s)
{
	enum worker_state state = worker_state(s->worker);

	return state == WORKER_PROMPTING || state == WORKER_CANCELLING;
}

bool
seat_has_failed(const struct seat *s)
{
	return s->has_failed;
}

bool
seat_is_fresh(const struct seat *s)
{
	return !s->first_prompt && s->is_for_turn;
}

const char *
seat_origin(const struct seat *s)
{
	return s->origin;
}

const char *
seat_lost_reason(const struct seat *s)
{
	return s->lost_reason;
}

const char *
seat_agent_session(const struct seat *s)
{
	return worker_session_id(s->worker);
}

int
seat_configure(struct seat *s, const struct agent_setting *setting,
    struct err *e)
{
	seat_wake(s);
	return worker_configure(s->worker, setting, e);
}

/* As the kernel says when a process has begun. */
static int64_t
boot_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
seat_prompt(struct seat *s, int64_t turn, const char *preface,
    const char *blocks)
{
	if (!s->first_prompt)
		s->first_prompt = boot_ms();
	s->last_turn = turn;
	free(s->lost_reason);
	s->lost_reason = NULL;
	seat_touch(s);
	worker_prompt(s->worker, turn, preface, blocks);
}

void
seat_touch(struct seat *s)
{
	seat_wake(s);
	s->last_used = clock_ms();
	list_remove(&s->in_use_order);
	list_append(&s->pool->by_use, &s->in_use_order);
	limits_used(s->pool->limits, &s->tree);
}

void
seat_cancel(struct seat *s)
{
	worker_cancel(s->worker);
}

int
seat_answer_permission(struct seat *s, int64_t serial, const char *option_id,
    struct err *e)
{
	return worker_answer_permission(s->worker, serial, option_id, e);
}

void
seat_expire_permission(struct seat *s, int64_t serial)
{
	worker_expire_permission(s->worker, serial);
}

void
seat_hold(struct seat *s, bool is_held)
{
	s->is_held = is_held;
	if (is_held)
		seat_wake(s);
}

void
seat_stop(struct seat *s, const char *reason)
{
	if (s->is_leaving)
		return;
	s->is_leaving = true;
	limits_leave(s->pool->limits, &s->tree);
	worker_stop(s->worker, reason);
}

int
seat_suspend(struct seat *s, struct err *e)
{
	if (seat_has_prompt(s) || s->is_held)
		return fail(e, "the agent has a turn");
	if (!seat_is_ready(s))
		return fail(e, "the agent is being started");
	if (!seat_is_idle(s))
		return fail(e, "commands that the agent has in terminals are "
		    "still running");
	if (!s->is_hibernated)
		limits_ask_sleep(s->pool->limits, &s->tree);
	return 0;
}
