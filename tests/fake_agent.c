/* SPDX-License-Identifier: MIT */
/*
 * fake_agent: a scripted ACP agent for tests. It answers correctly by default
 * and misbehaves on demand. jansson only parses what the client sends; all
 * output is written raw, so that it can be wrong byte by byte. It stands
 * alone and must never include anything of the daemon.
 *
 * WHAT HAPPENS BEFORE A PROMPT: options
 *   --init-delay MS      --new-delay MS        answer that late
 *   --no-init            --no-new              never answer
 *   --exit-at-start N    --exit-at-init N      --exit-at-new N
 *   --exit-while FILE    exit 9 at start as long as FILE exists
 *   --init-error CODE    --new-error CODE      --auth-new (-32000)
 *   --version N          protocolVersion in initialize's answer
 *   --agent-name NAME    --agent-version V     agentInfo in it
 *   --init-id FORM       id of initialize's answer, FORM as for answer-id
 *   --noise-lines N      "noise 1" … before anything; --noise-glued: garbage
 *                        in front of initialize's answer, in the same line
 *   --crlf  --dribble    CRLF line ends; one byte per write
 *   --update-before-new  one update (text "early") before session/new's answer
 *   --ask-at-once        asks for permission behind initialize's answer
 *   --commands           an available_commands_update after session/new, …
 *   --no-offers          no modes, no configOptions
 *   --legacy-models      models instead of configOptions (session/set_model)
 *   --no-set             never answers session/set_…; --exit-at-set N
 *   --set-delay MS       answers session/set_… that late
 *   --refuse-mode        session/set_mode fails with -32603
 *   --null-results       null instead of {} wherever ACP allows it
 *   --load  --resume  --close   offers session/load, /resume, /close
 *   --store DIR          sessions outlive the process (a file per session
 *                        with its turn count); unknown ids are then -32002
 *   --session-lost CODE  load and resume fail with CODE
 *   --lost-words TEXT    … and with this message ("Session not found")
 *   --no-mcp-reopen      load and resume take no MCP servers (-32602)
 *   --no-reopen          load and resume are never answered; --exit-at-reopen N
 *   --replay N           load replays N pairs "question i"/"answer i" (1)
 *   --replay-late MS     the same, but MS after load's answer
 *   --no-eof             ignores end of input; --ignore-term: SIGTERM too.
 *                        (Both still end after ten minutes.)
 *   --exit-idle-after MS exits 7 when that long nothing came from the client
 *   --grandchild  --setsid-grandchild          see the commands below
 *   --stderr TEXT        --stderr-flood BYTES  --memory MIB  at start
 *   --spawn-log FILE     appends "PID\n" at start
 *   --wire-log FILE      appends every line that came from the client
 *
 * WHAT A PROMPT DOES: its last text block is a script. Commands are separated
 * by newlines or ";" ("\;" is a semicolon; in texts \n \t \s \\ are newline,
 * tab, space, backslash). A command's text begins after one space and runs to
 * the separator, blanks included. At the end the prompt is answered with
 * end_turn unless a command answered it. An unknown command fails the prompt
 * with -32602. What a command reports is text in brackets.
 *
 *  text     say TEXT · think TEXT · chunks N SIZE [MS]: N chunks of SIZE
 *           letters, aaa, bbb … · count N [MS]: "1 " "2 " … · big MIB: one
 *           chunk of x · user TEXT: user_message_chunk · message [ID]: the
 *           messageId from now on · repeat: all text said so far, once more
 *  time     sleep MS · hang: until cancelled · deaf MS: without reading
 *  files    write FILE TEXT · append FILE TEXT · delete FILE (below the
 *           session's cwd) · edit FILE TEXT: the same as a tool call with a
 *           diff · run COMMAND: by sh, says "[run STATUS]"
 *  tools    tool KIND TITLE: a whole call, id tool-1, tool-2 … · tool-start ID
 *           KIND TITLE · tool-update ID STATUS [TEXT] · tool-end ID [STATUS
 *           [TEXT]] · tool-flood ID N SIZE: N updates, each with the whole
 *           output so far, SIZE bytes more every time
 *  asking   permission [KIND…]: option ids are the kinds with - for _, or
 *           ID=KIND; default allow_once reject_once; says "[permission
 *           allow-once]" or "[permission cancelled]" · permissions N: N at
 *           the same time · permission-async: does not wait · allowed COMMAND,
 *           denied COMMAND: only if the last permission's chosen id had
 *           "allow" in it, or not
 *           call MEMBERS: JSON members of the tool call that is asked about
 *           from now on, instead of its kind and rawInput · elicit: says
 *           "[elicit decline]"
 *           fs-read PATH: says "[fs-read CONTENT]" or "[fs-read error CODE]"
 *           fs-write PATH TEXT: "[fs-write ok]" or the error · unknown-request:
 *           says "[unknown-request CODE]" · request-id FORM: ids of requests
 *           from now on: int zero string huge null missing
 *  terminals (N: which, from 1; the last)  terminal COMMAND: "[terminal ok]"
 *           or "[terminal error CODE]" · terminal-with MEMBERS: JSON members
 *           of every terminal/create from now on · terminal-output [N]:
 *           "[output whole running TEXT]", or truncated, or how it ended ·
 *           terminal-wait [N]: "[wait 0]" "[wait SIGTERM]" · terminal-wait-async
 *           [N]: does not wait · terminal-waited: the first of those that
 *           are open, then as terminal-wait · terminal-cancel: withdraws it
 *           before that · terminal-kill [N]: "[kill ok]" · terminal-release
 *           [N]: "[release ok]" · terminal-embed ID STATUS [N]: an update of
 *           a tool call with the terminal as its content
 *  state    plan N: N entries · commands NAME… · mode ID · config VALUE ·
 *           usage USED SIZE [COST [CURRENCY]]: 0.25 USD, COST is JSON · info
 *           TITLE · notice TEXT
 *  about    echo-pid "[pid 12]" · echo-session · echo-cwd · echo-turn: "[turn
 *           2]" of this session · echo-mode · echo-config · echo-env NAME:
 *           "[env NAME=value]" or "[env NAME unset]" · echo-blocks: "[blocks
 *           2]" · echo-block I: the text of block I (from 0)
 *  wire     raw LINE: as it stands, @S@ and @P@ are the session's and the
 *           prompt's id, @K@ what API_KEY in its environment is ·
 *           raw-bytes HEX: without a line end · noise TEXT · glue TEXT: in
 *           front of the next line · crlf on|off · dribble on|off · nolf: the
 *           next line lacks its LF · split TEXT: said with a pause inside every
 *           character beyond ASCII · bad-utf8: "a\xff\xc3b" · nul:
 *           "a\u0000b" · surrogate: "a\ud83db" · deep N: nested that deep
 *  strays   foreign-response · error-no-id · error-null-id · batch ·
 *           unknown-notification · unknown-update · wrong-session TEXT
 *  the end  stop [REASON]: answers now, the script goes on (again: a second
 *           answer; what follows comes after the answer) · error CODE MESSAGE ·
 *           auth (-32000) · empty (result {}) · result JSON · usage-result IN
 *           OUT: token counts in the answer · answer-id FORM: id of the
 *           answer: int string huge null missing foreign
 *  death    exit N · signal NAME · close-stdout · close-stdin · memory MIB ·
 *           grandchild: a child that holds all pipes, says "[grandchild PID]"
 *           · setsid-grandchild: in a session of its own and orphaned · stderr
 *           TEXT · stderr-flood BYTES
 *  cancel   on-cancel HOW: answer (default: the script stops, stop reason
 *           cancelled) · finish (goes on) · never (stops, never answers) ·
 *           error (-32603 aborted) · late MS · second (answers the second
 *           session/cancel or a $/cancel_request) · permission (asks, says
 *           what came, then answers) · say TEXT (then answers) · stop REASON ·
 *           exit N
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_SESSIONS 64
#define MAX_ASKED 256
#define LIFE_LIMIT 600 /* seconds; nothing that a test forgot lives longer */

struct session {
	char id[128];
	char cwd[PATH_MAX];
	char mode[64];
	char model[64];
	int turns;
};

/* A request of ours that the client has to answer. */
struct asked {
	char id[64];
	json_t *reply;
};

enum on_cancel {
	CANCEL_ANSWER, CANCEL_FINISH, CANCEL_NEVER, CANCEL_ERROR, CANCEL_LATE,
	CANCEL_SECOND, CANCEL_PERMISSION, CANCEL_SAY, CANCEL_STOP, CANCEL_EXIT,
};

/*
 * The prompt that is being worked on. One that comes while the script of an
 * answered one still runs is worked on inside that script's next wait.
 */
struct turn {
	struct session *s;
	char *id;               /* of the prompt, JSON */
	const json_t *blocks;
	bool is_answered;
	int cancels;
	enum on_cancel on_cancel;
	char cancel_arg[1024];
	char message_id[64];
	char answer_id[16];
	long long tokens_in, tokens_out;
	bool was_allowed;
	int tools;
	FILE *said;
	char *said_text;
	size_t said_len;
};

