/* SPDX-License-Identifier: MIT */
/*
 * The scanner for text chunks. It walks the line once, checks everything on
 * the way and remembers where the text lies; only when the whole line was
 * accepted is the text decoded, so that the caller's buffer is untouched
 * otherwise. A text without escapes is copied in one piece.
 *
 * When in doubt it says SCAN_OTHER: the full parser (envelope.c) is always
 * right, and tests/fuzz_scan.c compares the two.
 */
#include "worker/scan.h"

#include "base/utf8.h"
#include "worker/json_chars.h"

enum {
	SAW_JSONRPC = 1 << 0,
	SAW_METHOD = 1 << 1,
	SAW_PARAMS = 1 << 2,
	SAW_SESSION = 1 << 3,
	SAW_UPDATE = 1 << 4,
	SAW_KIND = 1 << 5,
	SAW_CONTENT = 1 << 6,
	SAW_TYPE = 1 << 7,
	SAW_TEXT = 1 << 8,
	SAW_ALL = (1 << 9) - 1,
	SAW_MESSAGE_ID = 1 << 9, /* the one that may be missing */
};

struct scan {
	const char *p;
	const char *end;
	unsigned seen;
	enum scan_result kind;
	struct scan_chunk *chunk;
	const char *text;     /* between the quotes */
	const char *text_end;
	bool has_escape;
};

/* One member of an object: its value is at s->p. */
typedef bool member_fn(struct scan *s, const char *name, size_t n);

#define IS(p, n, word) \
	((n) == sizeof(word) - 1 && memcmp((p), (word), sizeof(word) - 1) == 0)

