/* SPDX-License-Identifier: MIT */
/*
 * Everything that hearthd says to PostgreSQL, over two non-blocking
 * connections on the loop: one LISTENs, claims and asks (here), one writes
 * (sql/recorder.h). Both come back by themselves, with back-off, after an
 * outage; questions that were under way are answered with an error then,
 * writes are kept and sent again.
 *
 * Strings in answers are borrowed for the callback. No callback runs inside
 * a db_*() call. Must never know: agents, git, policy.
 */
#ifndef HEARTH_DB_H
#define HEARTH_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ev_loop;
struct db;
struct recorder;

struct db_config {
	const char *conninfo;     /* connection string or URI */
	const char *node_name;
	const char *version;      /* of the program */
	int64_t flush_interval;   /* milliseconds */
	size_t buffer_budget;     /* bytes kept for PostgreSQL while it is away;
	                           * above it: pressure */
	const char *project_roots; /* colon-separated, "" none: stored on the
	                            * nodes row, where open_session() looks */
};

/* A turn that was put into a queue, as far as it is known. */
struct queued_turn {
	const char *session;
	int64_t turn;              /* 0: only that there may be one */
	const char *chat, *agent;  /* NULL: not known */
};

struct db_callbacks {
	/*
	 * Both connections are there and the node is registered: the schema was
	 * checked, session_owners and rows left open by an earlier life of this
	 * node were reconciled (first time only). Also after every reconnection.
	 */
	void (*up)(void *ctx, bool first);
	/* A connection was lost (told once until the next up). */
	void (*down)(void *ctx, const char *why);
	/* A turn was queued, perhaps for this node: db_claim() finds out. */
	void (*work)(void *ctx, const struct queued_turn *q);
	/* Somebody is about to prompt this agent in this chat of any node. */
	void (*typing)(void *ctx, const char *session, const char *chat,
	    const char *agent);
	/* Commands wait: db_take_commands(). */
	void (*commands)(void *ctx);
	/* The permission rules have changed: db_permission_rules(). */
	void (*rules)(void *ctx);
	/* The registry has changed: db_spares(). */
	void (*agents)(void *ctx);
	/* Another node has taken the session: forget all about it. Its writes
	 * were dropped. */
	void (*fenced)(void *ctx, const char *session);
	/* The buffered bytes went over the budget (true), or well under it. */
	void (*pressure)(void *ctx, bool full);
	/* The same for one chat and its share, an eighth of the budget. */
	void (*chat_pressure)(void *ctx, const char *session,
	    const char *chat, bool full);
	/* It makes no sense to go on (schema missing or newer, node name in use,
	 * no permission): one line that says what to do. Told once. */
	void (*fatal)(void *ctx, const char *why);
};

struct db *db_new(struct ev_loop *loop, const struct db_config *cfg,
    const struct db_callbacks *cb, void *ctx);
struct recorder *db_recorder(struct db *db); /* owned by db */
bool db_is_up(const struct db *db);
int64_t db_node_id(const struct db *db);     /* 0 before the first up */
/*
 * Ends it: what the recorder holds is flushed if PostgreSQL answers within
 * limit_ms; the node's row is marked as gone; then done (once, not from within
 * this call).
 */
void db_close(struct db *db, int64_t limit_ms, void (*done)(void *ctx),
    void *ctx);
void db_free(struct db **db);

/* A claimed turn with everything that running it needs. */
struct claimed_turn {
	int64_t turn;
	const char *session, *chat, *agent;
	bool is_running;           /* false: "starting" */
	bool is_exclusive;
	int64_t execution_id;      /* of the warm worker; or a fresh id, for a new
	                            * child, when it is starting */
	const char *prompt;        /* JSON array of content blocks */
	const char *created_by, *model, *mode_id; /* each may be NULL */
	int64_t chat_last_seq;
	/* the session's project and worktree */
	int64_t project_id;
	const char *project_path;
	const char *default_branch; /* or NULL */
	const char *worktree_path, *base_commit; /* or NULL: none yet */
	char *const *include, *const *setup_command; /* for a new worktree */
	int64_t snapshots;         /* that the project wants */
	/* the agent, as the registry has it now */
	char *const *command;      /* launcher and command, one argv */
	char *const *env;          /* "K=V" sets, "K" unsets */
	const char *mcp_servers;   /* JSON array */
	const char *client_capabilities; /* JSON object or NULL */
	const char *permission_mode; /* "ask" "allow" "deny" */
	int64_t idle_timeout;      /* milliseconds, -1: the node's */
	const char *config_hash;   /* of command, env, mcp_servers, launcher,
	                            * client_capabilities, permission_mode */
	const char *known_session; /* what the agent called the conversation when
	                            * it had a child last, or NULL */
	bool may_replace;          /* it failed to reopen that the last time, or
	                            * nobody had prompted it there */
	const char *wanted;        /* settings, see agent_sessions, and in the
	                            * member offers what there was to choose */
	int64_t launcher_words;    /* how many of command are the launcher's */
	const char *tenant;        /* the session's */
	bool ends_child;           /* the agent's child ends with its turn */
	bool is_ephemeral;         /* the session ends with its last turn */
	const char *unread;        /* lines "turn agent": turns that a crash cut
	                            * off, whose changes nobody has seen; NULL */
};

