/* SPDX-License-Identifier: MIT */
/*
 * One line per call, one write() per line. What an agent or a server said is
 * escaped, so that nobody can forge a line.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/utf8.h"

static enum log_level max_level = LOG_LEVEL_INFO;
static enum log_format form = LOG_FORMAT_TEXT;

static const struct {
	const char *name, *padded, *journal;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", "error  ", "<3>" },
	[LOG_LEVEL_WARNING] = { "warning", "warning", "<4>" },
	[LOG_LEVEL_INFO] = { "info", "info   ", "<6>" },
	[LOG_LEVEL_DEBUG] = { "debug", "debug  ", "<7>" },
};

void
log_setup(enum log_level level, enum log_format format)
{
	max_level = level;
	form = format;
}

static void
add_time(struct buf *line)
{
	struct timespec ts;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(line, "%s.%03ldZ", text, ts.tv_nsec / 1000000);
}

/* As valid UTF-8 without control characters: a terminal may be reading. */
static void
add_escaped(struct buf *line, const char *text)
{
	struct buf clean = { 0 };

	utf8_repair(text, strlen(text), true, &clean);
	for (size_t i = 0; i < clean.len; i++) {
		unsigned char c = (unsigned char)clean.data[i];
		unsigned char next = (unsigned char)clean.data[i + 1];

		if (c == '\n') {
			buf_adds(line, "\\n");
		} else if (c < 0x20 || c == 0x7f) {
			buf_printf(line, "\\x%02x", c);
		} else if (c == 0xC2 && next < 0xA0) {
			buf_printf(line, "\\u%04x", next); /* U+0080 .. 9F */
			i++;
		} else {
			buf_addc(line, (char)c);
		}
	}
	buf_free(&clean);
}

static void
add_json_member(struct buf *line, const char *name, const char *value)
{
	struct buf clean = { 0 };

	utf8_repair(value, strlen(value), true, &clean);
	buf_printf(line, "\"%s\":", name);
	buf_json(line, clean.data ? clean.data : "", clean.len);
	buf_free(&clean);
}

static void
emit(enum log_level level, const char *object, const char *message)
{
	struct buf line = { 0 };
	size_t done = 0;

	if (form == LOG_FORMAT_JSON) {
		buf_adds(&line, "{\"ts\":\"");
		add_time(&line);
		buf_printf(&line, "\",\"level\":\"%s\",", levels[level].name);
		add_json_member(&line, "object", object);
		buf_addc(&line, ',');
		add_json_member(&line, "msg", message);
		buf_adds(&line, "}\n");
	} else {
		if (getenv("JOURNAL_STREAM")) {
			buf_adds(&line, levels[level].journal);
		} else {
			add_time(&line);
			buf_printf(&line, " %s ", levels[level].padded);
		}
		add_escaped(&line, object);
		buf_adds(&line, ": ");
		add_escaped(&line, message);
		buf_addc(&line, '\n');
	}
	while (done < line.len) {
		ssize_t n = write(STDERR_FILENO, line.data + done,
		    line.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	buf_free(&line);
}

static void
vlog(enum log_level level, const char *object, const char *fmt, va_list ap)
{
	int saved = errno;
	char *message = NULL;

	if (level <= max_level && vasprintf(&message, fmt, ap) >= 0) {
		emit(level, object, message);
		free(message);
	}
	errno = saved;
}

#define LOG_FUNCTION(name, level) \
void \
name(const char *object, const char *fmt, ...) \
{ \
	va_list ap; \
 \
	va_start(ap, fmt); \
	vlog(level, object, fmt, ap); \
	va_end(ap); \
}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
