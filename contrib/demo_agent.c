/* SPDX-License-Identifier: MIT */
/*
 * hearth-demo-agent: a small, complete ACP agent (protocol version 1) that
 * needs no model: it does what simple English commands say ("help" lists
 * them) and chats about everything else. It is there to try Hearth with and
 * to be read as the example of an agent; it knows nothing of Hearth.
 *
 * Read it from the end: main() takes lines from stdin, on_message() tells
 * requests from notifications and answers, on_request() is what ACP asks of
 * an agent. What a prompt means is contrib/demo_orders.c, its tool calls are
 * contrib/demo_tools.c.
 *
 * A process holds any number of sessions and works on one prompt at a time.
 * Whatever waits inside a prompt (demo_say(), demo_rest(), demo_ask()) goes
 * on reading stdin, so that a cancel is seen at once; is_cancelled then
 * unwinds it.
 */
#include <sys/random.h>

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "contrib/demo_agent.h"
#include "contrib/demo_orders.h"

#define MAX_LINE (32 << 20)  /* bytes of a message that it accepts */
#define LONG_ANSWER 20       /* words; a longer answer is streamed at a pace */
#define WORD_MS 10

enum {
	PARSE_ERROR = -32700,
	INVALID_REQUEST = -32600,
	METHOD_NOT_FOUND = -32601,
	INVALID_PARAMS = -32602,
	SESSION_NOT_FOUND = -32002,
};

static struct {
	struct demo_session *sessions;
	struct demo_session *busy; /* whose prompt is worked on, or NULL */
	bool is_cancelled;
	json_int_t last_request;   /* the number of our last request … */
	json_t *reply;             /* … and its answer, NULL until it comes */
	char *in;                  /* what was read and is no whole line yet */
	size_t in_len, in_size;
} me;

static void read_messages(int timeout_ms);

void
demo_die(const char *why)
{
	fprintf(stderr, "hearth-demo-agent: %s\n", why);
	exit(EXIT_FAILURE);
}

static json_t *
need(json_t *json)
{
	if (json == NULL)
		demo_die("out of memory");
	return json;
}

/* Owns what it is given, as all that send do with JSON. */
static void
send_message(json_t *msg)
{
	json_object_set_new(need(msg), "jsonrpc", json_string("2.0"));
	if (json_dumpf(msg, stdout, JSON_COMPACT) != 0 ||
	    putchar('\n') == EOF || fflush(stdout) != 0)
		demo_die("cannot write to stdout");
	json_decref(msg);
}

static void
send_result(json_t *id, json_t *result)
{
	send_message(json_pack("{s:O, s:o}", "id", id, "result",
	    need(result)));
}

static void
send_error(json_t *id, int code, const char *message)
{
	send_message(json_pack("{s:O, s:{s:i, s:s}}", "id", id,
	    "error", "code", code, "message", message));
}

static void
send_update(const struct demo_session *s, json_t *update)
{
	send_message(json_pack("{s:s, s:{s:s, s:o}}",
	    "method", "session/update", "params", "sessionId", s->id,
	    "update", need(update)));
}

struct demo_session *
demo_session(void)
{
	return me.busy;
}

bool
demo_is_cancelled(void)
{
	return me.is_cancelled;
}

void
demo_update(json_t *update)
{
	send_update(me.busy, update);
}

static long long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

void
demo_rest(long long ms)
{
	long long until = now_ms() + ms, left;

	while (!me.is_cancelled && (left = until - now_ms()) > 0)
		read_messages(left > INT_MAX ? INT_MAX : (int)left);
}

/* A text's first word with the blanks around it. */
static size_t
word_length(const char *text)
{
	size_t n = strspn(text, " \n\t");

	n += strcspn(text + n, " \n\t");
	return n + strspn(text + n, " \n\t");
}

static int
count_words(const char *text)
{
	int words = 0;

	for (; *text != '\0'; text += word_length(text))
		words++;
	return words;
}

void
demo_say(const char *text)
{
	int pace = count_words(text) > LONG_ANSWER ? WORD_MS : 0;

	while (*text != '\0' && !me.is_cancelled) {
		size_t n = word_length(text);

		demo_update(json_pack("{s:s, s:{s:s, s:s%}}",
		    "sessionUpdate", "agent_message_chunk",
		    "content", "type", "text", "text", text, n));
		text += n;
		if (*text != '\0')
			demo_rest(pace);
		read_messages(0);
	}
}

