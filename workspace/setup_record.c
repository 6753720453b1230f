/* SPDX-License-Identifier: MIT */
/*
 * Pure: no I/O. The record is described in workspace/record.h.
 */
#include "workspace/setup_record.h"

#include <stdlib.h>

#include "base/utf8.h"

void
setup_read(const struct record *r, struct setup_outcome *outcome)
{
	struct buf output = { 0 };

	utf8_repair(r->field[4], r->last_len, true, &output);
	*outcome = (struct setup_outcome){
		.is_now = r->field[0][0] == '1',
		.is_late = r->field[1][0] == '1',
		.exit_code = atoi(r->field[2]),
		.ms = atoll(r->field[3]),
		.output = buf_take(&output),
	};
}
