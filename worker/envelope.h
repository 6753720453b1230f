/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC 2.0 envelopes: what kind of message a line is, and the messages
 * that we send. Pure.
 *
 * Foreign ids are kept verbatim, as the JSON text they came in (numbers over
 * 2^53 and strings included); our own are positive integers that are never
 * reused on a connection.
 */
#ifndef HEARTH_ENVELOPE_H
#define HEARTH_ENVELOPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum envelope_kind {
	ENVELOPE_NOISE,        /* not a JSON object at all */
	ENVELOPE_BATCH,        /* a JSON array */
	ENVELOPE_REQUEST,      /* method and id */
	ENVELOPE_NOTIFICATION, /* method, no id */
	ENVELOPE_RESPONSE,     /* id and result or error (or neither, or both:
	                        * then error is a made-up -32600) */
	ENVELOPE_STRAY_ERROR,  /* an error with id null or without id */
	ENVELOPE_INVALID,      /* an object that is none of these */
};

struct envelope {
	enum envelope_kind kind;
	json_t *root;          /* owns all below */
	const char *method;
	char *id;              /* the id's JSON text, NULL when none; owned */
	int64_t own_id;        /* the id when it is a positive integer (also as
	                        * a number in a string), else 0 */
	json_t *params;        /* NULL when missing */
	json_t *result;
	json_t *error;
	int error_code;
	const char *error_message; /* "" when missing */
	bool is_malformed;     /* a response whose error is made up */
	bool repaired;
	/*
	 * For notifications and requests: the text of the member params.update
	 * as it came (repaired where needed), for storing; NULL when there is
	 * none. Borrowed from text.
	 */
	const char *update;
	size_t update_len;
	char *text;            /* the message's text, owned */
	size_t text_len;
	const char *noise;     /* bytes before the message, when salvaged */
	size_t noise_len;
	const char *rest;      /* bytes after it, when salvaged: may hold
	                        * another message; borrowed from the line */
	size_t rest_len;
};

/*
 * Reads one line. Noise before {"jsonrpc" or {"id" or {"method" on the same
 * line is skipped (salvaged). Always fills *out; envelope_free() it.
 */
void envelope_parse(const char *line, size_t len, struct envelope *out);
void envelope_free(struct envelope *m);

/* Each appends one line with its LF to out. params/result: JSON text. */
void envelope_request(struct buf *out, int64_t id, const char *method,
    const char *params);
void envelope_notification(struct buf *out, const char *method,
    const char *params);
void envelope_result(struct buf *out, const char *id, const char *result);
void envelope_error(struct buf *out, const char *id, int code,
    const char *message);

/*
 * An error response in words for people: message, with what data holds that
 * helps (details, a string, a message). Caller frees.
 */
char *envelope_error_text(const struct envelope *m);
/* Takes such words, returns at most about 900 bytes of them. */
char *envelope_error_cut(char *text);
/* True for -32000, and for words in message or data that mean "log in". */
bool envelope_is_auth_error(const struct envelope *m);
/* True for words that mean so. */
bool envelope_says_login(const char *text);
/* True when an error means that the agent does not know the session. */
bool envelope_is_not_found(const struct envelope *m);
/* The same of a prompt's error, where -32602 and a resource that is missing
 * mean other things. */
bool envelope_is_session_lost(const struct envelope *m);
/* True when an error is how some agents report an abort that was asked for. */
bool envelope_is_abort(const struct envelope *m);

#endif
