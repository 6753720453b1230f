/* SPDX-License-Identifier: MIT */
/* What the files of `hearth doctor` share. */
#ifndef HEARTH_DOCTOR_H
#define HEARTH_DOCTOR_H

#include <stdbool.h>

#include "cli/cli.h"

enum verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	bool is_embedded;  /* no database was named */
	int failures;
};

/* One line: verdict, what was looked at, what was found and how to mend it. */
void doctor_say(struct doctor *d, enum verdict verdict, const char *what,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The database's part: cli/doctor_database.c. */
void doctor_check_database(struct doctor *d, const struct cli *cli);

#endif