static struct {
	long init_delay, new_delay, version, replay, replay_late, exit_idle;
	long exit_at_start, exit_at_init, exit_at_new, memory, stderr_flood;
	long init_error, new_error, session_lost, noise_lines, exit_at_reopen;
	long exit_at_set, set_delay;
	bool no_init, no_new, no_reopen, no_mcp_reopen, noise_glued;
	bool update_before_new, commands, ask_at_once;
	bool legacy_models, no_set, refuse_mode;
	bool no_offers, null_results, load, resume, close, no_eof, ignore_term;
	bool grandchild, setsid_grandchild, crlf, dribble, auth_new;
	const char *exit_while, *store, *stderr_text, *spawn_log, *wire_log;
	const char *init_id, *lost_words, *agent_name,
	    *agent_version;
} opt = {
	.version = 1, .replay = 1, .replay_late = -1,
	.exit_at_start = -1, .exit_at_init = -1, .exit_at_new = -1,
	.exit_at_reopen = -1, .exit_at_set = -1,
	.lost_words = "Session not found",
};

static struct session sessions[MAX_SESSIONS];
static int n_sessions;
static struct asked asked[MAX_ASKED];
static int n_asked;
static struct turn *turn;
static char request_id_form[16] = "int";
static bool eof;

static char *in;
static size_t in_len, in_size, in_scanned;

static bool out_crlf, out_dribble, out_nolf;
static char out_glue[4096];

static void pump(long ms);

static long long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void
doze(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

static void
write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		size_t want = out_dribble && fd == 1 ? 1 : len;
		ssize_t n = write(fd, p, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static void
put_string(FILE *f, const char *s)
{
	putc_unlocked('"', f);
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20)
			fprintf(f, "\\u%04x", c);
		else
			putc_unlocked(c, f);
	}
	putc_unlocked('"', f);
}

/* %s as it stands, %j as a JSON string, %d a long long. Nothing else. */
static void
put_format(FILE *f, const char *fmt, va_list ap)
{
	for (; *fmt != '\0'; fmt++) {
		if (*fmt != '%') {
			putc(*fmt, f);
			continue;
		}
		switch (*++fmt) {
		case 's': fputs(va_arg(ap, const char *), f); break;
		case 'j': put_string(f, va_arg(ap, const char *)); break;
		case 'd': fprintf(f, "%lld", va_arg(ap, long long)); break;
		default: abort();
		}
	}
}

static void
put_line(const char *text, size_t len)
{
	char *whole = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&whole, &size);

	fputs(out_glue, f);
	fwrite(text, 1, len, f);
	if (!out_nolf)
		fputs(out_crlf ? "\r\n" : "\n", f);
	fclose(f);
	out_glue[0] = '\0';
	out_nolf = false;
	write_all(1, whole, size);
	free(whole);
}

static void
vframe(const char *fmt, va_list ap)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	put_format(f, fmt, ap);
	fclose(f);
	put_line(text, len);
	free(text);
}

static void
frame(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vframe(fmt, ap);
	va_end(ap);
}

static char *
text_of(const char *fmt, ...)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	va_list ap;

	va_start(ap, fmt);
	put_format(f, fmt, ap);
	va_end(ap);
	fclose(f);
	return text;
}

/* An update of the session: tag, then members beginning with a comma. */
static void
update(const struct session *s, const char *tag, const char *fmt, ...)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	va_list ap;

	va_start(ap, fmt);
	put_format(f, fmt, ap);
	va_end(ap);
	fclose(f);
	frame("{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":"
	    "{\"sessionId\":%j,\"update\":{\"sessionUpdate\":%j%s}}}",
	    s->id, tag, text);
	free(text);
}

/* content is the JSON of a content block's text, quotes included. */
static void
chunk_json(const char *tag, const char *content)
{
	char *id = turn->message_id[0] != '\0' ?
	    text_of(",\"messageId\":%j", turn->message_id) : text_of("");

	update(turn->s, tag, ",\"content\":{\"type\":\"text\",\"text\":%s}%s",
	    content, id);
	free(id);
}

static void
chunk(const char *tag, const char *text)
{
	char *json = text_of("%j", text);

	chunk_json(tag, json);
	free(json);
}

static void
say(const char *text)
{
	fputs(text, turn->said);
	chunk("agent_message_chunk", text);
}

static void
sayf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	say(text);
	free(text);
}

static void
answer(const char *id, const char *result)
{
	frame("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}", id, result);
}

static void
answer_error(const char *id, long code, const char *message)
{
	frame("{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":%d,"
	    "\"message\":%j}}", id, (long long)code, message);
}

/* The id of an answer in the form that was asked for; "" leaves it out. */
static char *
id_member(const char *form, const char *id)
{
	if (strcmp(form, "string") == 0)
		return text_of("\"id\":\"%s\",", id);
	if (strcmp(form, "huge") == 0)
		return text_of("\"id\":123456789012345678901234567890,");
	if (strcmp(form, "null") == 0)
		return text_of("\"id\":null,");
	if (strcmp(form, "missing") == 0)
		return text_of("");
	if (strcmp(form, "foreign") == 0)
		return text_of("\"id\":\"nobody-asked\",");
	return text_of("\"id\":%s,", id);
}

static void
end_prompt(const char *body)
{
	char *id = id_member(turn->answer_id, turn->id);

	frame("{\"jsonrpc\":\"2.0\",%s%s}", id, body);
	turn->is_answered = true;
	free(id);
}

static void
end_prompt_error(long code, const char *message)
{
	char *body = text_of("\"error\":{\"code\":%d,\"message\":%j}",
	    (long long)code, message);

	end_prompt(body);
	free(body);
}

static void
end_prompt_stop(const char *reason)
{
	char *usage = turn->tokens_in < 0 ? text_of("") :
	    text_of(",\"usage\":{\"totalTokens\":%d,\"inputTokens\":%d,"
	    "\"outputTokens\":%d}", turn->tokens_in + turn->tokens_out,
	    turn->tokens_in, turn->tokens_out);
	char *body = text_of("\"result\":{\"stopReason\":%j%s}", reason, usage);

	end_prompt(body);
	free(body);
	free(usage);
}

static struct asked *
ask(const char *method, const char *fmt, ...)
{
	struct asked *a = &asked[n_asked % MAX_ASKED];
	char *params = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&params, &len);
	char *id, number[32];
	va_list ap;

	va_start(ap, fmt);
	put_format(f, fmt, ap);
	va_end(ap);
	fclose(f);
	json_decref(a->reply);
	a->reply = NULL;
	snprintf(number, sizeof number, "%d", n_asked++);
	if (strcmp(request_id_form, "zero") == 0)
		strcpy(number, "0");
	if (strcmp(request_id_form, "string") == 0)
		snprintf(a->id, sizeof a->id, "\"request-%s\"", number);
	else if (strcmp(request_id_form, "huge") == 0)
		snprintf(a->id, sizeof a->id, "9007199254740993%s", number);
	else if (strcmp(request_id_form, "null") == 0)
		strcpy(a->id, "null");
	else
		snprintf(a->id, sizeof a->id, "%s", number);
	id = strcmp(request_id_form, "missing") == 0 ? text_of("") :
	    text_of("\"id\":%s,", a->id);
	frame("{\"jsonrpc\":\"2.0\",%s\"method\":%j,\"params\":%s}",
	    id, method, params);
	free(id);
	free(params);
	return a;
}

static bool
is_interrupted(void)
{
	return turn != NULL && turn->cancels > 0 &&
	    turn->on_cancel != CANCEL_FINISH;
}

/* Waits for the client's answer; NULL when a cancel came first. */
static const json_t *
wait_reply(struct asked *a, bool even_if_cancelled)
{
	while (a->reply == NULL) {
		if (!even_if_cancelled && is_interrupted())
			return NULL;
		pump(60000);
	}
	return a->reply;
}

static long
error_code(const json_t *reply)
{
	return (long)json_integer_value(json_object_get(
	    json_object_get(reply, "error"), "code"));
}

static void
on_reply(json_t *msg)
{
	char *id = json_dumps(json_object_get(msg, "id"), JSON_ENCODE_ANY);
	int i;

	for (i = 0; i < MAX_ASKED && i < n_asked; i++)
		if (id != NULL && asked[i].reply == NULL &&
		    strcmp(asked[i].id, id) == 0) {
			asked[i].reply = json_incref(msg);
			break;
		}
	free(id);
}

static void
put_options(FILE *f, char *kinds)
{
	char *word, *save = NULL;
	const char *comma = "";

	for (word = strtok_r(kinds, " ", &save); word != NULL;
	    word = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(word, '=');
		char *id = strdup(word), *p;

		if (equals != NULL) {
			id[equals - word] = '\0';
			word = equals + 1;
		} else {
			for (p = id; *p != '\0'; p++)
				if (*p == '_')
					*p = '-';
		}
		fprintf(f, "%s{\"optionId\":\"%s\",\"name\":\"%s\","
		    "\"kind\":\"%s\"}", comma, id, word, word);
		comma = ",";
		free(id);
	}
}

