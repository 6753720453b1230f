/* SPDX-License-Identifier: MIT */
/*
 * A scripted ACP agent that costs next to nothing, so that what is measured is
 * the client: no JSON library, no allocation per message, writes of up to
 * 64 KiB. What a prompt makes it do stands in bench/script.h.
 *
 * It answers initialize, session/new, session/load, session/resume and
 * session/prompt; any other request gets an empty result. While it streams it
 * does not read, so a cancel takes effect at the turn's end only. It trusts its
 * client to write one JSON object per line, and finds what it needs by
 * skimming. It is no example of an agent: contrib/demo_agent.c is.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/script.h"

enum { OUT_SIZE = 64 << 10 };

static char out[OUT_SIZE];
static size_t out_len;
static char *text;
static char *line;

static void
write_all(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			exit(0);
		data += n;
		len -= (size_t)n;
	}
}

static void
flush(void)
{
	write_all(out, out_len);
	out_len = 0;
}

static void
put(const char *data, size_t len)
{
	if (out_len + len > sizeof out)
		flush();
	if (len > sizeof out) {
		write_all(data, len);
		return;
	}
	memcpy(out + out_len, data, len);
	out_len += len;
}

static void
puts_(const char *s)
{
	put(s, strlen(s));
}

/* ---- reading */

/* Just behind the value that begins at p. */
static const char *
skip_value(const char *p)
{
	int depth = 0;
	bool in_string = false;

	for (; *p; p++) {
		if (in_string) {
			if (*p == '\\' && p[1])
				p++;
			else if (*p == '"')
				in_string = false;
		} else if (*p == '"') {
			in_string = true;
		} else if (*p == '{' || *p == '[') {
			depth++;
		} else if (*p == '}' || *p == ']') {
			if (depth == 0)
				return p;
			depth--;
		} else if (*p == ',' && depth == 0) {
			return p;
		}
	}
	return p;
}

/* The value of a member of the object that begins at p, or NULL. */
static const char *
member(const char *p, const char *name)
{
	size_t n = strlen(name);

	if (!p || *p != '{')
		return NULL;
	for (p++; *p && *p != '}';) {
		const char *key;

		p += strspn(p, " ,");
		if (*p != '"')
			return NULL;
		key = p + 1;
		for (p = key; *p && *p != '"'; p++)
			if (*p == '\\' && p[1])
				p++;
		p += *p == '"';
		p += strspn(p, " :");
		if (strncmp(key, name, n) == 0 && key[n] == '"')
			return p;
		p = skip_value(p);
	}
	return NULL;
}

static bool
is_string(const char *value, const char *wanted)
{
	size_t n = strlen(wanted);

	return value && *value == '"' && strncmp(value + 1, wanted, n) == 0 &&
	    value[1 + n] == '"';
}

/* ---- answering */

static void
answer(const char *id, const char *result)
{
	puts_("{\"jsonrpc\":\"2.0\",\"id\":");
	put(id, (size_t)(skip_value(id) - id));
	puts_(",\"result\":");
	puts_(result);
	puts_("}\n");
	flush();
}

/* Everything up to the update itself; made once for each prompt. */
static char head[512];

static void
make_head(const char *session)
{
	int n = session ? (int)(skip_value(session) - session) : 2;

	snprintf(head, sizeof head, "{\"jsonrpc\":\"2.0\",\"method\":"
	    "\"session/update\",\"params\":{\"sessionId\":%.*s,\"update\":"
	    "{\"sessionUpdate\":", n, session ? session : "\"\"");
}

static void
put_chunk(const struct script *s, const char *kind, long i)
{
	size_t len = script_text(s, i, true, text);

	puts_(head);
	puts_(kind);
	if (s->stamp)
		script_stamp(text);
	put(text, len);
	puts_("\"}}}}\n");
}

static void
rest(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000,
	    .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

/* Counted from `begin`, so that time spent on writing makes no one slower. */
static void
keep_pace(const struct timespec *begin, long ms)
{
	struct timespec t = *begin;

	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	flush();
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void
put_tool(long i)
{
	char words[256];

	puts_(head);
	snprintf(words, sizeof words, "\"tool_call\",\"toolCallId\":\"call-%ld\","
	    "\"title\":\"Read file %ld\",\"kind\":\"read\",\"status\":"
	    "\"in_progress\",\"rawInput\":{\"path\":\"src/main.c\"}}}}\n", i, i);
	puts_(words);
	puts_(head);
	snprintf(words, sizeof words, "\"tool_call_update\",\"toolCallId\":"
	    "\"call-%ld\",\"status\":\"completed\",\"content\":[{\"type\":"
	    "\"content\",\"content\":{\"type\":\"text\",\"text\":"
	    "\"int main(void);\"}}]}}}\n", i);
	puts_(words);
}

static void
stream(const struct script *s)
{
	struct timespec begin;
	long tools = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (long i = 0; i < s->thoughts; i++)
		put_chunk(s, "\"agent_thought_chunk\",\"content\":{\"type\":"
		    "\"text\",\"text\":\"", i);
	for (long i = 0; i < s->chunks; i++) {
		if (tools < s->tools && i * s->tools / s->chunks >= tools)
			put_tool(tools++);
		put_chunk(s, "\"agent_message_chunk\",\"content\":{\"type\":"
		    "\"text\",\"text\":\"", i);
		if (s->pace)
			keep_pace(&begin, s->pace * (i + 1));
	}
	while (tools < s->tools)
		put_tool(tools++);
}

/* What is not there is made, so that a missing folder is all that can fail. */
static void
change_file(long i)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "%ld/0/0", i);
	f = fopen(path, "a");
	if (!f)
		abort();
	fprintf(f, "changed by %d\n", (int)getpid());
	fclose(f);
}

static void
run_prompt(const char *id, const char *params)
{
	const char *blocks = params ? member(params, "prompt") : NULL;
	const char *words = blocks && *blocks == '[' ?
	    member(blocks + 1, "text") : NULL;
	struct script s;

	script_read(&s, words ? words + 1 : "",
	    words ? strcspn(words + 1, "\"") : 0);
	text = realloc(text, (size_t)s.size * 2 + 64);
	if (!text)
		abort();
	make_head(params ? member(params, "sessionId") : NULL);
	if (s.wait > 0)
		rest(s.wait);
	for (long i = 0; i < s.files; i++)
		change_file(i);
	stream(&s);
	answer(id, "{\"stopReason\":\"end_turn\"}");
}

int
main(void)
{
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		const char *id = member(line, "id");
		const char *method = member(line, "method");

		if (!id || !method)
			continue;
		if (is_string(method, "session/prompt"))
			run_prompt(id, member(line, "params"));
		else if (is_string(method, "initialize"))
			answer(id, "{\"protocolVersion\":1,"
			    "\"agentCapabilities\":{},\"authMethods\":[]}");
		else if (is_string(method, "session/new"))
			answer(id, "{\"sessionId\":\"load-1\"}");
		else
			answer(id, "{}");
	}
	return 0;
}
