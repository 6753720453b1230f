/* SPDX-License-Identifier: MIT */
/*
 * Lines to messages. The line's object is found by its brackets, mended
 * (json_repair), parsed as a whole, and classified by which of id, method,
 * result and error it has. What must stay verbatim, the id and params.update,
 * is cut out of the mended text; of a name that occurs twice the last one
 * counts, as in the parser.
 *
 * Salvaging is careful: what was found in the middle of noise counts only when
 * it says jsonrpc and is a whole message, because a torn line may hold objects
 * that merely look like one.
 *
 * Messages to lines: envelope_write.c. Errors in words: envelope_error.c.
 */
#include "worker/envelope.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "worker/json_chars.h"
#include "worker/json_repair.h"
#include "worker/json_skim.h"

#define INVALID_REQUEST (-32600)
#define INTERNAL_ERROR (-32603)
/* How many places of one line are tried; each costs the rest of the line. */
#define SALVAGE_TRIES 4

/*
 * Integers stay integers unless one is over 64 bits: then all are reals. A NUL
 * byte is no JSON; jansson overlooks one that follows a number or a word.
 */
static json_t *
load(const char *p, size_t n)
{
	json_error_t err;
	json_t *root;

	if (memchr(p, '\0', n))
		return NULL;
	root = json_loadb(p, n, JSON_ALLOW_NUL, &err);
	if (!root && json_error_code(&err) == json_error_numeric_overflow)
		root = json_loadb(p, n,
		    JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	return root;
}

/*
 * What nests too deeply for anybody keeps its scalar members: with id and
 * method it can still be answered, and a response without its result fails
 * the request instead of leaving it open.
 */
static void
keep_scalars(const char *p, size_t n, struct buf *out)
{
	struct json_member m;
	const char *end = p + n;
	char before = '{';

	while (json_skim_member(&p, end, &m)) {
		if (*m.value == '{' || *m.value == '[')
			continue;
		buf_addc(out, before);
		buf_add(out, m.name - 1, m.name_len + 2);
		buf_addc(out, ':');
		buf_add(out, m.value, m.value_len);
		before = ',';
	}
	if (before == '{')
		buf_addc(out, '{');
	buf_addc(out, '}');
}

static void
take_text(struct envelope *m, const char *p, size_t n)
{
	struct buf mended = { 0 }, flat = { 0 };
	enum json_repair how = json_repair(p, n, &mended);

	if (how == JSON_TOO_DEEP) {
		keep_scalars(p, n, &flat);
		if (json_repair(flat.data, flat.len, &mended) == JSON_CLEAN)
			buf_add(&mended, flat.data, flat.len);
		buf_free(&flat);
	} else if (how == JSON_CLEAN) {
		buf_add(&mended, p, n);
	}
	m->repaired = how != JSON_CLEAN;
	m->text_len = mended.len;
	m->text = buf_take(&mended);
}

/*
 * Reads the object or array at p into m->text and m->root. Returns how long
 * it is, 0 when it is none.
 */
static size_t
read_value(struct envelope *m, const char *p, size_t n)
{
	size_t used = json_skim(p, n);

	if (!used)
		return 0;
	take_text(m, p, used);
	m->root = load(m->text, m->text_len);
	if (m->root)
		return used;
	envelope_free(m);
	return 0;
}

/* The value of a positive decimal integer, 1.0 included; else 0. */
static int64_t
read_own_id(const char *p, size_t n)
{
	const char *end = p + n;
	int64_t id = 0;

	if (n == 0 || *p < '1' || *p > '9')
		return 0;
	for (; p < end && *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(id, 10, &id) ||
		    __builtin_add_overflow(id, *p - '0', &id))
			return 0;
	if (end - p >= 2 && *p == '.')
		for (p++; p < end && *p == '0'; p++)
			continue;
	return p == end ? id : 0;
}

static void
take_id(struct envelope *m, const json_t *id, const struct json_member *raw)
{
	m->id = xmemdupz(raw->value, raw->value_len);
	if (json_is_string(id))
		m->own_id = read_own_id(json_string_value(id),
		    json_string_length(id));
	else if (json_is_number(id))
		m->own_id = read_own_id(raw->value, raw->value_len);
}

/* Cuts the id and params.update out of the text. */
static void
take_spans(struct envelope *m, const json_t *id)
{
	struct json_member found, params = { 0 };
	const char *p = m->text;

	while (json_skim_member(&p, m->text + m->text_len, &found)) {
		if (json_member_is(&found, "params"))
			params = found;
		if (json_member_is(&found, "id")) {
			free(m->id);
			take_id(m, id, &found);
		}
	}
	if (m->method && json_is_object(m->params) &&
	    json_skim_find(params.value, params.value_len, "update",
	    &found)) {
		m->update = found.value;
		m->update_len = found.value_len;
	}
}

/* A member that is null counts as missing. */
static json_t *
member(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

static int
read_code(const json_t *code)
{
	double value = json_number_value(code);

	if (json_is_string(code))
		value = atof(json_string_value(code));
	if (value == 0 || value < INT_MIN || value > INT_MAX)
		return INTERNAL_ERROR;
	return (int)value;
}

static void
take_error(struct envelope *m, json_t *error)
{
	const char *message = json_string_value(error);

	m->error = error;
	m->error_code = read_code(json_object_get(error, "code"));
	if (!message)
		message = json_string_value(json_object_get(error, "message"));
	m->error_message = message ? message : "";
}

static void
make_up_error(struct envelope *m, const char *message)
{
	json_t *error = json_pack("{s:i, s:s}", "code", INVALID_REQUEST,
	    "message", message);

	json_object_set_new(m->root, "error", error);
	take_error(m, error);
	m->is_malformed = true;
}

static enum envelope_kind
classify_answer(struct envelope *m, const json_t *id)
{
	json_t *result = json_object_get(m->root, "result");
	json_t *error = member(m->root, "error");

	if (!id || json_is_null(id)) {
		if (!error)
			return ENVELOPE_INVALID;
		take_error(m, error);
		return ENVELOPE_STRAY_ERROR;
	}
	if (error && result && !json_is_null(result))
		make_up_error(m, "the answer has a result and an error");
	else if (error)
		take_error(m, error);
	else if (result)
		m->result = result;
	else
		make_up_error(m, "the answer has no usable result");
	return ENVELOPE_RESPONSE;
}

static enum envelope_kind
classify(struct envelope *m)
{
	json_t *id = json_object_get(m->root, "id");
	json_t *method = member(m->root, "method");

	if (json_is_array(m->root))
		return ENVELOPE_BATCH;
	if ((method && !json_is_string(method)) || (id &&
	    !json_is_null(id) && !json_is_string(id) && !json_is_number(id)))
		return ENVELOPE_INVALID;
	m->method = json_string_value(method);
	if (m->method)
		m->params = member(m->root, "params");
	take_spans(m, id);
	if (!m->method)
		return classify_answer(m, id);
	return id ? ENVELOPE_REQUEST : ENVELOPE_NOTIFICATION;
}

/* Good enough to be believed in the middle of noise. */
static bool
is_whole(const struct envelope *m)
{
	if (!json_object_get(m->root, "jsonrpc"))
		return false;
	switch (m->kind) {
	case ENVELOPE_REQUEST:
	case ENVELOPE_NOTIFICATION:
	case ENVELOPE_STRAY_ERROR:
		return true;
	case ENVELOPE_RESPONSE:
		return !m->is_malformed;
	default:
		return false;
	}
}

/* True when p is at the '{' of {"jsonrpc", {"id" or {"method". */
static bool
looks_like_message(const char *p, const char *end)
{
	static const char *const names[] = { "\"jsonrpc\"", "\"id\"",
		"\"method\"" };

	p = json_skip_space(p + 1, end);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t n = strlen(names[i]);

		if ((size_t)(end - p) >= n && memcmp(p, names[i], n) == 0)
			return true;
	}
	return false;
}

/* Reads the message at p, which has something around it. */
static bool
salvage_at(struct envelope *m, const char *line, const char *p,
    const char *end)
{
	size_t used = read_value(m, p, (size_t)(end - p));
	const char *rest = json_skip_space(p + used, end);

	if (!used)
		return false;
	m->kind = classify(m);
	if (!is_whole(m)) {
		envelope_free(m);
		return false;
	}
	m->noise = p > line ? line : NULL;
	m->noise_len = (size_t)(p - line);
	m->rest = rest < end ? rest : NULL;
	m->rest_len = (size_t)(end - rest);
	return true;
}

static void
salvage(struct envelope *m, const char *line, const char *end)
{
	int tries = SALVAGE_TRIES;

	for (const char *p = line; tries > 0 && p < end; p++) {
		p = memchr(p, '{', (size_t)(end - p));
		if (!p)
			return;
		if (!looks_like_message(p, end))
			continue;
		if (salvage_at(m, line, p, end))
			return;
		tries--;
	}
}

void
envelope_parse(const char *line, size_t len, struct envelope *m)
{
	const char *end = line + len;
	const char *p = json_skip_space(line, end);
	size_t used;

	*m = (struct envelope){ .error_message = "" };
	used = read_value(m, p, (size_t)(end - p));
	if (used && json_skip_space(p + used, end) == end) {
		m->kind = classify(m);
		return;
	}
	envelope_free(m);
	salvage(m, line, end);
}

void
envelope_free(struct envelope *m)
{
	json_decref(m->root);
	free(m->id);
	free(m->text);
	*m = (struct envelope){ .error_message = "" };
}