static char call_members[4096] =
	"\"kind\":\"edit\",\"rawInput\":{\"why\":\"test\"}";

static void
do_call(char *args)
{
	snprintf(call_members, sizeof call_members, "%s", args);
}

static struct asked *
ask_permission(const char *kinds)
{
	char *list = strdup(kinds[0] != '\0' ? kinds :
	    "allow_once reject_once");
	char *options = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&options, &len);
	struct asked *a;

	put_options(f, list);
	fclose(f);
	a = ask("session/request_permission", "{\"sessionId\":%j,\"toolCall\":"
	    "{\"toolCallId\":\"perm-%d\",\"title\":\"May I?\","
	    "\"status\":\"pending\",%s},\"options\":[%s]}", turn->s->id,
	    (long long)n_asked, call_members, options);
	free(options);
	free(list);
	return a;
}

static void
say_permission(const json_t *reply)
{
	const json_t *o = json_object_get(json_object_get(reply, "result"),
	    "outcome");
	const char *id = json_string_value(json_object_get(o, "optionId"));
	const char *outcome = json_string_value(json_object_get(o, "outcome"));

	if (json_object_get(reply, "error") != NULL)
		sayf("[permission error %ld]", error_code(reply));
	else
		sayf("[permission %s]", id != NULL ? id :
		    outcome != NULL ? outcome : "?");
	turn->was_allowed = id != NULL && strstr(id, "allow") != NULL;
}

/* Cuts the first word off *args. "" when there is none. */
static char *
word(char **args)
{
	char *w = *args;

	while (*w == ' ')
		w++;
	*args = w;
	while (**args != '\0' && **args != ' ')
		(*args)++;
	if (**args != '\0')
		*(*args)++ = '\0';
	return w;
}

static long
number(char **args, long otherwise)
{
	char *w = word(args);

	return *w == '\0' ? otherwise : strtol(w, NULL, 10);
}

