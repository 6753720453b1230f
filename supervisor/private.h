/* SPDX-License-Identifier: MIT */
/*
 * What the files of the supervisor share: its objects and who owns them.
 *
 *   supervisor ─owns─► session ─owns─► chat (its event log)
 *                         ├──owns──► turn (claimed, not ended)
 *                         ├──owns──► working copy
 *                         └──borrows─► task (waits for the copy)
 *
 * Callbacks from other rooms carry ids, never pointers to these; an object
 * that such a callback still needs (`waits`) is not freed before it.
 */
#ifndef HEARTH_SUPERVISOR_PRIVATE_H
#define HEARTH_SUPERVISOR_PRIVATE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "pool/pool.h"
#include "sql/db.h"
#include "sql/recorder.h"
#include "supervisor/supervisor.h"
#include "workspace/survey.h"
#include "workspace/workspace.h"

enum turn_state {
#define STATE(name, word, meaning) TURN_##name,
#define EDGE(from, to)
#include "supervisor/turn_state.def"
#undef STATE
#undef EDGE
	TURN_STATES
};

struct supervisor {
	struct ev_loop *loop;
	struct db *db;
	struct recorder *recorder;
	struct pool *pool;
	struct workspace *workspace;
	int64_t permission_timeout; /* milliseconds, as setup_timeout is */
	int64_t setup_timeout;
	struct snapshots *snapshots;
	const char *state_dir;      /* the options' */
	struct map sessions;        /* uuid -> struct session */
	struct map typed;           /* chat/agent: asked for since the last poll */
	struct list for_room;       /* turns that wait for room in the pool */
	bool is_room_freed;         /* since they were looked at */
	int turns;                  /* claimed, their end not queued yet */
	int tasks;                  /* begun, not ended */
	bool is_up;
	bool is_draining;
	bool is_asking;             /* for waiting sessions */
	bool ask_again;
	bool is_taking;             /* commands */
	bool take_again;
	int rules_asked;            /* readings of the permission rules under
	                             * way */
	bool rules_again;           /* another must follow */
	struct list spares;         /* struct spare_wish: by agent */
	bool is_asking_spares;
	bool ask_spares_again;
	bool is_sweeping;           /* for sessions that are leaving */
	bool sweep_again;
	struct leaving_limits limits; /* the options' */
	struct measuring *measuring; /* a working copy, or NULL */
	bool is_asking_unmeasured;
	bool is_measuring_due;      /* a tree was taken since the last look */
	const char *interrupted;    /* why turns that end now were cut off */
	struct ev_timer poll;       /* waiting sessions, should a hint be lost */
	struct ev_prepare prepare;  /* before the loop sleeps: room? quiet? empty? */
	void (*on_quiet)(void *ctx);
	void (*on_empty)(void *ctx);
	void *ctx;
};

/* What the one operation on a working copy at a time is done for. */
enum copy_work {
	COPY_IDLE, COPY_MAKING, COPY_TREE_BEFORE, COPY_TREE_AFTER,
	COPY_TASK, COPY_REMOVING
};

struct session {
	struct supervisor *sup;
	char *id;
	struct list chats, turns, warmings;
	struct list wishes;         /* commands that wait for an agent */
	struct list tasks;          /* work on the copy that is no turn's */
	struct chat_log *log;       /* what is the session's and of no chat: no
	                             * events */
	struct working_copy *copy;  /* NULL until the first turn needs it */
	bool is_asking_copy;        /* what it is made of */
	bool is_copy_made;
	enum copy_work copy_work;
	struct turn *copy_turn;     /* the turn that it is done for; NULL: none */
	struct list suspects;       /* who may have changed files since the
	                             * last tree: supervisor/whose.c */
	bool is_recalled;           /* those of an earlier life are in it */
	struct left_tree *left_trees; /* that the tree being taken looks for */
	size_t n_left_trees;
	bool wants_claim;           /* there may be a turn to claim */
	int64_t hinted;             /* … this one, as far as is known, of a warm
	                             * seat; 0: who knows which */
	char *hinted_chat, *hinted_agent;
	int64_t passed_over;        /* clock_ms() when the full claim found only
	                             * turns that could not start; 0 not so */
	bool is_claiming;
	bool is_ephemeral;          /* ends with its last turn */
	bool is_retiring;           /* something of it is being taken away:
	                             * nothing begins in it until that is
	                             * recorded */
	enum leaving leaving;       /* what */
	char *left_chat, *left_saved, *left_reason; /* see left_session */
	bool is_copy_removed;       /* then */
	bool is_lost;               /* another node has it: record nothing */
	struct list late_commands;  /* about turns that a claim under way may
	                             * bring, or behind such */
	unsigned n_ending;          /* queued turns whose end, and resets that
	                             * are not durable yet: a claim would find
	                             * what was before */
};

