/* SPDX-License-Identifier: MIT */
/*
 * Decides: takes turns from the queue, gives them to the pool, and records
 * what comes back. The life of a turn is in supervisor/turn.c, claiming in
 * supervisor/session.c, what agents say in supervisor/agent.c, what users ask
 * for in supervisor/command.c. Who starts and stops all this is
 * supervisor/node.c.
 *
 * Must never know: libpq, JSON text, fork, git.
 */
#ifndef HEARTH_SUPERVISOR_H
#define HEARTH_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct ev_loop;
struct options;
struct pool_counts;
struct queued_turn;
struct supervisor;

/* opt and db are borrowed and outlive it; db need not be up yet. */
struct supervisor *supervisor_new(struct ev_loop *loop,
    const struct options *opt, struct db *db);
void supervisor_free(struct supervisor **sup);
/* After SIGHUP: limits and timeouts, for what starts from now on. */
void supervisor_configure(struct supervisor *sup, const struct options *opt);

/* The database's callbacks (sql/db.h), passed on. */
void supervisor_up(struct supervisor *sup);
void supervisor_down(struct supervisor *sup);
void supervisor_work(struct supervisor *sup, const struct queued_turn *q);
void supervisor_typing(struct supervisor *sup, const char *session,
    const char *chat, const char *agent);
void supervisor_commands(struct supervisor *sup);
void supervisor_rules(struct supervisor *sup);
void supervisor_agents(struct supervisor *sup);
void supervisor_fenced(struct supervisor *sup, const char *session);
void supervisor_pressure(struct supervisor *sup, bool full);
void supervisor_chat_pressure(struct supervisor *sup, const char *session,
    const char *chat, bool full);

/*
 * Takes no new turns. on_quiet runs once, when no turn is left (not from
 * within this call); supervisor_interrupt() then makes that happen soon.
 */
void supervisor_drain(struct supervisor *sup, void (*on_quiet)(void *ctx),
    void *ctx);
/* Ends the turns that still run as `interrupted`. */
void supervisor_interrupt(struct supervisor *sup, const char *why);
/*
 * Stops every child; on_empty runs once, when nothing of them is left. Called
 * again, it kills.
 */
void supervisor_stop(struct supervisor *sup, void (*on_empty)(void *ctx),
    void *ctx);

struct pool_counts supervisor_children(const struct supervisor *sup);
int supervisor_turns(const struct supervisor *sup);

#endif
