/* SPDX-License-Identifier: MIT */
/*
 * What the end-to-end tests share: a whole hearthd on a database, a state
 * folder and a project of its own for each test, and words to talk to it as an
 * application does, in SQL.
 *
 * A test starts the daemon with start(), submits scripts of the fake agent
 * (tests/fake_agent.c) and asserts on rows. After each test the daemon is
 * stopped and the test fails when the log has an error line that it did not
 * announce, when a process is left, or when the rows contradict what always
 * holds: events without gaps, messages that say what was streamed, ended rows
 * that say why.
 *
 * Waiting is always for a fact and has a limit. Everything here ends the test
 * with the daemon's log when it fails.
 */
#ifndef HEARTH_E2E_H
#define HEARTH_E2E_H

#include <check.h>
#undef fail /* check's old name; base/err.h has its own */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/pg_harness.h"

#define LIMIT 20000 /* milliseconds that a fact may take to come true */

/* The whole of a test program: add() puts the tests into the case. */
int e2e_main(const char *name, void (*add)(TCase *tc));

/* ---- what a test has; good until its end */

extern const char *folder;  /* everything of the test is below it */
extern const char *project; /* a git repository: a.txt b.txt .gitignore */
extern const char *state;   /* state_dir */
extern const char *db;      /* connection string */
extern const char *chat;    /* of a session of that project; made by start()
                             * or, before it, by prepare() */

/* Agent "fake" and the first chat; the daemon may start later or never. */
void prepare(void);

/* ---- the daemon */

/* Starts it with these options ("key=value", at last NULL) besides its own
 * and waits until it serves. Also prepares. */
#define start(...) e2e_start((const char *const[]){ __VA_ARGS__ })
void e2e_start(const char *const *options);
/* The same, but returns at once; database NULL: the test's, "": embedded. */
void launch(const char *database, const char *const *options);
void wait_serving(void);
pid_t daemon_pid(void);
void daemon_signal(int sig);
/* Waits for its end and returns its wait status. It may end from now on. */
int daemon_wait(int limit);
/* SIGTERM; it must end with status 0. Nothing when it does not run. */
void stop(void);
/* SIGKILL, and waits until it is gone. */
void daemon_crash(void);
/* Runs a second hearthd to its end: its exit status, output in *words. */
#define run_hearthd(words, ...) \
	e2e_run(words, (const char *const[]){ __VA_ARGS__ })
int e2e_run(const char **words, const char *const *args);
/* A line with this text may be logged as an error. */
void expect_error(const char *text);
/* The same, and anything else. */
void ignore_errors(void);
bool log_has(const char *text);
void wait_log(const char *text);
/* A variable for the daemons that are started from now on. */
void daemon_setenv(const char *name, const char *content);
/* For its -c; NULL: none. */
extern const char *daemon_file;

/* ---- SQL */

/* The first value of a query. */
const char *value(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
long long number(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* SQLSTATE of what must fail; "00000" when it does not. */
const char *sqlstate(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
bool comes_true(int limit, const char *expected, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define wait_value(expected, limit, ...) \
	e2e_value(__FILE__, __LINE__, limit, expected, __VA_ARGS__)
#define check_value(expected, ...) \
	e2e_value(__FILE__, __LINE__, -1, expected, __VA_ARGS__)
void e2e_value(const char *file, int line, int limit, const char *expected,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Fails unless what contains part. */
#define check_has(what, part) e2e_has(__FILE__, __LINE__, what, part)
void e2e_has(const char *file, int line, const char *what, const char *part);
#define check_true(cond) \
	((cond) ? (void)0 : e2e_fail(__FILE__, __LINE__, "%s", #cond))
void e2e_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

/* ---- agents, chats, turns */

/* Registers the fake agent under a name with these options, at last NULL. */
#define add_agent(name, ...) \
	e2e_agent(name, (const char *const[]){ __VA_ARGS__ })
void e2e_agent(const char *name, const char *const *options);
/* Registers any command. */
#define add_command(name, ...) \
	e2e_command(name, (const char *const[]){ __VA_ARGS__ })
void e2e_command(const char *name, const char *const *argv);
const char *new_session(const char *project_path);
const char *new_chat(const char *session);
const char *session_of(const char *chat_id);
/* The session's working copy is not made, nor read, until the returned
 * descriptor is closed. */
int hold_copy(const char *session_id);
/* Queues a script; returns the turn. */
int64_t submit(const char *chat_id, const char *agent, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* submit() and its end, which must be "completed". */
int64_t complete(const char *chat_id, const char *agent, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define wait_turn(turn, status, limit) \
	e2e_turn(__FILE__, __LINE__, turn, status, limit)
void e2e_turn(const char *file, int line, int64_t turn, const char *status,
    int limit);
/* A column of the turn as text. */
const char *turn_of(int64_t turn, const char *column);
/* What it streamed, put together from its events. */
const char *text_of(int64_t turn);
/* Waits until its text contains part. */
#define wait_text(turn, part) e2e_text(__FILE__, __LINE__, turn, part)
void e2e_text(const char *file, int line, int64_t turn, const char *part);

/* ---- processes and files */

/* Of the child that agent_sessions names; 0 for none. */
pid_t agent_pid(const char *chat_id, const char *agent);
bool is_gone(pid_t pid);
#define wait_gone(pid, limit) e2e_gone(__FILE__, __LINE__, pid, limit)
void e2e_gone(const char *file, int line, pid_t pid, int limit);
/* The number in "[word 123]" of a text. */
pid_t pid_in(const char *text, const char *word);
/* Processes of the test, the daemon included. */
int count_processes(void);
/* Whether it is one, by its name in /proc. */
bool is_of_test(const char *pid);
/* "VmRSS:" or "VmHWM:" of the daemon, and how many fds it has open. */
long daemon_kb(const char *key);
int daemon_fds(void);
/* By /bin/sh; must succeed. */
void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool file_exists(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A file's content, "" when there is none; good until the next call. */
const char *file_text(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/* Holds on to it until the program ends; returns it. */
const char *keep(char *text);
int64_t now_ms(void);
/* Milliseconds between two looks at something that is waited for. */
void blink(void);

#endif
