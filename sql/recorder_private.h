/* SPDX-License-Identifier: MIT */
/*
 * What the files of the writer share: recorder.c (the queue, the chats, when
 * to flush), recorder_build.c (items), recorder_turns.c, recorder_agents.c,
 * recorder_copies.c and recorder_commands.c (what each record_*() means),
 * flush.c (sending), flush_quick.c (short turns), flush_outcome.c (what becomes
 * of it), repair.c (poison), notes.c (notifications); and what db.c needs to
 * run it. Nobody else includes this.
 */
#ifndef HEARTH_RECORDER_PRIVATE_H
#define HEARTH_RECORDER_PRIVATE_H

#include <ev.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "sql/conn.h"
#include "sql/params.h"
#include "sql/recorder.h"

#define ITEM_PARAMS 16
/* In one flush. More rows at a time are slower: the server's memory for their
 * arrays comes from the kernel anew for each flush. */
#define FLUSH_ITEMS 1500

enum item_kind {
	ITEM_TEXT,       /* an event whose payload is text and message_id */
	ITEM_EVENT,      /* an event whose payload is in text, as JSON */
	ITEM_STATEMENT,  /* one statement of its own */
	ITEM_BARRIER,
};

/* What hearth_status is told once the item is stored. */
enum item_note {
	NOTE_NONE,
	NOTE_STATUS,     /* note is the payload */
	NOTE_PERMISSION, /* found by note_execution and note_serial */
	NOTE_CHANGE,     /* found by the session and note, the path */
};

struct item {
	struct list node;        /* recorder.queue or .flight, which own it */
	enum item_kind kind;
	struct chat_log *chat;   /* NULL: of no chat (and of no session) */
	unsigned group;          /* 0: alone */
	int64_t at;              /* clock_ms() when it was handed in */
	size_t size;             /* counted in recorder.bytes */
	int stage;               /* of repair; 0: as it was handed in */
	int64_t seq;             /* 0: it puts no event into the chat */
	int64_t turn;
	int64_t command;         /* that it ends; 0: none */
	/* events */
	char *event;             /* kind, NULL for ITEM_TEXT */
	char *agent, *message_id;
	struct buf text;
	bool reasoning, repaired;
	/* statements */
	int statement;
	int n;
	char *param[ITEM_PARAMS];
	unsigned json;           /* bits: which params are JSON */
	int age;                 /* which param is the age, -1: none */
	bool is_plain;           /* turn_end: no tool call, no permission */
	/* of the flush that is being built: a turn_end with its turn_started is
	 * one statement */
	struct item *start;
	bool is_joined;          /* this is such a turn_started */
	enum item_note note_kind;
	char *note;
	int64_t note_execution, note_serial;
	/* barriers */
	void (*done)(void *ctx);
	void *ctx;
};

/* One chat that has a log open, items queued, or was seen lately. */
struct chat_log {
	struct recorder *r;
	char *session, *chat;
	int64_t last_seq;        /* of the newest event handed in */
	int opens;               /* chat_log_open() without chat_log_close() */
	int items;               /* in queue and flight */
	size_t bytes;            /* of these */
	bool is_full;            /* they are over its share of the budget */
	struct list in_turned;   /* recorder.turned: this is not told yet */
	bool is_fenced;          /* takes nothing any more; not in the map */
	int64_t unused_since;
	struct item *open_text;  /* queued, and more text may join it */
	int64_t text_turn;       /* whose text came last */
	int64_t written_at;      /* clock_ms(): events of it were sent */
	int64_t started_turn, started_seq; /* newest turn_started */
	int64_t running_turn;    /* told as running already */
	int64_t busy_seq;        /* of the newest tool call or permission */
	/* of the flush that is being built */
	unsigned flush;
	int64_t flush_seq;
	struct item *flush_start;
};

/* Parameters that are arrays, kept from flush to flush for their memory. */
enum {
	A_SESSIONS, A_HEAD_CHATS, A_HEAD_SEQS,
	/* events */
	A_CHAT, A_SEQ, A_TURN, A_AGENT, A_KIND, A_PAYLOAD, A_REPAIRED, A_AGE,
	/* notifications of the flush under way, or still to be sent */
	A_CHANNEL, A_NOTE, A_EXECUTION, A_SERIAL, A_CHANGE_SESSION,
	A_CHANGE_PATH,
	ARRAYS
};