/* Resolves \n \t \s \\ in place. */
static char *
plain(char *s)
{
	char *from = s, *to = s;

	for (; *from != '\0'; from++) {
		if (*from == '\\' && strchr("nts\\", from[1]) != NULL &&
		    from[1] != '\0') {
			from++;
			*to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' :
			    *from == 's' ? ' ' : '\\';
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return s;
}

static void
nap(long ms)
{
	long long end = now_ms() + ms;
	long long left;

	while (!is_interrupted() && (left = end - now_ms()) > 0)
		pump((long)left);
}

static void
below_cwd(char *path, size_t size, const char *file)
{
	if (file[0] == '/')
		snprintf(path, size, "%s", file);
	else
		snprintf(path, size, "%s/%s", turn->s->cwd, file);
}

static void
save_file(const char *file, const char *mode, const char *text)
{
	char path[2 * PATH_MAX], *slash;
	FILE *f;

	below_cwd(path, sizeof path, file);
	for (slash = strchr(path + 1, '/'); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0777);
		*slash = '/';
	}
	f = fopen(path, mode);
	if (f == NULL) {
		sayf("[%s: %s]", file, strerror(errno));
		return;
	}
	fputs(text, f);
	fclose(f);
}

static char *
load_file(const char *file)
{
	char path[2 * PATH_MAX], *text = NULL;
	size_t size = 0;
	FILE *f;

	below_cwd(path, sizeof path, file);
	f = fopen(path, "r");
	if (f == NULL)
		return NULL;
	if (getdelim(&text, &size, EOF, f) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(f);
	return text;
}

static void
tool_update(const char *id, const char *status, const char *text)
{
	char *content = text[0] == '\0' ? text_of("") :
	    text_of(",\"content\":[{\"type\":\"content\",\"content\":"
	    "{\"type\":\"text\",\"text\":%j}}]", text);

	update(turn->s, "tool_call_update",
	    ",\"toolCallId\":%j,\"status\":%j%s", id, status, content);
	free(content);
}

static void
flood_stderr(long bytes)
{
	char line[64];

	memset(line, 'e', sizeof line);
	line[sizeof line - 1] = '\n';
	for (; bytes > 0; bytes -= (long)sizeof line)
		write_all(2, line, bytes < (long)sizeof line ?
		    (size_t)bytes : sizeof line);
}

/* Holds the memory until the process ends. */
static void
take_memory(long mib)
{
	size_t i, size = (size_t)mib << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	for (i = 0; i < size; i += 4096)
		((volatile char *)p)[i] = 1;
}

/* A process that does nothing but hold what it inherited. Returns its pid. */
static pid_t
make_grandchild(bool apart)
{
	int fd[2];
	pid_t pid, child;

	if (pipe(fd) != 0)
		abort();
	child = fork();
	if (child == 0) {
		if (apart) {
			setsid();
			if (fork() != 0)
				_exit(0);
		}
		pid = getpid();
		write_all(fd[1], (char *)&pid, sizeof pid);
		close(fd[0]);
		close(fd[1]);
		alarm(LIFE_LIMIT);
		for (;;)
			pause();
	}
	close(fd[1]);
	if (read(fd[0], &pid, sizeof pid) != (ssize_t)sizeof pid)
		abort();
	close(fd[0]);
	if (apart)
		waitpid(child, NULL, 0);
	return pid;
}

static int
signal_number(const char *name)
{
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; i < 32; i++) {
		const char *abbrev = sigabbrev_np(i);

		if (abbrev != NULL && strcmp(abbrev, name) == 0)
			return i;
	}
	return SIGKILL;
}

static char *
config_json(const struct session *s)
{
	return text_of("[{\"id\":\"model\",\"name\":\"Model\",\"category\":"
	    "\"model\",\"type\":\"select\",\"currentValue\":%j,\"options\":["
	    "{\"value\":\"small\",\"name\":\"Small\"},"
	    "{\"value\":\"large\",\"name\":\"Large\"}]}]", s->model);
}

static char *
offers_json(const struct session *s)
{
	char *config, *all;

	if (opt.no_offers)
		return text_of("");
	config = opt.legacy_models ? text_of("{\"currentModelId\":%j,"
	    "\"availableModels\":[{\"modelId\":\"small\"},{\"modelId\":"
	    "\"large\"}]}", s->model) : config_json(s);
	all = text_of("\"modes\":{\"currentModeId\":%j,\"availableModes\":["
	    "{\"id\":\"code\",\"name\":\"Code\"},"
	    "{\"id\":\"ask\",\"name\":\"Ask\"}]},\"%s\":%s",
	    s->mode, opt.legacy_models ? "models" : "configOptions", config);
	free(config);
	return all;
}

static void
do_say(char *args)
{
	say(plain(args));
}

static void
do_think(char *args)
{
	chunk("agent_thought_chunk", plain(args));
}

static void
do_user(char *args)
{
	chunk("user_message_chunk", plain(args));
}

static void
do_chunks(char *args)
{
	long n = number(&args, 1), size = number(&args, 1);
	long ms = number(&args, 0);
	char *text = malloc((size_t)size + 1);

	for (long i = 0; i < n && !is_interrupted(); i++) {
		memset(text, 'a' + (int)(i % 26), (size_t)size);
		text[size] = '\0';
		say(text);
		if (ms > 0 && i + 1 < n)
			nap(ms);
		else
			pump(0);
	}
	free(text);
}

static void
do_count(char *args)
{
	long n = number(&args, 1), ms = number(&args, 0);

	for (long i = 1; i <= n && !is_interrupted(); i++) {
		sayf("%ld ", i);
		if (ms > 0 && i < n)
			nap(ms);
		else
			pump(0);
	}
}

static void
do_big(char *args)
{
	long mib = number(&args, 1);
	char *block = malloc(1 << 20);
	char *head = text_of("{\"jsonrpc\":\"2.0\",\"method\":\"session/update\","
	    "\"params\":{\"sessionId\":%j,\"update\":{\"sessionUpdate\":"
	    "\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":\"",
	    turn->s->id);

	memset(block, 'x', 1 << 20);
	write_all(1, head, strlen(head));
	while (mib-- > 0)
		write_all(1, block, 1 << 20);
	put_line("\"}}}}", 6);
	free(head);
	free(block);
}

static void
do_message(char *args)
{
	snprintf(turn->message_id, sizeof turn->message_id, "%s", args);
}

static void
do_repeat(char *args)
{
	(void)args;
	fflush(turn->said);
	chunk("agent_message_chunk", turn->said_text);
}

static void
do_sleep(char *args)
{
	nap(number(&args, 0));
}

static void
do_hang(char *args)
{
	(void)args;
	while (!is_interrupted())
		pump(60000);
}

static void
do_deaf(char *args)
{
	doze(number(&args, LIFE_LIMIT * 1000));
}

static void
do_write(char *args)
{
	char *file = word(&args);

	save_file(file, "w", plain(args));
}

static void
do_append(char *args)
{
	char *file = word(&args);

	save_file(file, "a", plain(args));
}

static void
do_delete(char *args)
{
	char path[2 * PATH_MAX];

	below_cwd(path, sizeof path, args);
	if (unlink(path) != 0)
		sayf("[%s: %s]", args, strerror(errno));
}

static void
do_edit(char *args)
{
	char *file = word(&args), *text = plain(args);
	char *old = load_file(file);
	char *before = old == NULL ? text_of("null") : text_of("%j", old);
	char path[2 * PATH_MAX];
	long long id = ++turn->tools;

	below_cwd(path, sizeof path, file);
	update(turn->s, "tool_call", ",\"toolCallId\":\"tool-%d\",\"title\":"
	    "\"Edit %s\",\"kind\":\"edit\",\"status\":\"in_progress\","
	    "\"locations\":[{\"path\":%j}],\"rawInput\":{\"path\":%j}",
	    id, file, path, path);
	save_file(file, "w", text);
	update(turn->s, "tool_call_update", ",\"toolCallId\":\"tool-%d\","
	    "\"status\":\"completed\",\"content\":[{\"type\":\"diff\",\"path\":"
	    "%j,\"oldText\":%s,\"newText\":%j}]", id, path, before, text);
	free(before);
	free(old);
}

static void
do_run(char *args)
{
	char *line = NULL;
	int status;

	if (asprintf(&line, "{ %s\n} </dev/null >/dev/null 2>&1", args) < 0)
		abort();
	status = system(line);
	sayf("[run %d]", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	free(line);
}

static void
do_tool(char *args)
{
	char *kind = word(&args), *title = plain(args);
	char id[32];

	snprintf(id, sizeof id, "tool-%d", ++turn->tools);
	update(turn->s, "tool_call", ",\"toolCallId\":%j,\"title\":%j,"
	    "\"kind\":%j,\"status\":\"pending\",\"rawInput\":{\"n\":%d}",
	    id, title, kind, (long long)turn->tools);
	tool_update(id, "in_progress", "");
	tool_update(id, "completed", title);
}

static void
do_tool_start(char *args)
{
	char *id = word(&args), *kind = word(&args);

	update(turn->s, "tool_call", ",\"toolCallId\":%j,\"title\":%j,"
	    "\"kind\":%j,\"status\":\"pending\"", id, plain(args), kind);
}

static void
do_tool_update(char *args)
{
	char *id = word(&args), *status = word(&args);

	tool_update(id, *status != '\0' ? status : "in_progress", plain(args));
}

static void
do_tool_end(char *args)
{
	char *id = word(&args), *status = word(&args);

	tool_update(id, *status != '\0' ? status : "completed", plain(args));
}

static void
do_tool_flood(char *args)
{
	char *id = word(&args);
	long n = number(&args, 10), size = number(&args, 10);
	char *text = malloc((size_t)(n * size) + 1);

	for (long i = 1; i <= n && !is_interrupted(); i++) {
		memset(text + (i - 1) * size, 'a' + (int)((i - 1) % 26),
		    (size_t)size);
		text[i * size] = '\0';
		tool_update(id, "in_progress", text);
		pump(0);
	}
	free(text);
}

static void
do_permission(char *args)
{
	const json_t *reply = wait_reply(ask_permission(args), false);

	if (reply != NULL)
		say_permission(reply);
}

static void
do_permissions(char *args)
{
	long n = number(&args, 2);
	struct asked *first = NULL;

	for (long i = 0; i < n; i++) {
		struct asked *a = ask_permission(args);

		if (i == 0)
			first = a;
	}
	for (long i = 0; i < n && !is_interrupted(); i++) {
		long slot = (first - asked + i) % MAX_ASKED;
		const json_t *reply = wait_reply(&asked[slot], false);

		if (reply != NULL)
			say_permission(reply);
	}
}

static void
do_permission_async(char *args)
{
	(void)ask_permission(args);
}

static void
do_fs_read(char *args)
{
	char path[2 * PATH_MAX];
	const json_t *reply;
	const char *content;

	below_cwd(path, sizeof path, args);
	reply = wait_reply(ask("fs/read_text_file",
	    "{\"sessionId\":%j,\"path\":%j}", turn->s->id, path), false);
	content = json_string_value(json_object_get(
	    json_object_get(reply, "result"), "content"));
	if (content != NULL)
		sayf("[fs-read %s]", content);
	else if (reply != NULL)
		sayf("[fs-read error %ld]", error_code(reply));
}

static void
do_fs_write(char *args)
{
	char *file = word(&args), path[2 * PATH_MAX];
	const json_t *reply;

	below_cwd(path, sizeof path, file);
	reply = wait_reply(ask("fs/write_text_file", "{\"sessionId\":%j,"
	    "\"path\":%j,\"content\":%j}", turn->s->id, path, plain(args)),
	    false);
	if (reply != NULL && json_object_get(reply, "error") == NULL)
		say("[fs-write ok]");
	else if (reply != NULL)
		sayf("[fs-write error %ld]", error_code(reply));
}

static void
do_unknown_request(char *args)
{
	const json_t *reply = wait_reply(ask("vendor/ask_something",
	    "{\"sessionId\":%j}", turn->s->id), false);

	(void)args;
	if (reply != NULL)
		sayf("[unknown-request %ld]", error_code(reply));
}

#define MAX_TERMINALS 64
static char terminal_ids[MAX_TERMINALS][64];
static int n_terminals, first_wait = -1;
static char terminal_with[1024];

static const char *
terminal_id(char **args)
{
	long n = number(args, n_terminals);

	return n > 0 && n <= n_terminals ? terminal_ids[n - 1] : "none";
}

static struct asked *
ask_terminal(const char *verb, char *args)
{
	char method[64];

	snprintf(method, sizeof method, "terminal/%s", verb);
	return ask(method, "{\"sessionId\":%j,\"terminalId\":%j}",
	    turn->s->id, terminal_id(&args));
}

static void
do_terminal(char *args)
{
	const json_t *reply = wait_reply(ask("terminal/create",
	    "{\"sessionId\":%j,\"command\":%j%s}", turn->s->id, args,
	    terminal_with), false);
	const char *id = json_string_value(json_object_get(
	    json_object_get(reply, "result"), "terminalId"));

	if (id != NULL && n_terminals < MAX_TERMINALS) {
		snprintf(terminal_ids[n_terminals++], sizeof *terminal_ids,
		    "%s", id);
		say("[terminal ok]");
	} else if (reply != NULL) {
		sayf("[terminal error %ld]", error_code(reply));
	}
}

static void
do_terminal_with(char *args)
{
	snprintf(terminal_with, sizeof terminal_with, "%s%s",
	    *args != '\0' ? "," : "", args);
}

/* How a command ended, of {exitCode, signal}. */
static const char *
ended_how(const json_t *status)
{
	static char code[32];
	const char *sig = json_string_value(json_object_get(status,
	    "signal"));

	snprintf(code, sizeof code, "%lld",
	    (long long)json_integer_value(json_object_get(status,
	    "exitCode")));
	return sig != NULL ? sig : code;
}

static void
do_terminal_output(char *args)
{
	const json_t *reply = wait_reply(ask_terminal("output", args), false);
	const json_t *result = json_object_get(reply, "result");
	const json_t *status = json_object_get(result, "exitStatus");

	if (result != NULL)
		sayf("[output %s %s %s]",
		    json_is_true(json_object_get(result, "truncated"))
		    ? "truncated" : "whole",
		    status != NULL ? ended_how(status) : "running",
		    json_string_value(json_object_get(result, "output")));
	else if (reply != NULL)
		sayf("[output error %ld]", error_code(reply));
}

static void
say_waited(const json_t *reply)
{
	const json_t *result = json_object_get(reply, "result");

	if (result != NULL)
		sayf("[wait %s]", ended_how(result));
	else if (reply != NULL)
		sayf("[wait error %ld]", error_code(reply));
}

static void
do_terminal_wait(char *args)
{
	say_waited(wait_reply(ask_terminal("wait_for_exit", args), false));
}

static void
do_terminal_wait_async(char *args)
{
	struct asked *a = ask_terminal("wait_for_exit", args);

	if (first_wait < 0)
		first_wait = (int)(a - asked);
}

/* They are asked one right after the other. */
static void
do_terminal_waited(char *args)
{
	(void)args;
	say_waited(wait_reply(&asked[first_wait++], false));
}

static void
do_terminal_cancel(char *args)
{
	frame("{\"jsonrpc\":\"2.0\",\"method\":\"$/cancel_request\","
	    "\"params\":{\"requestId\":%s}}", asked[first_wait].id);
	do_terminal_waited(args);
}

static void
say_done(const char *verb, const json_t *reply)
{
	if (json_object_get(reply, "result") != NULL)
		sayf("[%s ok]", verb);
	else if (reply != NULL)
		sayf("[%s error %ld]", verb, error_code(reply));
}

static void
do_terminal_kill(char *args)
{
	say_done("kill", wait_reply(ask_terminal("kill", args), false));
}

static void
do_terminal_release(char *args)
{
	say_done("release", wait_reply(ask_terminal("release", args), false));
}

static void
do_terminal_embed(char *args)
{
	char *id = word(&args), *status = word(&args);

	update(turn->s, "tool_call_update", ",\"toolCallId\":%j,\"status\":"
	    "%j,\"content\":[{\"type\":\"terminal\",\"terminalId\":%j}]",
	    id, status, terminal_id(&args));
}

static void
do_elicit(char *args)
{
	const json_t *reply = wait_reply(ask("elicitation/create",
	    "{\"sessionId\":%j,\"mode\":\"form\",\"message\":\"Which?\","
	    "\"requestedSchema\":{\"type\":\"object\",\"properties\":{}}}",
	    turn->s->id), false);
	const char *action = json_string_value(json_object_get(
	    json_object_get(reply, "result"), "action"));

	(void)args;
	if (reply != NULL)
		sayf("[elicit %s]", action != NULL ? action : "error");
}

static void
do_request_id(char *args)
{
	snprintf(request_id_form, sizeof request_id_form, "%s", word(&args));
}

static void
do_plan(char *args)
{
	static const char *const status[] = {
		"completed", "in_progress", "pending",
	};
	long n = number(&args, 3);
	char *list = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&list, &len);

	for (long i = 0; i < n; i++)
		fprintf(f, "%s{\"content\":\"step %ld\",\"priority\":\"medium\","
		    "\"status\":\"%s\"}", i > 0 ? "," : "", i + 1,
		    status[i < 2 ? i : 2]);
	fclose(f);
	update(turn->s, "plan", ",\"entries\":[%s]", list);
	free(list);
}

static void
send_commands(const struct session *s, char *names)
{
	char *list = NULL, *w;
	size_t len = 0;
	FILE *f = open_memstream(&list, &len);
	bool is_first = true;

	while (*(w = word(&names)) != '\0') {
		fprintf(f, "%s{\"name\":\"%s\",\"description\":\"does %s\","
		    "\"input\":null}", is_first ? "" : ",", w, w);
		is_first = false;
	}
	fclose(f);
	update(s, "available_commands_update", ",\"availableCommands\":[%s]",
	    list);
	free(list);
}

static void
do_commands(char *args)
{
	send_commands(turn->s, args);
}

static void
do_mode(char *args)
{
	snprintf(turn->s->mode, sizeof turn->s->mode, "%s", word(&args));
	update(turn->s, "current_mode_update", ",\"currentModeId\":%j",
	    turn->s->mode);
}

static void
do_config(char *args)
{
	char *config;

	snprintf(turn->s->model, sizeof turn->s->model, "%s", word(&args));
	config = config_json(turn->s);
	update(turn->s, "config_option_update", ",\"configOptions\":%s",
	    config);
	free(config);
}

static void
do_usage(char *args)
{
	long long used = number(&args, 0), size = number(&args, 100000);

	const char *cost = word(&args), *currency = word(&args);

	update(turn->s, "usage_update", ",\"used\":%d,\"size\":%d,"
	    "\"cost\":{\"amount\":%s,\"currency\":%j}", used, size,
	    *cost ? cost : "0.25", *currency ? currency : "USD");
}

static void
do_info(char *args)
{
	update(turn->s, "session_info_update", ",\"title\":%j", plain(args));
}

static void
do_notice(char *args)
{
	update(turn->s, "notice", ",\"severity\":\"warning\",\"title\":%j",
	    plain(args));
}

static void
do_echo_pid(char *args)
{
	(void)args;
	sayf("[pid %d]", (int)getpid());
}

static void
do_echo_session(char *args)
{
	(void)args;
	sayf("[session %s]", turn->s->id);
}

static void
do_echo_cwd(char *args)
{
	(void)args;
	sayf("[cwd %s]", turn->s->cwd);
}

static void
do_echo_turn(char *args)
{
	(void)args;
	sayf("[turn %d]", turn->s->turns);
}

static void
do_echo_mode(char *args)
{
	(void)args;
	sayf("[mode %s]", turn->s->mode);
}

static void
do_echo_config(char *args)
{
	(void)args;
	sayf("[config %s]", turn->s->model);
}

static void
do_echo_env(char *args)
{
	const char *value = getenv(args);

	if (value != NULL)
		sayf("[env %s=%s]", args, value);
	else
		sayf("[env %s unset]", args);
}

static void
do_echo_blocks(char *args)
{
	(void)args;
	sayf("[blocks %zu]", json_array_size(turn->blocks));
}

static void
do_echo_block(char *args)
{
	const char *text = json_string_value(json_object_get(json_array_get(
	    turn->blocks, (size_t)number(&args, 0)), "text"));

	say(text != NULL ? text : "[no text]");
}

/* Puts with in the place of every what. */
static char *
substitute(char *s, const char *what, const char *with)
{
	char *hit, *whole;

	while ((hit = strstr(s, what)) != NULL) {
		*hit = '\0';
		whole = text_of("%s%s%s", s, with, hit + strlen(what));
		free(s);
		s = whole;
	}
	return s;
}

static void
do_raw(char *args)
{
	char *line = substitute(substitute(strdup(args), "@S@", turn->s->id),
	    "@P@", turn->id);
	const char *key = getenv("API_KEY");

	line = substitute(line, "@K@", key != NULL ? key : "");
	put_line(line, strlen(line));
	free(line);
}

static void
do_raw_bytes(char *args)
{
	unsigned value;

	for (; args[0] != '\0' && args[1] != '\0'; args += 2) {
		char byte;

		while (*args == ' ')
			args++;
		if (sscanf(args, "%2x", &value) != 1)
			return;
		byte = (char)value;
		write_all(1, &byte, 1);
	}
}

static void
do_noise(char *args)
{
	plain(args);
	put_line(args, strlen(args));
}

static void
do_glue(char *args)
{
	snprintf(out_glue, sizeof out_glue, "%s", plain(args));
}

static void
do_crlf(char *args)
{
	out_crlf = strcmp(args, "off") != 0;
}

static void
do_dribble(char *args)
{
	out_dribble = strcmp(args, "off") != 0;
}

static void
do_nolf(char *args)
{
	(void)args;
	out_nolf = true;
}

static void
do_split(char *args)
{
	char *line = text_of("{\"jsonrpc\":\"2.0\",\"method\":\"session/update\","
	    "\"params\":{\"sessionId\":%j,\"update\":{\"sessionUpdate\":"
	    "\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":"
	    "%j}}}}\n", turn->s->id, plain(args));
	char *p;

	for (p = line; *p != '\0'; p++) {
		write_all(1, p, 1);
		if ((unsigned char)*p >= 0xc0)
			doze(5);
	}
	fputs(args, turn->said);
	free(line);
}

static void
do_bad_utf8(char *args)
{
	(void)args;
	chunk_json("agent_message_chunk", "\"a\xff\xc3" "b\"");
}

static void
do_nul(char *args)
{
	(void)args;
	chunk_json("agent_message_chunk", "\"a\\u0000b\"");
}

static void
do_surrogate(char *args)
{
	(void)args;
	chunk_json("agent_message_chunk", "\"a\\ud83db\"");
}

static void
do_deep(char *args)
{
	long n = number(&args, 1000);
	char *open = malloc((size_t)n + 1), *shut = malloc((size_t)n + 1);

	memset(open, '[', (size_t)n);
	memset(shut, ']', (size_t)n);
	open[n] = shut[n] = '\0';
	update(turn->s, "vendor_deep", ",\"value\":%s%s", open, shut);
	free(open);
	free(shut);
}

static void
do_foreign_response(char *args)
{
	(void)args;
	answer("\"skills-reload\"", "{}");
}

static void
do_error_no_id(char *args)
{
	(void)args;
	frame("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,"
	    "\"message\":\"Method not found\"}}");
}

static void
do_error_null_id(char *args)
{
	(void)args;
	answer_error("null", -32700, "Parse error");
}

static void
do_batch(char *args)
{
	(void)args;
	frame("[{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{}},"
	    "{\"jsonrpc\":\"2.0\",\"id\":77,\"method\":\"vendor/batch\"}]");
}

static void
do_unknown_notification(char *args)
{
	(void)args;
	frame("{\"jsonrpc\":\"2.0\",\"method\":\"_vendor/news\",\"params\":"
	    "{\"value\":1}}");
}

static void
do_unknown_update(char *args)
{
	(void)args;
	update(turn->s, "vendor_surprise", ",\"value\":{\"deep\":[1,2,3]}");
}

static void
do_wrong_session(char *args)
{
	frame("{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":"
	    "{\"sessionId\":\"not-this-one\",\"update\":{\"sessionUpdate\":"
	    "\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":"
	    "%j}}}}", plain(args));
}

static void
do_stop(char *args)
{
	end_prompt_stop(args[0] != '\0' ? word(&args) : "end_turn");
}

static void
do_error(char *args)
{
	long code = number(&args, -32603);

	end_prompt_error(code, plain(args));
}

static void
do_auth(char *args)
{
	(void)args;
	end_prompt_error(-32000, "Authentication required");
}

static void
do_empty(char *args)
{
	(void)args;
	end_prompt("\"result\":{}");
}

static void
do_result(char *args)
{
	char *body = text_of("\"result\":%s", args);

	end_prompt(body);
	free(body);
}

static void
do_usage_result(char *args)
{
	turn->tokens_in = number(&args, 0);
	turn->tokens_out = number(&args, 0);
}

static void
do_answer_id(char *args)
{
	snprintf(turn->answer_id, sizeof turn->answer_id, "%s", word(&args));
}

static void
do_exit(char *args)
{
	exit((int)number(&args, 0));
}

static void
do_signal(char *args)
{
	const struct rlimit no_core = { 0, 0 };
	int n = signal_number(word(&args));

	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)signal(n, SIG_DFL);
	raise(n);
}

