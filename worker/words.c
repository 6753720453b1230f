/* SPDX-License-Identifier: MIT */
/*
 * Sentences for people about what went wrong with an agent: the tail of its
 * stderr, how it ended, why it could not be run, how to log in. One line
 * each, without control characters, never with values of its environment
 * save PATH.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ring.h"
#include "base/utf8.h"
#include "worker/cause.h"
#include "worker/worker_private.h"

#define TAIL_READ 4096
#define TAIL_ALL ((size_t)64 << 10)
#define TAIL_SHOWN 400
#define TAIL_LINES 3
#define HINT_METHODS 6

void
words_clean(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = ' ';
}

/* The last non-empty lines of text, " | " between them. */
static void
add_last_lines(struct buf *b, char *text)
{
	char *lines[TAIL_LINES];
	size_t n = 0, first;
	char *save = NULL, *line;

	for (line = strtok_r(text, "\r\n", &save); line != NULL;
	    line = strtok_r(NULL, "\r\n", &save))
		if (line[strspn(line, " ")] != '\0')
			lines[n++ % TAIL_LINES] = line;
	first = n > TAIL_LINES ? n - TAIL_LINES : 0;
	for (size_t i = first; i < n; i++) {
		if (i > first)
			buf_adds(b, " | ");
		words_clean(lines[i % TAIL_LINES]);
		buf_adds(b, lines[i % TAIL_LINES]);
	}
}

/* Cut behind the secrets: half of one would not be known for one. */
char *
words_stderr_tail(const struct worker *w, size_t max)
{
	char *text = secrets_hide(w->secrets, ring_text(w->err_ring, TAIL_ALL));
	size_t len = strlen(text);
	char *tail = text;

	if (len <= max)
		return text;
	tail += len - max;
	while (((unsigned char)*tail & 0xc0) == 0x80)
		tail++;
	tail = xstrdup(tail);
	free(text);
	return tail;
}

char *
words_said(const struct worker *w, const struct envelope *m)
{
	return envelope_error_cut(secrets_hide(w->secrets,
	    envelope_error_text(m)));
}

char *
words_stderr(const struct worker *w)
{
	struct buf b = { 0 };
	char *text = words_stderr_tail(w, TAIL_READ);
	const char *tail;
	char *words;

	add_last_lines(&b, text);
	free(text);
	if (b.len == 0) {
		buf_free(&b);
		return w->first_noise == NULL ? xstrdup("")
		    : xasprintf("; stdout begins with: %s", w->first_noise);
	}
	tail = b.data;
	if (b.len > TAIL_SHOWN) {
		tail += b.len - TAIL_SHOWN;
		while (((unsigned char)*tail & 0xc0) == 0x80)
			tail++;
	}
	words = xasprintf("; stderr ends with: %s", tail);
	buf_free(&b);
	return words;
}

char *
words_cause(const struct worker *w, int exit_code, const char *otherwise)
{
	char *said = words_stderr_tail(w, TAIL_READ), *words;
	char *tail = words_stderr(w);
	const char *cause = cause_find(*said == '\0' && w->first_noise != NULL ?
	    w->first_noise : said, exit_code, w->is_ready);

	if (cause == NULL)
		cause = otherwise;
	words = xasprintf("%s%s%s%s", cause != NULL ? " (" : "",
	    cause != NULL ? cause : "", cause != NULL ? ")" : "", tail);
	free(tail);
	free(said);
	return words;
}

char *
words_exit(const struct child_exit *x)
{
	const char *name;

	if (x->term_signal == 0)
		return xasprintf("exit code %d", x->exit_code);
	name = sigabbrev_np(x->term_signal);
	return name != NULL ? xasprintf("SIG%s", name)
	    : xasprintf("signal %d", x->term_signal);
}

char *
words_missing(const struct worker *w, const struct child_exit *x)
{
	const char *step = x->exec_step != NULL ? x->exec_step : "exec";
	const char *why = strerror(x->exec_errno);

	if (strcmp(step, "chdir") == 0)
		return xasprintf("cannot run \"%s\" in %s: %s", w->argv[0],
		    w->cwd, why);
	if (strcmp(step, "exec") != 0)
		return xasprintf("cannot run \"%s\": %s: %s", w->argv[0], step,
		    why);
	if (strchr(w->argv[0], '/') != NULL)
		return xasprintf("cannot run \"%s\": %s", w->argv[0], why);
	return xasprintf("cannot run \"%s\": %s (searched PATH=%s)",
	    w->argv[0], why, w->path != NULL ? w->path : "");
}

/* At most max bytes of s, as one line. */
static void
add_cut(struct buf *b, const char *s, size_t max)
{
	size_t len = strlen(s), at = b->len;

	buf_add(b, s, len > max ? utf8_cut(s, max) : len);
	words_clean(b->data + at);
}

static const char *
find_text(const json_t *o, const char *member)
{
	const char *s = json_string_value(json_object_get(o, member));

	return s != NULL && s[0] != '\0' ? s : NULL;
}

/* What agents tell beside the protocol: variables to set, a command to run. */
static void
add_how(struct buf *b, const json_t *method)
{
	const json_t *vars = json_object_get(method, "vars"), *item;
	const json_t *run = json_object_get(json_object_get(method, "_meta"),
	    "terminal-auth");
	const char *command = find_text(run, "command"), *gap = " [set ";
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)vars, i, item) {
		const char *name = find_text(item, "name");

		if (name == NULL || i >= HINT_METHODS)
			continue;
		buf_adds(b, gap);
		add_cut(b, name, 100);
		gap = ", ";
	}
	if (strcmp(gap, ", ") == 0)
		buf_adds(b, " in its env]");
	if (command == NULL)
		return;
	buf_adds(b, " [run ");
	add_cut(b, command, 200);
	json_array_foreach(json_object_get(run, "args"), i, item) {
		if (!json_is_string(item) || i >= HINT_METHODS)
			continue;
		buf_adds(b, " ");
		add_cut(b, json_string_value(item), 100);
	}
	buf_adds(b, "]");
}

char *
words_auth_hint(const struct worker *w, const json_t *methods)
{
	const json_t *method;
	const char *name, *description;
	struct buf b = { 0 };
	size_t i;

	if (json_array_size(methods) == 0)
		methods = w->auth_methods;
	json_array_foreach((json_t *)(uintptr_t)methods, i, method) {
		name = find_text(method, "name");
		if (name == NULL)
			name = find_text(method, "id");
		if (name == NULL || i >= HINT_METHODS)
			continue;
		description = find_text(method, "description");
		buf_adds(&b, b.len == 0 ? "; ways to log in: " : ", ");
		add_cut(&b, name, 100);
		if (description != NULL) {
			buf_adds(&b, " (");
			add_cut(&b, description, 200);
			buf_adds(&b, ")");
		}
		add_how(&b, method);
	}
	return b.len > 0 ? buf_take(&b) : xstrdup("");
}
