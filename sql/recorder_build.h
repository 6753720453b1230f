/* SPDX-License-Identifier: MIT */
/*
 * Building items: a statement and its parameters one by one, an event, what
 * readers are told. For the files that say what each record_*() means.
 */
#ifndef HEARTH_RECORDER_BUILD_H
#define HEARTH_RECORDER_BUILD_H

#include "sql/recorder_private.h"

/* A statement by its name in sql/statements. log NULL: of no session. */
struct item *item_statement(struct recorder *r, struct chat_log *log,
    const char *name);
/* Its next parameter; copied, NULL is fine. */
void item_add(struct item *it, const char *s);
void item_add_json(struct item *it, const char *s);
void item_add_int(struct item *it, int64_t n);
/* NULL where n is below what can be known. */
void item_add_known(struct item *it, int64_t n, int64_t below);
void item_add_bool(struct item *it, bool b);
/* How long ago it was handed in, when it is sent. */
void item_add_age(struct item *it);
/* It puts an event into its chat: the next seq is its, and a parameter. */
void item_number(struct item *it);
/* Readers of hearth_status are told when it is stored. id 0: none. */
void item_note_status(struct item *it, const char *what, const char *chat,
    const char *agent, int64_t id, const char *status);

/* An event with the next seq, its payload still empty. */
struct item *item_event(struct chat_log *log, int64_t turn,
    const char *agent, const char *kind);
/* "name":value to an object that was begun with '{'; NULL: null. */
void json_member(struct buf *b, const char *name, const char *value);

#endif
