/* SPDX-License-Identifier: MIT */
/*
 * What an error response means. Agents agree on few codes, and the cause is
 * often only in data: as a string, as data.details, or as a wrapped error with
 * a message of its own. So words count as much as numbers here; the lists are
 * in lower case and matched in any. Pure.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "worker/envelope.h"

#define AUTH_REQUIRED (-32000)
#define RESOURCE_NOT_FOUND (-32002)
#define OLD_NOT_FOUND (-32001)
#define INVALID_PARAMS (-32602)
#define REQUEST_CANCELLED (-32800)
/* "session" and "not found" are so near to each other that they belong
 * together. */
#define NOT_FOUND_NEAR 60
#define TEXT_MAX 900 /* bytes; fits struct err with words around it */

static const char *const auth_words[] = {
	"authentication required", "authentication_error",
	"authentication failed", "auth required", "auth_required",
	"not authenticated", "unauthenticated", "unauthorized",
	"not logged in", "log in to", "please log in", "please login",
	"login required", "need to log in", "need to login", "/login",
	"auth login", "sign in to", "please sign in", "not signed in",
	"api key is missing", "missing api key", "no api key",
	"invalid api key", "incorrect api key", "invalid x-api-key",
	"token expired", "token has expired", "invalid credentials",
	"missing credentials", "no credentials", NULL
};

static const char *const abort_words[] = {
	"abort", "cancelled", "canceled", NULL
};

static const char *const lost_words[] = {
	"unknown session", "no such session", "session does not exist",
	"invalid session identifier", "no previous sessions", NULL
};

/* The words in data that say more than message, or NULL. */
static const char *
find_details(const json_t *data)
{
	static const char *const names[] = { "details", "detail", "message",
		"error", "reason", NULL };

	if (json_is_string(data))
		return json_string_value(data);
	for (const char *const *name = names; *name; name++) {
		const json_t *value = json_object_get(data, *name);

		if (json_is_object(value))
			value = json_object_get(value, "message");
		if (json_string_length(value) > 0)
			return json_string_value(value);
	}
	return NULL;
}

char *
envelope_error_text(const struct envelope *m)
{
	const char *message = m->error_message;
	const char *details = find_details(json_object_get(m->error, "data"));
	struct buf text = { 0 };

	if (*message)
		buf_adds(&text, message);
	else
		buf_printf(&text, "error %d", m->error_code);
	if (details && *details && !strstr(message, details))
		buf_printf(&text, ": %s", details);
	return buf_take(&text);
}

char *
envelope_error_cut(char *text)
{
	char *cut;

	if (strlen(text) <= TEXT_MAX)
		return text;
	cut = xasprintf("%.*s…", (int)utf8_cut(text, TEXT_MAX), text);
	free(text);
	return cut;
}

static bool
has_word(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcasestr(text, *words))
			return true;
	return false;
}

static bool
says(const struct envelope *m, bool (*test)(const char *text,
    const char *const *words), const char *const *words)
{
	char *data;
	bool is;

	if (test(m->error_message, words))
		return true;
	data = json_dumps(json_object_get(m->error, "data"),
	    JSON_COMPACT | JSON_ENCODE_ANY);
	is = data && test(data, words);
	free(data);
	return is;
}

/* "Session 4f… was not found" */
static bool
is_not_found(const char *text, const char *thing)
{
	while ((text = strcasestr(text, thing)) != NULL) {
		const char *end = strcasestr(text, "not found");

		text += strlen(thing);
		if (end && end - text <= NOT_FOUND_NEAR)
			return true;
	}
	return false;
}

static bool
has_lost_session(const char *text, const char *const *words)
{
	return is_not_found(text, "session") || has_word(text, words);
}

static bool
has_lost(const char *text, const char *const *words)
{
	return is_not_found(text, "resource") ||
	    has_lost_session(text, words);
}

static bool
has_http_401(const json_t *data)
{
	static const char *const names[] = { "status", "statusCode", "code",
		NULL };

	for (const char *const *name = names; *name; name++)
		if (json_number_value(json_object_get(data, *name)) == 401)
			return true;
	return false;
}

bool
envelope_is_auth_error(const struct envelope *m)
{
	return m->error && (m->error_code == AUTH_REQUIRED ||
	    has_http_401(json_object_get(m->error, "data")) ||
	    says(m, has_word, auth_words));
}

bool
envelope_says_login(const char *text)
{
	return has_word(text, auth_words);
}

/* Asked for a session in the right form, -32602 can only mean its id. */
bool
envelope_is_not_found(const struct envelope *m)
{
	return m->error && (m->error_code == RESOURCE_NOT_FOUND ||
	    m->error_code == OLD_NOT_FOUND ||
	    m->error_code == INVALID_PARAMS ||
	    says(m, has_lost, lost_words));
}

bool
envelope_is_session_lost(const struct envelope *m)
{
	const json_t *data = m->error ? json_object_get(m->error, "data") :
	    NULL;
	bool is_file = json_is_string(json_object_get(data, "uri"));

	return m->error && (says(m, has_lost_session, lost_words) ||
	    ((m->error_code == RESOURCE_NOT_FOUND ||
	    m->error_code == OLD_NOT_FOUND) && !is_file));
}

bool
envelope_is_abort(const struct envelope *m)
{
	return m->error && (m->error_code == REQUEST_CANCELLED ||
	    says(m, has_word, abort_words));
}