/*
 * Work on a session's working copy without a turn; part of a struct of its
 * owner, who keeps it until task_end() or drop().
 */
struct task {
	struct list in_session;
	struct session *session;    /* from task_add() on */
	bool needs_made;            /* the copy is made first, if it is not
	                             * there; else it may not be there */
	bool is_begun;
	/*
	 * Its time has come: session->copy is known, and nobody else is at work
	 * in it. It ends with task_end(), in this call or later.
	 */
	void (*begin)(struct task *t);
	/*
	 * It will not be done (any more): code and why as a command has them.
	 * code NULL: hearthd ends, nothing is to be recorded; also after
	 * begin(), whose callbacks do not come any more then.
	 */
	void (*drop)(struct task *t, const char *code, const char *why);
};

struct chat {
	struct list in_session;
	struct session *session;
	char *id;
	struct chat_log *log;
	int64_t last_turn;          /* ended last; late updates belong to it */
	int64_t late_tools;         /* first turn that a tool call was opened
	                             * for when it was over; 0: none */
};

/* A permission that nobody has answered yet. */
struct ask {
	struct list in_turn;
	struct turn *turn;
	int64_t serial;
	char *answered_by;          /* told later, when it is settled */
	struct ev_timer expiry;
};

/* How the agent ended the turn, kept while it settles. */
struct outcome {
	char *stop_reason;
	char *error_code;
	char *error;
	bool was_empty;
	bool used_tool;
	bool mixes_up_next;
	int64_t input_tokens, output_tokens;
};

/* How an agent is launched in a chat, should it be necessary; all owned. */
struct launch {
	char **command, **env;
	size_t launcher_words;      /* of command */
	char *project;              /* its folder */
	char *mcp_servers, *client_capabilities, *permission_mode, *config_hash;
	char *known_session;        /* to be reopened by a new child */
	bool may_replace;
	char *wanted;               /* settings of earlier children */
	int64_t idle_timeout;
	int64_t project_id;         /* which permission rules hold */
	char *tenant;
};

/* Commands, each once. */
struct asked {
	int64_t *commands;
	size_t n;
};

/* A child that is started ahead of any turn, until it is ready. */
struct warming {
	struct list in_session;
	struct session *session;
	char *chat_id, *agent;
	struct chat *chat;          /* NULL: it is being asked what it takes */
	struct launch launch;
	int64_t execution;
	bool is_closed;             /* by a user, while it was being asked */
	bool is_announced;          /* the agent session says "warming" */
	bool is_started;            /* a child has its execution */
	struct asked asked;         /* for it, answered at its end */
};

struct turn {
	struct list in_session;
	struct list for_room;       /* in supervisor.for_room, or not */
	struct session *session;
	struct chat *chat;
	int64_t id;
	enum turn_state state;
	bool is_exclusive;
	char *agent;
	char *prompt, *created_by, *model, *mode_id;
	struct launch launch;
	int64_t execution;          /* of the seat, or for a new one */
	bool is_execution_spent;    /* a child has had it */
	bool is_recorded_running;
	bool is_tree_taken;         /* before the prompt */
	char *preface;              /* what its agent has lost, or NULL */
	bool is_history_read;
	bool is_configuring;        /* its agent is asked for model and mode */
	bool is_configured;         /* … and has them */
	bool is_requeued;           /* its end: not started, queued again */
	int waits;                  /* callbacks that will come back to it */
	bool closes_seat;           /* its child is stopped when it has ended */
	bool ends_child;            /* as that of each turn of its agent is */
	bool is_cancelled;
	char *cancelled_by, *cancel_reason;
	struct asked cancels;       /* answered when its end is durable */
	struct list asks;
	struct outcome outcome;
	int64_t project_id;         /* with a command */
	char *tenant;
};

/* supervisor/session.c */
struct session *session_find(struct supervisor *sup, const char *id);
struct session *session_get(struct supervisor *sup, const char *id);
struct chat *session_chat(struct session *s, const char *chat,
    int64_t last_seq);