void
demo_sayf(const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		demo_die("out of memory");
	va_end(ap);
	demo_say(text);
	free(text);
}

json_t *
demo_ask(const char *method, json_t *params)
{
	json_t *reply;

	json_decref(me.reply);
	me.reply = NULL;
	json_object_set_new(need(params), "sessionId",
	    json_string(me.busy->id));
	send_message(json_pack("{s:I, s:s, s:o}", "id", ++me.last_request,
	    "method", method, "params", params));
	while (me.reply == NULL && !me.is_cancelled)
		read_messages(-1);
	reply = me.reply;
	me.reply = NULL;
	return reply;
}

/* The last text is what the user says; what stands before it is context. */
static char *
prompt_text(const json_t *blocks)
{
	const char *text = "", *found;
	const json_t *block;
	size_t i, n;

	json_array_foreach(blocks, i, block) {
		found = json_string_value(json_object_get(block, "text"));
		if (found != NULL)
			text = found;
	}
	text += strspn(text, " \n\t");
	for (n = strlen(text); n > 0 && strchr(" \n\t", text[n - 1]); n--)
		;
	return strndup(text, n);
}

static void
on_prompt(json_t *id, const json_t *params, struct demo_session *s)
{
	char *text;

	if (me.busy != NULL) {
		send_error(id, INVALID_REQUEST, "a prompt is running already");
		return;
	}
	text = prompt_text(json_object_get(params, "prompt"));
	if (text == NULL)
		demo_die("out of memory");
	me.busy = s;
	me.is_cancelled = false;
	s->turns++;
	demo_obey(text);
	free(text);
	me.busy = NULL;
	send_result(id, json_pack("{s:s}", "stopReason",
	    me.is_cancelled ? "cancelled" : "end_turn"));
}

static void
on_initialize(json_t *id)
{
	send_result(id, json_pack("{s:i, s:{s:b, s:{s:b, s:b, s:b},"
	    " s:{s:{}}}, s:[], s:{s:s, s:s, s:s}}", "protocolVersion", 1,
	    "agentCapabilities", "loadSession", 0, "promptCapabilities",
	    "image", 0, "audio", 0, "embeddedContext", 0,
	    "sessionCapabilities", "close", "authMethods",
	    "agentInfo", "name", "hearth-demo-agent", "title", "Demo agent",
	    "version", "1.0"));
}

static struct demo_session *
make_session(const char *cwd)
{
	struct demo_session *s = calloc(1, sizeof *s);
	unsigned long long number;

	if (s == NULL)
		demo_die("out of memory");
	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
		demo_die("no random numbers");
	snprintf(s->id, sizeof s->id, "demo-%016llx", number);
	snprintf(s->cwd, sizeof s->cwd, "%s", cwd);
	s->next = me.sessions;
	me.sessions = s;
	return s;
}

static void
offer_commands(const struct demo_session *s)
{
	send_update(s, json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:s},"
	    " {s:s, s:s, s:{s:s}}]}",
	    "sessionUpdate", "available_commands_update", "availableCommands",
	    "name", "help", "description", "What I understand",
	    "name", "list", "description", "The files of this folder",
	    "name", "read", "description", "Shows a file",
	    "input", "hint", "FILE"));
}

static void
on_new(json_t *id, const json_t *params)
{
	const char *cwd = json_string_value(json_object_get(params, "cwd"));
	struct demo_session *s;

	if (cwd == NULL || cwd[0] != '/' || strlen(cwd) >= PATH_MAX) {
		send_error(id, INVALID_PARAMS, "cwd must be an absolute path");
		return;
	}
	s = make_session(cwd);
	send_result(id, json_pack("{s:s, s:{s:s, s:[{s:s, s:s, s:s},"
	    " {s:s, s:s, s:s}]}}", "sessionId", s->id, "modes",
	    "currentModeId", "edit", "availableModes",
	    "id", "edit", "name", "Edit", "description", "Edits without asking",
	    "id", "ask", "name", "Ask", "description", "Asks before editing"));
	offer_commands(s);
}