struct recorder_callbacks {
	void (*fenced)(void *ctx, const char *session);
	void (*pressure)(void *ctx, bool full);
	void (*chat_pressure)(void *ctx, const char *session,
	    const char *chat, bool full);
	void (*fatal)(void *ctx, const char *why);
};

struct recorder {
	struct ev_loop *loop;
	const struct recorder_callbacks *cb;
	void *ctx;
	int64_t interval;        /* milliseconds */
	size_t budget;
	/* the connection, while it is ready for writing */
	struct conn *conn;       /* borrowed; NULL while away */
	int64_t node, epoch;
	int64_t last_node;       /* kept while away */

	struct map chats;        /* by chat id */
	struct list turned;      /* chats that are full now, or no more */
	struct list queue;
	size_t queued;           /* items in queue */
	size_t bytes;            /* of queue and flight */
	bool is_urgent;          /* something queued can't wait */
	bool is_full;            /* pressure(true) was told */
	unsigned group, last_group;
	int group_depth;
	struct list done;        /* barriers whose turn has come */
	struct ev_prepare prepare;
	struct ev_timer due;     /* flush_interval after the oldest item */
	struct ev_timer pause;   /* after a failure that may pass */
	struct ev_timer sweep;   /* forgets chats */
	double pause_s;          /* of the next failure in a row */

	/* the flush under way */
	struct list flight;
	size_t flying;           /* items in flight */
	unsigned flush;          /* its number */
	bool in_flight;          /* facts sent, not answered */
	bool notes_in_flight;
	bool is_uncertain;       /* it may have been stored already */
	struct sql_error failure; /* state empty: none so far */
	struct item *offender;   /* whose statement failed, if that is known */
	size_t limit;            /* units per flush; 0: no limit */
	bool is_careful;         /* one statement per event, to find one */
	struct sql_array array[ARRAYS];
	/* numbers of the statements that every flush has */
	int s_fence, s_events, s_events_again, s_notify, s_notify_permissions,
	    s_notify_changes, s_turn_started, s_turn_end, s_turn_quick;
};

/* For db.c. */
struct recorder *recorder_new(struct ev_loop *loop, int64_t interval,
    size_t budget, const struct recorder_callbacks *cb, void *ctx);
void recorder_free(struct recorder **r);
/* The connection is set up: flush through it, as this node in this epoch. */
void recorder_attach(struct recorder *r, struct conn *conn, int64_t node,
    int64_t epoch);
/* It is gone; what was under way was answered with an error before. */
void recorder_detach(struct recorder *r);

/* recorder.c */
struct item *item_new(struct recorder *r, struct chat_log *chat,
    enum item_kind kind);
void item_queue(struct recorder *r, struct item *it, bool urgent);
void item_free(struct recorder *r, struct item *it);
/* An item of the chat has grown, is there, or is gone (then less than 0). */
void chat_count(struct chat_log *chat, ptrdiff_t bytes);
void chat_fence(struct chat_log *chat);
void pause_flushing(struct recorder *r, const char *why);

/* recorder_commands.c: what it did is dropped, for another node has its
 * session. */
void command_lose(struct recorder *r, int64_t command);

/* flush.c: takes what is queued and sends it. */
void flush_send(struct recorder *r);

/* flush_outcome.c: its transaction has ended. */
void flush_on_ended(void *ctx, const PGresult *res,
    const struct sql_error *e);
/* Puts the flight back to the head of the queue. */
void flush_undo(struct recorder *r);

/* flush_quick.c: whether the item is the end of a quick turn (then start is
 * set) or its turn_started (is_joined); and sending that end. */
void quick_join(struct recorder *r, struct item *it);
void quick_send(struct recorder *r, struct item *end, int64_t now,
    conn_result_fn *done);

/* repair.c: after a failure that the data is to blame for; the flight is
 * back in the queue. */
void repair(struct recorder *r, const struct sql_error *e,
    struct item *offender, size_t units, size_t items);

/* notes.c */
void notes_begin(struct recorder *r);
void notes_add_events(struct recorder *r, const struct chat_log *chat);
void notes_add_item(struct recorder *r, const struct item *it);
bool notes_need(struct recorder *r); /* false: nothing to tell */
void notes_send(struct recorder *r);

#endif
