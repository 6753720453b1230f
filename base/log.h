/* SPDX-License-Identifier: MIT */
/*
 * Log lines on stderr, each with the object that it speaks of.
 *
 *   text:  2026-11-21T03:15:44.123Z info  worker 17 4c1e../qwen: ready in 312 ms
 *   json:  {"ts":"…","level":"info","object":"worker 17 …","msg":"ready in 312 ms"}
 *
 * Each line goes out in one write(). Under systemd (JOURNAL_STREAM set) the
 * text form has the <N> priority prefix instead of a time stamp. Control
 * characters and newlines in messages are escaped, so a line is one line
 * whatever an agent says.
 */
#ifndef HEARTH_LOG_H
#define HEARTH_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Before the first call: info, text. May be called again (SIGHUP). */
void log_setup(enum log_level level, enum log_format format);

void log_error(const char *object, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void log_warning(const char *object, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void log_info(const char *object, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void log_debug(const char *object, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