struct chat *session_find_chat(struct session *s, const char *chat);
/* The one that has not ended: a next one may be claimed while the end of the
 * one before is still on its way. */
struct turn *session_find_turn(struct session *s, const char *chat,
    const char *agent);
struct turn *session_turn_by_id(struct session *s, int64_t id);
/* There may be a turn to claim: asks now or as soon as it can. */
void session_claim(struct session *s);
/* The same for a turn that was just queued: the short way, if it is warm. */
void session_hint(struct session *s, const struct queued_turn *q);
/* Frees what nothing needs any more: chats, the session itself. */
void session_tidy(struct session *s);
/* Another node has it: stops its children, forgets its turns. */
void session_lose(struct session *s);
void session_free(struct session *s);

/* supervisor/launch.c: from a registry entry to a child in its seat */
void launch_fill(struct launch *l, const struct claimed_turn *c);
/* The conversation, and what was set: it begins anew. */
void launch_forget(struct launch *l);
void launch_clear(struct launch *l);
/* There is no live seat for the pair, and the working copy is made. A spare
 * is claimed, or a child started. */
struct seat *launch_start(const struct launch *l, struct chat *chat,
    const char *agent, int64_t execution, const char *origin,
    struct err *e);

/* A child of no chat, initialized and then waiting. */
struct seat *launch_spare(struct supervisor *sup, const struct spare_row *row,
    struct err *e);

/* supervisor/spare.c: children ahead of chats */
/* Reads how many spares are wanted of which agent, and makes it so. */
void spares_load(struct supervisor *sup);
/* There may be room for one that is missing, or time to try again. */
void spares_look(struct supervisor *sup);
/* One of the agent was claimed. */
void spares_claimed(struct supervisor *sup, const char *agent);
void spare_on_event(struct supervisor *sup, struct seat *seat,
    const struct agent_event *ev);
void spare_on_memory(struct supervisor *sup, struct seat *seat,
    int64_t pss_kb);
void spares_stop(struct supervisor *sup);
void spares_free(struct supervisor *sup);

/* supervisor/warm.c: children ahead of turns */
/* command: to be answered when the child is ready or cannot be; 0: none. */
void warm_ask(struct session *s, const char *chat, const char *agent,
    int64_t command);
/* Somebody is about to prompt it. */
void warm_typing(struct supervisor *sup, const char *session,
    const char *chat, const char *agent);
/* The next step of those that can do one. */
void warm_advance_all(struct session *s);
/* The pair's child is ready (code NULL), or will not be. */
void warm_settle(struct session *s, const char *chat, const char *agent,
    const char *code, const char *why);
bool warm_is_under_way(struct session *s, const char *chat,
    const char *agent);
/* A user closes those of the chat (NULL: all) and the agent (NULL: all). */
void warm_close(struct session *s, const char *chat, const char *agent);
void warm_forget_all(struct session *s);

/* supervisor/copy.c: the session's working copy, one operation at a time */
/* Where it lies, when that is not known yet. */
void copy_prepare(struct session *s, const struct claimed_turn *c);
/* The same as copy_is_ready() for what is no turn; warm_advance_all()
 * follows. */
bool copy_is_ready_for(struct session *s);
/* Makes it, for whoever needs it. */
void copy_make(struct session *s);
/* Nothing moved since the last tree, and nobody is about to. */
bool copy_is_clean(struct session *s);
/* Others may have waited for it. */
void copy_wake(struct session *s);
/* Both return true when it is there / its tree is taken; else they begin or
 * wait, and turn_advance() follows. */
bool copy_is_ready(struct turn *t);
/* It does not wait for the copy any more, which is made nevertheless: a setup
 * command may take long. */
void copy_leave(struct turn *t);
bool copy_tree_before(struct turn *t);
/* Takes the tree if the turn may have changed something; then turn_finish().
 */
void copy_tree_after(struct turn *t);
struct change_row copy_change_row(const struct file_change *change);
/* turn 0: nobody's turn; agent NULL: a person did it; other_turns: "{7,9}",
 * whose it may be, too, or NULL. */
void copy_record_changes(struct chat *chat, int64_t turn, const char *agent,
    const char *other_turns, const struct file_change *changes, size_t n);

/* supervisor/setup.c: the setup command in a new working copy */
/*
 * The copy was made for t (or, NULL, for warmings), or could not be: records
 * what became of its setup command, if one ran. When that is why it could not
 * be, *code and *why, which is freed, are replaced.
 */
