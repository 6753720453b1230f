/* SPDX-License-Identifier: MIT */
/*
 * The table of options as text: --help, the sample file, the manual page.
 */
#include "base/options_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define HELP_WIDTH 78

/* What the default is, for people. */
static const char *
shown_default(const struct option *opt)
{
	if (opt->shown)
		return opt->shown;
	return *opt->preset ? opt->preset : "empty";
}

/* Wraps text at white space; every line begins with margin. */
static void
print_wrapped(FILE *f, const char *margin, const char *text)
{
	size_t column = 0;

	while (*(text += strspn(text, " "))) {
		size_t n = strcspn(text, " ");

		if (column && column + 1 + n > HELP_WIDTH) {
			fputc('\n', f);
			column = 0;
		}
		if (column)
			column += (size_t)fprintf(f, " ");
		else
			column = (size_t)fprintf(f, "%s", margin);
		column += (size_t)fprintf(f, "%.*s", (int)n, text);
		text += n;
	}
	fputc('\n', f);
}

void
options_print_help(FILE *f)
{
	for (size_t i = 0; i < options_count; i++) {
		char *head = xasprintf("%s (default: %s)", options_table[i].key,
		    shown_default(&options_table[i]));

		print_wrapped(f, "  ", head);
		print_wrapped(f, "      ", options_table[i].meaning);
		free(head);
	}
}

void
options_print_sample(FILE *f)
{
	print_wrapped(f, "# ", "Configuration of hearthd: key = value. What "
	    "is commented out shows the default. A # after white space begins "
	    "a comment. Durations have a unit: ms, s, min, h.");
	for (size_t i = 0; i < options_count; i++) {
		fputc('\n', f);
		print_wrapped(f, "# ", options_table[i].meaning);
		if (options_table[i].shown) {
			char *text = xasprintf("Default: %s.", options_table[i].shown);

			print_wrapped(f, "# ", text);
			free(text);
		}
		fprintf(f, "#%s =%s%s\n", options_table[i].key,
		    *options_table[i].preset ? " " : "", options_table[i].preset);
	}
}

/* Text in which nothing is a request or an escape of roff. */
static void
print_roff(FILE *f, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", f);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", f);
		else if (*text == '-')
			fputs("\\-", f);
		else if (*text == '~')
			fputs("\\(ti", f);
		else if (*text == '\'')
			fputs("\\(aq", f);
		else
			fputc(*text, f);
	}
}

void
options_print_manual(FILE *f)
{
	for (size_t i = 0; i < options_count; i++) {
		fprintf(f, ".TP\n.BR %s \" (default: ", options_table[i].key);
		print_roff(f, shown_default(&options_table[i]));
		fputs(")\"\n", f);
		print_roff(f, options_table[i].meaning);
		fputc('\n', f);
	}
}
