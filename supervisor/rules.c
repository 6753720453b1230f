/* SPDX-License-Identifier: MIT */
/*
 * The permission rules: all rows of hearth.permission_rules, read when the
 * database is up and at every hint that they have changed, and handed to the
 * pool, which decides by them from then on, in warm children, too. While
 * PostgreSQL is away the last ones that are known hold.
 *
 * Must never know: how a rule matches (worker/permission_rules.h).
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

/*
 * So many may be under way: not one, because a turn that follows a change must
 * find it asked for already; not more, should thousands of rules be inserted
 * one by one.
 */
#define AT_ONCE 16

static enum permission_decision
decision_of(const char *word)
{
	if (strcmp(word, "allow") == 0)
		return DECISION_ALLOW;
	return strcmp(word, "deny") == 0 ? DECISION_DENY : DECISION_ASK;
}

static void
set_rules(struct supervisor *sup, const struct rule_row *rows, size_t n)
{
	struct permission_rule *rules = xcalloc(n + 1, sizeof *rules);

	for (size_t i = 0; i < n; i++)
		rules[i] = (struct permission_rule){
			.id = rows[i].id,
			.scope = { rows[i].tenant, rows[i].agent,
			    rows[i].project_id },
			.tool_kind = rows[i].tool_kind,
			.path_pattern = rows[i].path_pattern,
			.command_pattern = rows[i].command_pattern,
			.decision = decision_of(rows[i].decision),
		};
	pool_set_rules(sup->pool, rules, n);
	log_debug("hearthd", "%zu permission rules", n);
	free(rules);
}

static void
on_rules(void *ctx, const struct rule_row *rows, size_t n,
    const struct err *e)
{
	struct supervisor *sup = ctx;

	sup->rules_asked--;
	if (!e) {
		set_rules(sup, rows, n);
		if (sup->rules_again)
			rules_load(sup);
		return;
	}
	/* the next look at the queue, or the reconnection, tries again */
	sup->rules_again = true;
	if (sup->is_up)
		log_warning("hearthd", "permission rules not read: %s",
		    e->text);
}

void
rules_load(struct supervisor *sup)
{
	sup->rules_again = sup->rules_asked >= AT_ONCE;
	if (sup->rules_again || !sup->is_up)
		return;
	sup->rules_asked++;
	db_permission_rules(sup->db, on_rules, sup);
}
