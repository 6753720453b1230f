/* SPDX-License-Identifier: MIT */
/*
 * Permission rules: which of them decides about a tool call that an agent asks
 * permission for. Matching is pure; the rules are given by the owner, in the
 * order in which they are looked at: the first that matches decides.
 *
 * The tool call is what an agent, perhaps a misled one, says of it. So `allow`
 * must be certain and `deny` and `ask` need only be possible:
 *
 *  - allow matches when all paths and all commands are like the patterns,
 *    when nothing is there that could not be read, and when a rule with one
 *    pattern is not met by a call that carries paths and a command.
 *  - deny and ask match when one path, and one command, is like the pattern or
 *    could not be read.
 *
 * Paths are those of locations, of diffs in the content, and of file_path
 * path filePath abs_path in rawInput. They are taken as text (".." is
 * resolved, symbolic links are not followed). Commands are command and cmd of
 * rawInput, text or argv; a title is prose and is no command.
 */
#ifndef HEARTH_PERMISSION_RULES_H
#define HEARTH_PERMISSION_RULES_H

#include <stddef.h>
#include <stdint.h>

enum permission_decision { DECISION_ALLOW, DECISION_DENY, DECISION_ASK };

/* Of a rule: where it holds. Of a child: what it belongs to. */
struct permission_scope {
	const char *tenant;       /* of a rule: NULL or "": every one */
	const char *agent;        /* of a rule: NULL: every one */
	int64_t project_id;       /* of a rule: 0: every one */
};

struct permission_rule {
	int64_t id;
	struct permission_scope scope;
	const char *tool_kind;    /* each may be NULL: any */
	const char *path_pattern;
	const char *command_pattern;
	enum permission_decision decision;
};

struct permission_rules;

/* JSON as text; each may be NULL. */
struct permission_call {
	const char *kind;
	const char *locations;
	const char *raw_input;
	const char *content;
	const char *cwd;          /* relative patterns and paths are below it */
	const char *real_cwd;     /* another name of the same folder, or NULL */
};

/* Without rules as yet: until they are set, everything is to be asked. */
struct permission_rules *permission_rules_new(void);
/* These and no others; copied. */
void permission_rules_set(struct permission_rules *r,
    const struct permission_rule *rules, size_t n);
void permission_rules_free(struct permission_rules **r);

/* The rule that decides, or NULL. Borrowed until the next set. */
const struct permission_rule *permission_rules_find(
    const struct permission_rules *r, const struct permission_scope *who,
    const struct permission_call *call);

#endif