/* A warm worker of the session that is idle now. */
struct warm_seat {
	const char *chat, *agent;
	int64_t execution_id;
	const char *config_hash;
};

/*
 * Claims the session's next turn that may start now, if any: takes ownership
 * of the session when nobody alive has it, and sets the turn to "running" when
 * its (chat, agent) is among the warm seats with the same config_hash (one
 * commit; agent_sessions becomes 'active'), else to "starting"
 * (agent_sessions 'warming'). t is NULL when there is nothing to start, e
 * when the question could not be answered (asks again by itself: never; the
 * caller does after the next up). more: the session has other queued turns.
 */
typedef void db_claimed_fn(void *ctx, const char *session,
    const struct claimed_turn *t, bool more, const struct err *e);
void db_claim(struct db *db, const char *session,
    const struct warm_seat *warm, size_t n_warm,
    db_claimed_fn *done, void *ctx);
/*
 * The same for one turn that is known, in a session that is this node's and
 * has no live turn: the short way, for a quarter of the cost. seat is its
 * (chat, agent)'s. NULL when it needs more than a warm seat: then db_claim()
 * finds out. What a claimed_turn says of project, worktree, agent and
 * chat_last_seq is left out (NULL, 0): who has the seat has that.
 */
void db_claim_warm(struct db *db, const char *session, int64_t turn,
    const struct warm_seat *seat, db_claimed_fn *done, void *ctx);

/*
 * What starting an agent ahead of any turn takes: takes ownership of the
 * session when nobody alive has it, and gives a claimed_turn without a turn
 * (turn 0; execution_id a fresh one). t is NULL when it may not be started;
 * code and why say what speaks against it.
 */
typedef void db_warm_fn(void *ctx, const struct claimed_turn *t,
    const char *code, const char *why);
void db_warm(struct db *db, const char *session, const char *chat,
    const char *agent, db_warm_fn *done, void *ctx);

/*
 * Sessions (of this node or of nobody alive) with queued turns, at most limit
 * of them, least recently queued first; and for how many milliseconds from now
 * the earliest not_before or backoff_until lies in the future (-1: none).
 */
typedef void db_waiting_fn(void *ctx, const char *const *sessions, size_t n,
    int64_t next_ms, const struct err *e);
void db_waiting_sessions(struct db *db, int limit, db_waiting_fn *done,
    void *ctx);

/* Why something of a session is taken away. */
enum leaving {
	LEAVING_ENDED,    /* it is ephemeral, and its turns have ended */
	LEAVING_AWAY,     /* its worktree is not needed for now */
	LEAVING_DELETED,  /* a user has deleted it */
	LEAVING_CHAT,     /* a user has deleted a chat of it */
};

struct leaving_session {
	enum leaving why;
	const char *chat;            /* LEAVING_CHAT */
	struct claimed_turn copy;    /* session, project and worktree of it */
};

struct leaving_limits {
	int64_t archive_grace;       /* milliseconds */
	int64_t worktree_budget;     /* bytes; 0: none */
};

/*
 * Sessions that something is to be taken away of, at most limit of them; they
 * are this node's then, and have no turn. NULL when the question could not be
 * answered.
 */
typedef void db_leaving_fn(void *ctx, const struct leaving_session *sessions,
    size_t n);
void db_leaving_sessions(struct db *db, const struct leaving_limits *limits,
    int limit, db_leaving_fn *done, void *ctx);

/* What was done of it; chat and why as they came. */
struct left_session {
	enum leaving why;
	const char *session, *chat;
	bool is_removed;             /* the worktree is gone */
	const char *saved;           /* commit with what was in it, or NULL */
	const char *reason;          /* why it is not removed, or NULL */
};

/*
 * Records it: archives what has ended (unless another turn has come meanwhile),
 * notes what became of the worktree, erases rows of what was deleted. done: it
 * was tried, session comes back; more: call it once more.
 */
typedef void db_left_fn(void *ctx, const char *session, bool more);
void db_session_left(struct db *db, const struct left_session *left,
    db_left_fn *done, void *ctx);

/* One of the node's working copies that was used since it was measured, as in
 * db_session_copy(); NULL: there is none, or the question could not be
 * answered. */
typedef void db_unmeasured_fn(void *ctx, const struct claimed_turn *t);
void db_unmeasured(struct db *db, db_unmeasured_fn *done, void *ctx);

/*
 * What the working copy of a session of this node is made of. Of a claimed_turn
 * it has session, project, worktree, and what a new one gets; NULL without e:
 * the session is not this node's, or is gone. session comes back.
 */