static void
do_close_stdout(char *args)
{
	(void)args;
	close(1);
}

static void
do_close_stdin(char *args)
{
	(void)args;
	close(0);
	eof = true;
	opt.no_eof = true;
}

static void
do_memory(char *args)
{
	take_memory(number(&args, 64));
}

static void
do_grandchild(char *args)
{
	(void)args;
	sayf("[grandchild %d]", (int)make_grandchild(false));
}

static void
do_setsid_grandchild(char *args)
{
	(void)args;
	sayf("[grandchild %d]", (int)make_grandchild(true));
}

static void
do_stderr(char *args)
{
	plain(args);
	write_all(2, args, strlen(args));
	write_all(2, "\n", 1);
}

static void
do_stderr_flood(char *args)
{
	flood_stderr(number(&args, 1 << 20));
}

static void
do_on_cancel(char *args)
{
	static const char *const how[] = {
		"answer", "finish", "never", "error", "late", "second",
		"permission", "say", "stop", "exit",
	};
	const char *w = word(&args);

	for (size_t i = 0; i < sizeof how / sizeof how[0]; i++)
		if (strcmp(w, how[i]) == 0)
			turn->on_cancel = (enum on_cancel)i;
	snprintf(turn->cancel_arg, sizeof turn->cancel_arg, "%s", plain(args));
}