static void
on_set_mode(json_t *id, const json_t *params, struct demo_session *s)
{
	const char *mode = json_string_value(json_object_get(params, "modeId"));

	if (mode == NULL ||
	    (strcmp(mode, "edit") != 0 && strcmp(mode, "ask") != 0)) {
		send_error(id, INVALID_PARAMS, "modes are \"edit\" and \"ask\"");
		return;
	}
	s->asks = strcmp(mode, "ask") == 0;
	s->always = false;
	send_result(id, json_object());
}

static void
on_close(json_t *id, struct demo_session *s)
{
	struct demo_session **p = &me.sessions;

	if (s == me.busy) {
		send_error(id, INVALID_REQUEST, "a prompt is running");
		return;
	}
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	free(s);
	send_result(id, json_object());
}

static struct demo_session *
find_session(const json_t *params)
{
	const char *id = json_string_value(json_object_get(params,
	    "sessionId"));
	struct demo_session *s = me.sessions;

	while (s != NULL && (id == NULL || strcmp(s->id, id) != 0))
		s = s->next;
	return s;
}

static void
on_request(const char *method, json_t *id, const json_t *params)
{
	struct demo_session *s = find_session(params);

	if (strcmp(method, "initialize") == 0)
		on_initialize(id);
	else if (strcmp(method, "session/new") == 0)
		on_new(id, params);
	else if (strcmp(method, "session/prompt") != 0 &&
	    strcmp(method, "session/set_mode") != 0 &&
	    strcmp(method, "session/close") != 0)
		send_error(id, METHOD_NOT_FOUND, "Method not found");
	else if (s == NULL)
		send_error(id, SESSION_NOT_FOUND, "No such session");
	else if (strcmp(method, "session/prompt") == 0)
		on_prompt(id, params, s);
	else if (strcmp(method, "session/set_mode") == 0)
		on_set_mode(id, params, s);
	else
		on_close(id, s);
}

static void
on_notification(const char *method, const json_t *params)
{
	if (strcmp(method, "session/cancel") == 0 && me.busy != NULL &&
	    find_session(params) == me.busy)
		me.is_cancelled = true;
}

static void
on_reply(json_t *msg)
{
	if (me.reply == NULL && me.busy != NULL && json_integer_value(
	    json_object_get(msg, "id")) == me.last_request)
		me.reply = json_incref(msg);
}

static void
on_message(const char *line, size_t len)
{
	json_t *msg = json_loadb(line, len, 0, NULL);
	json_t *id = json_object_get(msg, "id");
	const json_t *params = json_object_get(msg, "params");
	const char *method = json_string_value(json_object_get(msg, "method"));

	if (msg == NULL)
		send_error(json_null(), PARSE_ERROR, "Parse error");
	else if (method == NULL)
		on_reply(msg);
	else if (id == NULL)
		on_notification(method, params);
	else
		on_request(method, id, params);
	json_decref(msg);
}

static void
read_more(void)
{
	ssize_t n;

	if (me.in_len >= MAX_LINE)
		demo_die("a message is too long");
	if (me.in_size - me.in_len < BUFSIZ) {
		me.in_size = 2 * me.in_size + BUFSIZ;
		me.in = realloc(me.in, me.in_size);
		if (me.in == NULL)
			demo_die("out of memory");
	}
	n = read(STDIN_FILENO, me.in + me.in_len, me.in_size - me.in_len);
	if (n == 0)
		exit(EXIT_SUCCESS);
	if (n < 0 && errno != EINTR)
		demo_die("cannot read from stdin");
	if (n > 0)
		me.in_len += (size_t)n;
}

/*
 * Handles what has come, waiting at most so long (-1: for ever) for more.
 * Handling a prompt comes back here, so a line leaves the buffer first.
 */
static void
read_messages(int timeout_ms)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	size_t seen = me.in_len;
	char *end;

	if (poll(&fd, 1, timeout_ms) > 0)
		read_more();
	while (me.in_len > seen &&
	    (end = memchr(me.in + seen, '\n', me.in_len - seen)) != NULL) {
		size_t len = (size_t)(end - me.in);
		char *line = malloc(len + 1);

		if (line == NULL)
			demo_die("out of memory");
		memcpy(line, me.in, len);
		me.in_len -= len + 1;
		memmove(me.in, end + 1, me.in_len);
		seen = 0;
		on_message(line, len);
		free(line);
	}
}

int
main(void)
{
	for (;;)
		read_messages(-1);
}