void setup_note(struct session *s, struct turn *t, const char **code,
    char **why);
/* What is to be said of one that failed, freed by the caller; NULL: it did
 * not. argv: the command; limit: setup_timeout. */
char *setup_words(const struct setup_outcome *o, char *const *argv,
    int64_t limit);

/* supervisor/snapshot.c: worktrees that are prepared for new sessions */
struct snapshots *snapshots_new(struct supervisor *sup, int64_t interval);
void snapshots_configure(struct snapshots *sn, int64_t interval);
void snapshots_free(struct snapshots **sn);
/* Looks, now or as soon as it can, whether there are as many as are wanted. */
void snapshots_look(struct snapshots *sn);
/* The session's working copy was one of them. */
void snapshot_claimed(struct session *s);

/* supervisor/task.c: work on the working copy that is no turn's */
/* May begin within this call. t->session is set here. */
void task_add(struct session *s, struct task *t);
/* After begin(); then t is the owner's to free. */
void task_end(struct task *t);
/* It could not be done for want of the database: begins anew, when that is back
 * or after a while. */
void task_put_off(struct task *t);
/* Begins the next one, if it can. */
void task_advance(struct session *s);
/* Those that have not begun; code NULL: all of them. */
void task_drop_all(struct session *s, const char *code, const char *why);
/* Of those that have not begun, the ones that need a copy that cannot be made. */
void task_drop_unmade(struct session *s, const char *code, const char *why);

/* supervisor/decide.c */
/* accept_change and the like, queue_create and the like. */
void decide_take(struct supervisor *sup, const struct command *c);

/* supervisor/left.c: processes that turns have left running */
/* The tree that is about to be taken looks for them. */
void left_look(struct session *s);
/* It has: those that live are suspected, and no others any more. */
void left_found(struct session *s);
void left_forget(struct session *s);

/* supervisor/whose.c: whose a change is that the next tree shows */
enum suspicion {
	SUSPECT_AT_WORK,            /* the turn is under way, or was cut off */
	SUSPECT_LATE,               /* its agent went on: what it did since is
	                             * no turn's */
	SUSPECT_LEFT,               /* likewise processes that it has started;
	                             * or a person did it */
};
struct suspect {
	struct list in_session;
	struct chat *chat;          /* whose log has its changes; NULL: of an
	                             * earlier life, the finder's has them */
	int64_t turn;
	char *agent;
	enum suspicion how;
};
/* From now on; once for each turn is enough. */
void whose_add(struct session *s, struct chat *chat, int64_t turn,
    const char *agent, enum suspicion how);
/* Nothing that turns have left running is suspected any more. */
void whose_drop_left(struct session *s);
/* The turns that a crash cut off, as struct claimed_turn has them. */
void whose_recall(struct session *s, const char *unread);
/* What a tree shows, in the name of ending (the turn whose end found it, or
 * NULL), else of who came first. finder: the chat that the tree was taken for,
 * which has what nobody did but a person. */
void whose_record(struct session *s, struct chat *finder,
    const struct turn *ending, const struct file_change *changes, size_t n);
/* A tree has told what they did; who is still at work stays, but for ending
 * (NULL: none), and so does what was left running. */
void whose_told(struct session *s, const struct turn *ending);
/* The chat's rows go: what its agents did is told elsewhere, as no turn's. */
void whose_forget_chat(struct session *s, const char *chat);
void whose_forget(struct session *s);

/* supervisor/retire.c: what is taken away of sessions */
/* Looks for those. */
void retire_sweep(struct supervisor *sup);
/* A child of it is gone. */
void retire_advance(struct session *s);

/* supervisor/measure.c: what working copies are like */
/* Measures those that were used since. */
void measure_look(struct supervisor *sup);
void measure_end(struct supervisor *sup);

/* supervisor/archive.c: commands about sessions */
void archive_take(struct supervisor *sup, const struct command *c);
void archive_restore(struct supervisor *sup, const struct command *c);
void archive_delete(struct supervisor *sup, const struct command *c);

/* supervisor/turn.c */
void turn_begin(struct session *s, const struct claimed_turn *c);
/* Does the next step of a starting turn, if it can be done now. */
void turn_advance(struct turn *t);
/* True: the command is answered when the turn's end is durable, for a crash
 * before that would have it run again. False: it has ended, or is about to. */
bool turn_cancel(struct turn *t, int64_t command, const char *by,
    const char *reason);