static void step(char *line);

static void
do_allowed(char *args)
{
	if (turn->was_allowed)
		step(args);
}

static void
do_denied(char *args)
{
	if (!turn->was_allowed)
		step(args);
}

static const struct {
	const char *name;
	void (*run)(char *args);
} commands[] = {
	{ "say", do_say }, { "think", do_think }, { "user", do_user },
	{ "chunks", do_chunks }, { "count", do_count }, { "big", do_big },
	{ "message", do_message }, { "repeat", do_repeat },
	{ "sleep", do_sleep }, { "hang", do_hang }, { "deaf", do_deaf },
	{ "write", do_write }, { "append", do_append },
	{ "delete", do_delete }, { "edit", do_edit }, { "run", do_run },
	{ "tool", do_tool }, { "tool-start", do_tool_start },
	{ "tool-update", do_tool_update }, { "tool-end", do_tool_end },
	{ "tool-flood", do_tool_flood }, { "permission", do_permission },
	{ "permissions", do_permissions },
	{ "permission-async", do_permission_async },
	{ "allowed", do_allowed }, { "denied", do_denied },
	{ "fs-read", do_fs_read }, { "fs-write", do_fs_write },
	{ "unknown-request", do_unknown_request },
	{ "call", do_call }, { "elicit", do_elicit },
	{ "request-id", do_request_id }, { "plan", do_plan },
	{ "terminal", do_terminal }, { "terminal-with", do_terminal_with },
	{ "terminal-output", do_terminal_output },
	{ "terminal-wait", do_terminal_wait },
	{ "terminal-wait-async", do_terminal_wait_async },
	{ "terminal-waited", do_terminal_waited },
	{ "terminal-cancel", do_terminal_cancel },
	{ "terminal-kill", do_terminal_kill },
	{ "terminal-release", do_terminal_release },
	{ "terminal-embed", do_terminal_embed },
	{ "commands", do_commands }, { "mode", do_mode },
	{ "config", do_config }, { "usage", do_usage }, { "info", do_info },
	{ "notice", do_notice }, { "echo-pid", do_echo_pid },
	{ "echo-session", do_echo_session }, { "echo-cwd", do_echo_cwd },
	{ "echo-turn", do_echo_turn }, { "echo-mode", do_echo_mode },
	{ "echo-config", do_echo_config }, { "echo-env", do_echo_env },
	{ "echo-blocks", do_echo_blocks }, { "echo-block", do_echo_block },
	{ "raw", do_raw }, { "raw-bytes", do_raw_bytes },
	{ "noise", do_noise }, { "glue", do_glue }, { "crlf", do_crlf },
	{ "dribble", do_dribble }, { "nolf", do_nolf }, { "split", do_split },
	{ "bad-utf8", do_bad_utf8 }, { "nul", do_nul },
	{ "surrogate", do_surrogate }, { "deep", do_deep },
	{ "foreign-response", do_foreign_response },
	{ "error-no-id", do_error_no_id },
	{ "error-null-id", do_error_null_id }, { "batch", do_batch },
	{ "unknown-notification", do_unknown_notification },
	{ "unknown-update", do_unknown_update },
	{ "wrong-session", do_wrong_session }, { "stop", do_stop },
	{ "error", do_error }, { "auth", do_auth }, { "empty", do_empty },
	{ "result", do_result }, { "usage-result", do_usage_result },
	{ "answer-id", do_answer_id }, { "exit", do_exit },
	{ "signal", do_signal }, { "close-stdout", do_close_stdout },
	{ "close-stdin", do_close_stdin }, { "memory", do_memory },
	{ "grandchild", do_grandchild },
	{ "setsid-grandchild", do_setsid_grandchild },
	{ "stderr", do_stderr }, { "stderr-flood", do_stderr_flood },
	{ "on-cancel", do_on_cancel },
};

static void
step(char *line)
{
	char *args = line;
	const char *name;

	while (*args == ' ' || *args == '\t')
		args++;
	if (*args == '\0')
		return;
	name = word(&args);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].run(args);
			return;
		}
	line = text_of("fake agent: unknown command '%s'", name);
	end_prompt_error(-32602, line);
	free(line);
}

/* Cuts one command off *script, resolving "\;". NULL at the end. */
static char *
next_command(char **script)
{
	char *from = *script, *to = *script, *line = *script;

	if (*from == '\0')
		return NULL;
	while (*from != '\0' && *from != ';' && *from != '\n') {
		if (from[0] == '\\' && from[1] == ';')
			from++;
		else if (from[0] == '\\' && from[1] != '\0')
			*to++ = *from++;
		*to++ = *from++;
	}
	*script = *from == '\0' ? from : from + 1;
	*to = '\0';
	return line;
}

static void
end_cancelled(void)
{
	const char *reason = "cancelled";
	const json_t *reply;

	switch (turn->on_cancel) {
	case CANCEL_NEVER:
		turn->is_answered = true;
		return;
	case CANCEL_ERROR:
		end_prompt("\"error\":{\"code\":-32603,\"message\":\"Internal "
		    "error\",\"data\":{\"details\":\"This operation was "
		    "aborted\"}}");
		return;
	case CANCEL_LATE:
		turn->on_cancel = CANCEL_FINISH;
		nap(strtol(turn->cancel_arg, NULL, 10));
		break;
	case CANCEL_SECOND:
		while (turn->cancels < 2)
			pump(60000);
		break;
	case CANCEL_PERMISSION:
		reply = wait_reply(ask_permission(turn->cancel_arg), true);
		say_permission(reply);
		break;
	case CANCEL_SAY:
		say(turn->cancel_arg);
		break;
	case CANCEL_STOP:
		reason = turn->cancel_arg;
		break;
	case CANCEL_EXIT:
		exit(atoi(turn->cancel_arg));
	default:
		break;
	}
	end_prompt_stop(reason);
}

static void
run_script(char *script)
{
	char *line;

	while ((line = next_command(&script)) != NULL) {
		step(line);
		pump(0);
		if (is_interrupted())
			break;
	}
	if (turn->is_answered)
		return;
	if (is_interrupted())
		end_cancelled();
	else
		end_prompt_stop("end_turn");
}

static void
store_session(const struct session *s)
{
	char path[PATH_MAX + 256];
	FILE *f;

	if (opt.store == NULL)
		return;
	snprintf(path, sizeof path, "%s/%s", opt.store, s->id);
	f = fopen(path, "w");
	if (f == NULL)
		return;
	fprintf(f, "%d\n", s->turns);
	fclose(f);
}

static const char *
last_text(const json_t *blocks)
{
	const char *found = "";
	const json_t *block;
	size_t i;

	json_array_foreach(blocks, i, block) {
		const char *text = json_string_value(
		    json_object_get(block, "text"));

		if (text != NULL)
			found = text;
	}
	return found;
}