static inline bool
take(struct scan *s, char c)
{
	s->p = json_skip_space(s->p, s->end);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* A string without escapes. */
static inline bool
take_string(struct scan *s, const char **str, size_t *n)
{
	uint64_t high = 0;

	if (!take(s, '"'))
		return false;
	*str = s->p;
	s->p = json_skip_plain(s->p, s->end, &high);
	if (s->p == s->end || *s->p != '"')
		return false;
	*n = (size_t)(s->p++ - *str);
	return !high || utf8_valid_prefix(*str, *n) == *n;
}

static inline bool
first(struct scan *s, unsigned what)
{
	bool is_first = !(s->seen & what);

	s->seen |= what;
	return is_first;
}

static inline bool
members(struct scan *s, member_fn *member)
{
	const char *name;
	size_t n;

	if (!take(s, '{'))
		return false;
	do {
		if (!take_string(s, &name, &n) || !take(s, ':') ||
		    !member(s, name, n))
			return false;
	} while (take(s, ','));
	return take(s, '}');
}

/* Steps over one escape sequence; false when it is none. */
static bool
skip_escape(struct scan *s)
{
	int len;

	if (s->end - s->p < 2)
		return false;
	if (s->p[1] != 'u') {
		if (s->p[1] == '\0' || !strchr("\"\\/bfnrt", s->p[1]))
			return false;
		s->p += 2;
		return true;
	}
	if (json_unicode_escape(s->p, s->end, &len, &(bool){ 0 }) < 0)
		return false;
	s->p += len;
	return true;
}

static bool
take_text(struct scan *s)
{
	uint64_t high = 0;
	size_t n;

	if (!take(s, '"'))
		return false;
	s->text = s->p;
	for (;;) {
		s->p = json_skip_plain(s->p, s->end, &high);
		if (s->p == s->end)
			return false;
		if (*s->p == '"')
			break;
		if (*s->p != '\\' || !skip_escape(s))
			return false;
		s->has_escape = true;
	}
	s->text_end = s->p++;
	n = (size_t)(s->text_end - s->text);
	return !high || utf8_valid_prefix(s->text, n) == n;
}

static bool
member_of_content(struct scan *s, const char *name, size_t n)
{
	const char *type;
	size_t len;

	if (IS(name, n, "text"))
		return first(s, SAW_TEXT) && take_text(s);
	return IS(name, n, "type") && first(s, SAW_TYPE) &&
	    take_string(s, &type, &len) && IS(type, len, "text");
}

static bool
take_kind(struct scan *s)
{
	const char *kind;
	size_t n;

	if (!take_string(s, &kind, &n))
		return false;
	if (IS(kind, n, "agent_message_chunk"))
		s->kind = SCAN_TEXT;
	else if (IS(kind, n, "agent_thought_chunk"))
		s->kind = SCAN_REASONING;
	return s->kind != SCAN_OTHER;
}

static bool
take_message_id(struct scan *s)
{
	s->p = json_skip_space(s->p, s->end);
	if (s->end - s->p >= 4 && memcmp(s->p, "null", 4) == 0) {
		s->p += 4;
		return true;
	}
	return take_string(s, &s->chunk->message_id,
	    &s->chunk->message_id_len);
}

static bool
member_of_update(struct scan *s, const char *name, size_t n)
{
	if (IS(name, n, "sessionUpdate"))
		return first(s, SAW_KIND) && take_kind(s);
	if (IS(name, n, "content"))
		return first(s, SAW_CONTENT) && members(s, member_of_content);
	return IS(name, n, "messageId") && first(s, SAW_MESSAGE_ID) &&
	    take_message_id(s);
}

static bool
member_of_params(struct scan *s, const char *name, size_t n)
{
	if (IS(name, n, "sessionId"))
		return first(s, SAW_SESSION) && take_string(s,
		    &s->chunk->session_id, &s->chunk->session_id_len);
	return IS(name, n, "update") && first(s, SAW_UPDATE) &&
	    members(s, member_of_update);
}

static bool
member_of_message(struct scan *s, const char *name, size_t n)
{
	const char *value;
	size_t len;

	if (IS(name, n, "jsonrpc"))
		return first(s, SAW_JSONRPC) && take_string(s, &value, &len) &&
		    IS(value, len, "2.0");
	if (IS(name, n, "method"))
		return first(s, SAW_METHOD) && take_string(s, &value, &len) &&
		    IS(value, len, "session/update");
	return IS(name, n, "params") && first(s, SAW_PARAMS) &&
	    members(s, member_of_params);
}

static char *
put_utf8(char *to, int c)
{
	if (c < 0x80) {
		*to++ = (char)c;
		return to;
	}
	if (c < 0x800) {
		*to++ = (char)(0xC0 | c >> 6);
	} else if (c < 0x10000) {
		*to++ = (char)(0xE0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3F));
	} else {
		*to++ = (char)(0xF0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3F));
		*to++ = (char)(0x80 | (c >> 6 & 0x3F));
	}
	*to++ = (char)(0x80 | (c & 0x3F));
	return to;
}

static char
short_escape(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c;
	}
}

/* Decodes p, which was checked; no escape is shorter than what it means. */
static void
decode(const char *p, const char *end, struct buf *text, bool *repaired)
{
	char *start = buf_room(text, (size_t)(end - p));
	char *to = start;

	while (p < end) {
		uint64_t high = 0;
		const char *stop = json_skip_plain(p, end, &high);
		int len = 2;
		bool bad;

		memcpy(to, p, (size_t)(stop - p));
		to += stop - p;
		p = stop;
		if (p == end)
			break;
		if (p[1] == 'u') {
			to = put_utf8(to,
			    json_unicode_escape(p, end, &len, &bad));
			*repaired |= bad;
		} else {
			*to++ = short_escape(p[1]);
		}
		p += len;
	}
	buf_grew(text, (size_t)(to - start));
}

enum scan_result
scan_chunk(const char *line, size_t len, struct scan_chunk *c,
    struct buf *text)
{
	struct scan s = { .p = line, .end = line + len, .chunk = c };

	*c = (struct scan_chunk){ 0 };
	if (!members(&s, member_of_message) ||
	    (s.seen & SAW_ALL) != SAW_ALL ||
	    json_skip_space(s.p, s.end) != s.end)
		return SCAN_OTHER;
	if (s.has_escape)
		decode(s.text, s.text_end, text, &c->repaired);
	else
		buf_add(text, s.text, (size_t)(s.text_end - s.text));
	return s.kind;
}
