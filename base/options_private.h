/* SPDX-License-Identifier: MIT */
/*
 * What the files of the options share: the table, made from base/options.def.
 */
#ifndef HEARTH_OPTIONS_PRIVATE_H
#define HEARTH_OPTIONS_PRIVATE_H

#include <stddef.h>

#include "base/options.h"

enum kind { TEXT, FOLDER, FOLDERS, NUMBER, DURATION, RATE, WORD, SIZE };

struct word {
	const char *name;
	int value;
};

struct option {
	enum kind kind;
	const char *key;
	size_t field;         /* offset in struct options */
	size_t window;        /* RATE: offset of the other field */
	const char *preset;   /* as it would be written in a file */
	const char *shown;    /* the default for people, when it has no value */
	int64_t least, most;  /* NUMBER */
	const char *shortest, *longest; /* DURATION */
	const struct word *words;       /* WORD */
	const char *meaning;
};

/* In options.c. */
extern const struct option options_table[];
extern const size_t options_count;

/* In options_values.c: checks the value (form, unit, range) and sets the
 * option's field, or fails with what would be right. */
int option_set(struct options *o, const struct option *opt, const char *value,
    struct err *e);

#endif