static void
on_prompt(const char *id, const json_t *params, struct session *s)
{
	struct turn t = { .s = s, .tokens_in = -1, .answer_id = "int" };
	struct turn *outer = turn;
	char *script;

	if (outer != NULL && outer->s == s && !outer->is_answered) {
		answer_error(id, -32600, "a prompt is running");
		return;
	}
	t.blocks = json_object_get(params, "prompt");
	t.id = strdup(id);
	t.said = open_memstream(&t.said_text, &t.said_len);
	script = strdup(last_text(t.blocks));
	s->turns++;
	store_session(s);
	turn = &t;
	run_script(script);
	turn = outer;
	fclose(t.said);
	free(t.said_text);
	free(t.id);
	free(script);
}

static void
on_initialize(const char *id)
{
	char *caps, *member;

	if (opt.exit_at_init >= 0)
		exit((int)opt.exit_at_init);
	if (opt.no_init)
		return;
	doze(opt.init_delay);
	if (opt.init_error != 0) {
		answer_error(id, opt.init_error, "initialize failed");
		return;
	}
	if (opt.noise_glued)
		strcpy(out_glue, "\033]0;fake\007 loading... ");
	caps = text_of("\"loadSession\":%s,\"promptCapabilities\":{\"image\":"
	    "false,\"audio\":false,\"embeddedContext\":true},"
	    "\"sessionCapabilities\":{%s%s%s}", opt.load ? "true" : "false",
	    opt.resume ? "\"resume\":{}" : "",
	    opt.resume && opt.close ? "," : "", opt.close ? "\"close\":{}" : "");
	member = id_member(opt.init_id != NULL ? opt.init_id : "int", id);
	frame("{\"jsonrpc\":\"2.0\",%s\"result\":{\"protocolVersion\":%d,"
	    "\"agentCapabilities\":{%s},\"authMethods\":[{\"id\":\"key\","
	    "\"name\":\"Key\"}],\"agentInfo\":{\"name\":\"%s\","
	    "\"version\":\"%s\"}}}", member, (long long)opt.version, caps,
	    opt.agent_name != NULL ? opt.agent_name : "fake-agent",
	    opt.agent_version != NULL ? opt.agent_version : "1.0");
	free(member);
	free(caps);
	if (opt.ask_at_once)
		ask("session/request_permission", "{\"sessionId\":\"none\","
		    "\"toolCall\":{\"toolCallId\":\"early\",\"title\":"
		    "\"May I?\"},\"options\":[{\"optionId\":\"yes\","
		    "\"name\":\"Yes\",\"kind\":\"allow_once\"},"
		    "{\"optionId\":\"no\",\"name\":\"No\","
		    "\"kind\":\"reject_once\"}]}");
}

static struct session *
find_session(const char *id)
{
	for (int i = 0; id != NULL && i < n_sessions; i++)
		if (strcmp(sessions[i].id, id) == 0)
			return &sessions[i];
	return NULL;
}

static struct session *
add_session(const char *id, const json_t *params)
{
	struct session *s = find_session(id);
	const char *cwd = json_string_value(json_object_get(params, "cwd"));

	if (s == NULL)
		s = &sessions[n_sessions < MAX_SESSIONS ? n_sessions++ :
		    MAX_SESSIONS - 1];
	memset(s, 0, sizeof *s);
	snprintf(s->id, sizeof s->id, "%s", id);
	snprintf(s->cwd, sizeof s->cwd, "%s", cwd != NULL ? cwd : ".");
	strcpy(s->mode, "code");
	strcpy(s->model, "small");
	return s;
}

static void
on_new(const char *id, const json_t *params)
{
	struct session *s;
	char name[64], *offers, *result;

	if (opt.exit_at_new >= 0)
		exit((int)opt.exit_at_new);
	if (opt.no_new)
		return;
	doze(opt.new_delay);
	if (opt.new_error != 0 || opt.auth_new) {
		answer_error(id, opt.auth_new ? -32000 : opt.new_error,
		    opt.auth_new ? "Authentication required" : "new failed");
		return;
	}
	snprintf(name, sizeof name, "fake-%d-%d", (int)getpid(), n_sessions + 1);
	s = add_session(name, params);
	store_session(s);
	if (opt.update_before_new)
		update(s, "agent_message_chunk", ",\"content\":{\"type\":"
		    "\"text\",\"text\":\"early\"}");
	offers = offers_json(s);
	result = text_of("{\"sessionId\":%j%s%s}", s->id,
	    offers[0] != '\0' ? "," : "", offers);
	answer(id, result);
	free(result);
	free(offers);
	if (opt.commands) {
		char names[] = "plan review";

		send_commands(s, names);
	}
}

/* False when --store says that nobody knows the session. */
static bool
recall_session(struct session *s)
{
	char path[PATH_MAX + 256];
	FILE *f;
	bool ok;

	if (opt.store == NULL)
		return true;
	snprintf(path, sizeof path, "%s/%s", opt.store, s->id);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	ok = fscanf(f, "%d", &s->turns) == 1;
	fclose(f);
	return ok;
}

static void
replay(const struct session *s)
{
	for (long i = 1; i <= opt.replay; i++) {
		update(s, "user_message_chunk", ",\"content\":{\"type\":\"text\","
		    "\"text\":\"question %d\"}", (long long)i);
		update(s, "agent_message_chunk", ",\"content\":{\"type\":\"text\","
		    "\"text\":\"answer %d\"}", (long long)i);
	}
}

static void
on_reopen(const char *id, const json_t *params, bool is_load)
{
	const char *name = json_string_value(
	    json_object_get(params, "sessionId"));
	struct session *s;
	char *offers, *result;

	if (is_load ? !opt.load : !opt.resume) {
		answer_error(id, -32601, "Method not found");
		return;
	}
	if (opt.exit_at_reopen >= 0)
		exit((int)opt.exit_at_reopen);
	if (opt.no_reopen)
		return;
	if (opt.no_mcp_reopen && json_array_size(json_object_get(params,
	    "mcpServers")) > 0) {
		answer_error(id, -32602, "Invalid params");
		return;
	}
	if (opt.session_lost != 0 || name == NULL) {
		answer_error(id, opt.session_lost, opt.lost_words);
		return;
	}
	s = add_session(name, params);
	if (!recall_session(s)) {
		s->id[0] = '\0';
		answer_error(id, -32002, "Resource not found");
		return;
	}
	if (is_load && opt.replay_late < 0)
		replay(s);
	offers = offers_json(s);
	result = opt.null_results ? text_of("null") : text_of("{%s}", offers);
	answer(id, result);
	free(result);
	free(offers);
	if (is_load && opt.replay_late >= 0) {
		doze(opt.replay_late);
		replay(s);
	}
	if (opt.commands) {
		char names[] = "plan review";

		send_commands(s, names);
	}
}

static void
on_set_mode(const char *id, const json_t *params, struct session *s)
{
	const char *mode = json_string_value(json_object_get(params, "modeId"));

	if (mode == NULL || (strcmp(mode, "code") != 0 &&
	    strcmp(mode, "ask") != 0)) {
		answer_error(id, -32602, "no such mode");
		return;
	}
	strcpy(s->mode, mode);
	answer(id, opt.null_results ? "null" : "{}");
}

static void
on_set_config(const char *id, const json_t *params, struct session *s)
{
	const char *value = json_string_value(json_object_get(params,
	    opt.legacy_models ? "modelId" : "value"));
	char *config, *result;

	if (value == NULL || (strcmp(value, "small") != 0 &&
	    strcmp(value, "large") != 0)) {
		answer_error(id, -32602, "no such value");
		return;
	}
	strcpy(s->model, value);
	if (opt.legacy_models) {
		answer(id, opt.null_results ? "null" : "{}");
		return;
	}
	config = config_json(s);
	result = text_of("{\"configOptions\":%s}", config);
	answer(id, result);
	free(result);
	free(config);
}

static void
on_set(const char *method, const char *id, const json_t *params,
    struct session *s)
{
	bool is_mode = strcmp(method, "session/set_mode") == 0;
	bool is_model = strcmp(method, "session/set_model") == 0;

	doze(opt.set_delay);
	if (opt.exit_at_set >= 0)
		exit((int)opt.exit_at_set);
	if (opt.no_set)
		return;
	if (is_mode && opt.refuse_mode)
		answer_error(id, -32603, "this mode is forbidden");
	else if (opt.no_offers || (!is_mode && is_model != opt.legacy_models))
		answer_error(id, -32601, "Method not found");
	else if (is_mode)
		on_set_mode(id, params, s);
	else
		on_set_config(id, params, s);
}

static void
on_session_request(const char *method, const char *id, const json_t *params)
{
	struct session *s = find_session(json_string_value(
	    json_object_get(params, "sessionId")));

	if (s == NULL)
		answer_error(id, -32602, "no such session");
	else if (strcmp(method, "session/prompt") == 0)
		on_prompt(id, params, s);
	else if (strcmp(method, "session/set_mode") == 0 ||
	    strcmp(method, "session/set_model") == 0 ||
	    strcmp(method, "session/set_config_option") == 0)
		on_set(method, id, params, s);
	else if (strcmp(method, "session/close") == 0 && opt.close)
		answer(id, opt.null_results ? "null" : "{}");
	else
		answer_error(id, -32601, "Method not found");
}