typedef void db_copy_fn(void *ctx, const char *session,
    const struct claimed_turn *t, const struct err *e);
void db_session_copy(struct db *db, const char *session, db_copy_fn *done,
    void *ctx);

/* A project and the snapshots that this node is to keep of it. */
struct snapshot_wish {
	int64_t project_id;
	const char *project_path;
	const char *default_branch; /* or NULL */
	char *const *include, *const *setup_command;
	int64_t count;             /* 0: those that there are are to go */
};
/* wishes is NULL when the question could not be answered. */
typedef void db_wishes_fn(void *ctx, const struct snapshot_wish *wishes,
    size_t n);
void db_snapshot_wishes(struct db *db, db_wishes_fn *done, void *ctx);

/* What was said in a chat. */
struct transcript {
	const char *text;          /* oldest first; "" nothing */
	int64_t messages;          /* in text */
	int64_t omitted;           /* older ones, which are not */
};
/*
 * The newest messages of a chat but for the turn's own, at most bytes of them.
 * session and turn come back. t is NULL when the question could not be
 * answered.
 */
typedef void db_transcript_fn(void *ctx, const char *session, int64_t turn,
    const struct transcript *t, const struct err *e);
void db_transcript(struct db *db, const char *session, const char *chat,
    int64_t turn, int64_t bytes, db_transcript_fn *done, void *ctx);

/* What a user asked for through a function, for this node. */
struct command {
	int64_t id;
	/* "cancel" "answer_permission" "close_agent" "reset_agent" "close_chat"
	 * "archive_session" "warm" … */
	const char *kind;
	const char *session, *chat, *agent; /* each may be NULL */
	int64_t chat_last_seq;     /* with a chat */
	int64_t turn;              /* cancel */
	const char *turn_status;   /* cancel: as it is now */
	const char *requested_by;  /* may be NULL */
	const char *reason;        /* cancel: "replaced" when by submit() */
	int64_t execution_id;      /* answer_permission: who asked … */
	int64_t serial;            /* … and which request of it */
	const char *option_id;
	const char *mode_id;       /* set_mode */
	const char *option, *value; /* set_config_option: its id, JSON */
};
/* Takes the pending ones (they become 'running'); each is ended with
 * record_command(). */
typedef void db_commands_fn(void *ctx, const struct command *c, size_t n,
    const struct err *e);
void db_take_commands(struct db *db, db_commands_fn *done, void *ctx);

/* A change that is decided on, or a file that is to be changed. */
struct decision_row {
	int64_t id;                /* of the change; else of the command */
	const char *verb;          /* accept reject revert, create edit delete */
	bool is_fit;               /* false: its status speaks against it */
	const char *status;        /* NULL: no change yet */
	const char *path;
	const char *old_oid, *new_oid, *old_mode, *new_mode; /* or NULL */
	const char *hunks;         /* "1,3", NULL all */
	const char *text, *other_text;
	bool has_pending;          /* revert: another one of the file waits */
	int64_t turn;              /* what is left of it belongs to; 0 none */
	const char *agent;         /* likewise; NULL: a person */
	const char *other_turns;   /* likewise; "{7,9}" or NULL */
	const char *chat;          /* where it is told, or NULL: nowhere */
	int64_t chat_last_seq;
};
/*
 * What a command that was taken says of single files. Decisions that can be
 * carried out are noted in their rows by this; each is ended with
 * record_decided(). No rows: there is nothing to decide on.
 */
typedef void db_decide_fn(void *ctx, const struct decision_row *rows,
    size_t n, const struct err *e);
void db_decide(struct db *db, int64_t command, db_decide_fn *done,
    void *ctx);

/* A row of hearth.permission_rules. */
struct rule_row {
	int64_t id;
	const char *tenant;        /* "": of every tenant */
	const char *agent;         /* NULL: every agent */
	int64_t project_id;        /* 0: every project */
	const char *tool_kind, *path_pattern, *command_pattern; /* or NULL */
	const char *decision;      /* "allow" "deny" "ask" */
};
/* All of them, in the order in which they are looked at. Questions are answered
 * in the order in which they were asked: a turn that is claimed later than this
 * was asked for begins after its answer. */
typedef void db_rules_fn(void *ctx, const struct rule_row *rules, size_t n,
    const struct err *e);
void db_permission_rules(struct db *db, db_rules_fn *done, void *ctx);

/* An agent of which spares are wanted. */
struct spare_row {
	const char *agent;
	int64_t spares;            /* so many */
	int64_t execution_id;      /* a fresh one */
	/* as of a claimed_turn */
	char **command, **env;
	const char *mcp_servers, *client_capabilities, *permission_mode;
	const char *config_hash;
	int64_t launcher_words;
};
typedef void db_spares_fn(void *ctx, const struct spare_row *rows, size_t n,
    const struct err *e);
void db_spares(struct db *db, db_spares_fn *done, void *ctx);

#endif