/* It was never delivered and ends so. */
void turn_fail(struct turn *t, const char *code, const char *error);
/* Not started, and not by its own fault: it goes back to the queue, and is not
 * claimed for so many milliseconds; if it is cancelled, it ends. */
void turn_requeue(struct turn *t, const char *why, int64_t not_before);
/* The agent is done with it. */
void turn_settle(struct turn *t, const struct agent_event *ev);
/* Its last step; changes: what the tree after it shows. */
void turn_finish(struct turn *t, const struct file_change *changes,
    size_t n);
void turn_asks(struct turn *t, int64_t serial);
struct ask *turn_find_ask(struct turn *t, int64_t serial);
void turn_answered(struct turn *t, int64_t serial);
void turn_forget(struct turn *t);
/* Those that wait for room in the pool, first come first served. */
void turns_take_room(struct supervisor *sup);
const char *turn_name(const struct turn *t); /* for log lines; static */

/* supervisor/history.c */
/* How a new child came to its conversation, for who reads the chat. */
void history_note(struct chat *chat, int64_t turn, const char *agent,
    const struct agent_event *ready);
/* True when the agent knows what was said before, or t->preface will tell it;
 * else it is being read, and turn_advance() follows. */
bool history_is_ready(struct turn *t, const struct seat *seat);

/* supervisor/wish.c */
/* set_mode, set_config_option. */
void wish_take(struct supervisor *sup, const struct command *c);
/* The seat may be ready for what waits for it. */
void wish_go_on(struct session *s, struct seat *seat);
/* It has been started, or claimed, just now: what waits for it was asked of
 * another, if at all. */
void wish_is_not_asked(struct session *s, const struct seat *seat);
void wish_on_configured(struct session *s, struct seat *seat,
    const char *error);
/* The seat will not answer what it is asked for. */
void wish_refuse_asked(struct session *s, const struct seat *seat,
    const char *code, const char *why);
/* Those of agents without a child are kept for their next one. */
void wishes_settle(struct session *s);
void wishes_lose(struct session *s, const char *why);
void wishes_free(struct session *s);
/* True when the agent has the turn's model and mode; else it is asked for them
 * and turn_on_configured() follows, or the turn has failed. */
bool turn_is_configured(struct turn *t, struct seat *seat);
void turn_on_configured(struct turn *t, const char *error);

/* supervisor/agent.c */
void agent_on_event(void *ctx, struct seat *seat,
    const struct agent_event *ev);
/* log NULL: of a spare. */
void agent_record_end(struct supervisor *sup, struct chat_log *log,
    const struct seat *seat, const struct agent_event *ev);
void agent_on_memory(void *ctx, struct seat *seat, int64_t pss_kb);
void agent_on_sleep(void *ctx, struct seat *seat, bool is_asleep);

/* supervisor/supervisor.c */
/* Looks for sessions whose turns could start. */
void supervisor_look(struct supervisor *sup);
/* The same not later than so many milliseconds from now: what waits for a
 * time is not kept waiting. */
void supervisor_look_in(struct supervisor *sup, int64_t ms);

/* supervisor/asked.c: commands that wait for an end */
void asked_add(struct asked *a, int64_t command); /* 0: none */
void asked_subtract(struct asked *a, const struct asked *others);
/* All, which are about s, are done, or failed with code, and forgotten. */
void asked_answer(struct asked *a, struct session *s, const char *code,
    const char *why);
void asked_free(struct asked *a);

/* supervisor/command.c */
void commands_take(struct supervisor *sup);
/* Ends the agents that the command is about. waiting: a command that the end
 * of their turns answers, if they have some (then true); 0: none. */
bool close_all(struct supervisor *sup, const struct command *c,
    int64_t waiting);
/* No claim is under way: who has the turns is known. Before the session is
 * freed there may be some whose command stays as it is. */
void late_commands_run(struct session *s);
void late_commands_lose(struct session *s, const char *why);
/* The turn's end is durable: so is what its cancels have asked for. */
void cancels_answer(struct turn *t);
/* Another node has it. */
void cancels_lose(struct turn *t, const char *why);
void late_commands_drop(struct session *s);
/* The agent is about to be reset. */
bool late_commands_reset(const struct session *s, const char *chat,
    const char *agent);

/* supervisor/rules.c */
/* Reads the permission rules, for what is asked from then on. */
void rules_load(struct supervisor *sup);

#endif