static void
on_request(const char *method, const json_t *msg)
{
	const json_t *params = json_object_get(msg, "params");
	char *id = json_dumps(json_object_get(msg, "id"), JSON_ENCODE_ANY);

	if (strcmp(method, "initialize") == 0)
		on_initialize(id);
	else if (strcmp(method, "session/new") == 0)
		on_new(id, params);
	else if (strcmp(method, "session/load") == 0)
		on_reopen(id, params, true);
	else if (strcmp(method, "session/resume") == 0)
		on_reopen(id, params, false);
	else if (strcmp(method, "authenticate") == 0)
		answer(id, opt.null_results ? "null" : "{}");
	else if (strncmp(method, "session/", 8) == 0)
		on_session_request(method, id, params);
	else
		answer_error(id, -32601, "Method not found");
	free(id);
}

static void
on_line(const char *line, size_t len)
{
	json_error_t e;
	json_t *msg = json_loadb(line, len, JSON_ALLOW_NUL, &e);
	const char *method;

	if (opt.wire_log != NULL) {
		FILE *f = fopen(opt.wire_log, "a");

		if (f != NULL) {
			fprintf(f, "%.*s\n", (int)len, line);
			fclose(f);
		}
	}
	if (msg == NULL) {
		answer_error("null", -32700, e.text);
		return;
	}
	method = json_string_value(json_object_get(msg, "method"));
	if (method == NULL)
		on_reply(msg);
	else if (json_object_get(msg, "id") != NULL)
		on_request(method, msg);
	else if (turn != NULL && (strcmp(method, "session/cancel") == 0 ||
	    strcmp(method, "$/cancel_request") == 0))
		turn->cancels++;
	json_decref(msg);
}

static void
on_eof(void)
{
	eof = true;
	if (!opt.no_eof)
		exit(0);
	alarm(LIFE_LIMIT);
}

static void
take_input(void)
{
	ssize_t n;

	if (in_size - in_len < 65536) {
		in_size = (in_size + 65536) * 2;
		in = realloc(in, in_size);
	}
	n = read(0, in + in_len, in_size - in_len);
	if (n > 0)
		in_len += (size_t)n;
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		on_eof();
}

/*
 * Handles what the client has sent, waiting at most ms for something to come.
 * A prompt's script pumps too, so lines are taken off the buffer before they
 * are handled.
 */
static void
pump(long ms)
{
	struct pollfd fd = { .fd = eof ? -1 : 0, .events = POLLIN };
	char *end, *line;
	size_t len;

	if (poll(&fd, 1, (int)ms) > 0)
		take_input();
	while (in != NULL && (end = memchr(in + in_scanned, '\n',
	    in_len - in_scanned)) != NULL) {
		len = (size_t)(end - in);
		line = malloc(len + 1);
		memcpy(line, in, len);
		line[len] = '\0';
		memmove(in, end + 1, in_len - len - 1);
		in_len -= len + 1;
		in_scanned = 0;
		on_line(line, len);
		free(line);
	}
	in_scanned = in_len;
}

static const struct {
	const char *name;
	long *number;
	bool *flag;
	const char **text;
} options[] = {
	{ "--init-delay", &opt.init_delay, NULL, NULL },
	{ "--new-delay", &opt.new_delay, NULL, NULL },
	{ "--version", &opt.version, NULL, NULL },
	{ "--replay", &opt.replay, NULL, NULL },
	{ "--replay-late", &opt.replay_late, NULL, NULL },
	{ "--exit-idle-after", &opt.exit_idle, NULL, NULL },
	{ "--exit-at-start", &opt.exit_at_start, NULL, NULL },
	{ "--exit-at-init", &opt.exit_at_init, NULL, NULL },
	{ "--exit-at-new", &opt.exit_at_new, NULL, NULL },
	{ "--exit-at-reopen", &opt.exit_at_reopen, NULL, NULL },
	{ "--exit-at-set", &opt.exit_at_set, NULL, NULL },
	{ "--set-delay", &opt.set_delay, NULL, NULL },
	{ "--memory", &opt.memory, NULL, NULL },
	{ "--stderr-flood", &opt.stderr_flood, NULL, NULL },
	{ "--init-error", &opt.init_error, NULL, NULL },
	{ "--new-error", &opt.new_error, NULL, NULL },
	{ "--session-lost", &opt.session_lost, NULL, NULL },
	{ "--noise-lines", &opt.noise_lines, NULL, NULL },
	{ "--no-init", NULL, &opt.no_init, NULL },
	{ "--no-new", NULL, &opt.no_new, NULL },
	{ "--no-reopen", NULL, &opt.no_reopen, NULL },
	{ "--no-mcp-reopen", NULL, &opt.no_mcp_reopen, NULL },
	{ "--noise-glued", NULL, &opt.noise_glued, NULL },
	{ "--update-before-new", NULL, &opt.update_before_new, NULL },
	{ "--ask-at-once", NULL, &opt.ask_at_once, NULL },
	{ "--commands", NULL, &opt.commands, NULL },
	{ "--legacy-models", NULL, &opt.legacy_models, NULL },
	{ "--no-set", NULL, &opt.no_set, NULL },
	{ "--refuse-mode", NULL, &opt.refuse_mode, NULL },
	{ "--no-offers", NULL, &opt.no_offers, NULL },
	{ "--null-results", NULL, &opt.null_results, NULL },
	{ "--load", NULL, &opt.load, NULL },
	{ "--resume", NULL, &opt.resume, NULL },
	{ "--close", NULL, &opt.close, NULL },
	{ "--no-eof", NULL, &opt.no_eof, NULL },
	{ "--ignore-term", NULL, &opt.ignore_term, NULL },
	{ "--grandchild", NULL, &opt.grandchild, NULL },
	{ "--setsid-grandchild", NULL, &opt.setsid_grandchild, NULL },
	{ "--crlf", NULL, &opt.crlf, NULL },
	{ "--dribble", NULL, &opt.dribble, NULL },
	{ "--auth-new", NULL, &opt.auth_new, NULL },
	{ "--exit-while", NULL, NULL, &opt.exit_while },
	{ "--store", NULL, NULL, &opt.store },
	{ "--stderr", NULL, NULL, &opt.stderr_text },
	{ "--spawn-log", NULL, NULL, &opt.spawn_log },
	{ "--wire-log", NULL, NULL, &opt.wire_log },
	{ "--init-id", NULL, NULL, &opt.init_id },
	{ "--lost-words", NULL, NULL, &opt.lost_words },
	{ "--agent-name", NULL, NULL, &opt.agent_name },
	{ "--agent-version", NULL, NULL, &opt.agent_version },
};

static void
parse_options(char **argv)
{
	for (argv++; *argv != NULL; argv++) {
		size_t i, n = sizeof options / sizeof options[0];

		for (i = 0; i < n && strcmp(options[i].name, *argv) != 0; i++)
			;
		if (i == n || (options[i].flag == NULL && argv[1] == NULL)) {
			fprintf(stderr, "fake_agent: bad option %s\n", *argv);
			exit(64);
		}
		if (options[i].flag != NULL)
			*options[i].flag = true;
		else if (options[i].number != NULL)
			*options[i].number = strtol(*++argv, NULL, 10);
		else
			*options[i].text = *++argv;
	}
}

static void
begin(void)
{
	FILE *f;

	if (opt.spawn_log != NULL && (f = fopen(opt.spawn_log, "a")) != NULL) {
		fprintf(f, "%d\n", (int)getpid());
		fclose(f);
	}
	if (opt.stderr_text != NULL)
		fprintf(stderr, "%s\n", opt.stderr_text);
	if (opt.exit_at_start >= 0)
		exit((int)opt.exit_at_start);
	if (opt.exit_while != NULL && access(opt.exit_while, F_OK) == 0)
		exit(9);
	signal(SIGPIPE, SIG_IGN);
	if (opt.ignore_term)
		signal(SIGTERM, SIG_IGN);
	out_crlf = opt.crlf;
	out_dribble = opt.dribble;
	flood_stderr(opt.stderr_flood);
	if (opt.memory > 0)
		take_memory(opt.memory);
	if (opt.grandchild)
		make_grandchild(false);
	if (opt.setsid_grandchild)
		make_grandchild(true);
	for (long i = 1; i <= opt.noise_lines; i++)
		frame("noise %d", (long long)i);
}

int
main(int argc, char **argv)
{
	(void)argc;
	parse_options(argv);
	begin();
	for (;;) {
		long long before = now_ms();

		pump(opt.exit_idle > 0 ? opt.exit_idle : 60000);
		if (opt.exit_idle > 0 && now_ms() - before >= opt.exit_idle)
			exit(7);
	}
}
