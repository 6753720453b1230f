/* SPDX-License-Identifier: MIT */
/*
 * hearthd: reads its options, takes its state folder, runs the node. The
 * table of contents of the daemon; the story begins in supervisor/node.c.
 */
#include <ev.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/delegation.h"
#include "base/log.h"
#include "base/options.h"
#include "supervisor/lock.h"
#include "supervisor/node.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif
#define DEFAULT_FILE SYSCONFDIR "/hearth/hearthd.conf"

/* The command line, kept for SIGHUP. */
static struct {
	char *file;     /* -c, or the default file where there is one */
	char **set;     /* -o, in order */
	bool only_check;
} args;

static void
print_help(void)
{
	printf("Usage: hearthd [-c FILE] [-o KEY=VALUE]... [--check]\n"
	    "\n"
	    "Keeps coding agents warm; see hearthd(8). Runs in the foreground "
	    "and logs to\nstderr. SIGTERM drains, a second one or SIGINT "
	    "stops at once, SIGHUP reloads.\n"
	    "\n"
	    "  -c FILE       read options from FILE (default: %s,\n"
	    "                if it is there)\n"
	    "  -o KEY=VALUE  set an option; goes over the file\n"
	    "      --check   check the options and exit\n"
	    "      --sample  print a sample hearthd.conf and exit\n"
	    "      --version print the version and exit\n"
	    "      --help    print this and exit\n"
	    "\nOptions:\n", DEFAULT_FILE);
	options_print_help(stdout);
}

enum { OPT_CHECK = 256, OPT_SAMPLE, OPT_MANUAL, OPT_VERSION, OPT_HELP };

static void
parse_args(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "check", no_argument, NULL, OPT_CHECK },
		{ "sample", no_argument, NULL, OPT_SAMPLE },
		{ "manual-options", no_argument, NULL, OPT_MANUAL },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:o:h", longs, NULL)) != -1)
		switch (c) {
		case 'c':
			args.file = optarg;
			break;
		case 'o':
			strv_add(&args.set, optarg);
			break;
		case OPT_CHECK:
			args.only_check = true;
			break;
		case OPT_SAMPLE:
			options_print_sample(stdout);
			exit(EX_OK);
		case OPT_MANUAL:
			options_print_manual(stdout);
			exit(EX_OK);
		case OPT_VERSION:
			printf("hearthd %s\n", PACKAGE_VERSION);
			exit(EX_OK);
		case 'h':
		case OPT_HELP:
			print_help();
			exit(EX_OK);
		case ':':
			fprintf(stderr, "hearthd: %s needs a value; see "
			    "hearthd --help\n", argv[optind - 1]);
			exit(EX_USAGE);
		default:
			fprintf(stderr, "hearthd: unknown option %s; see "
			    "hearthd --help\n", argv[optind - 1]);
			exit(EX_USAGE);
		}
	if (optind < argc) {
		fprintf(stderr, "hearthd: %s: hearthd takes no arguments; "
		    "options are set with -o KEY=VALUE\n", argv[optind]);
		exit(EX_USAGE);
	}
	if (!args.file && access(DEFAULT_FILE, F_OK) == 0)
		args.file = DEFAULT_FILE;
}

/* File and -o into fresh options. */
static int
load(struct options *opt, struct err *e)
{
	int rc = 0;

	options_init(opt);
	if (args.file)
		rc = options_load(opt, args.file, e);
	for (char **set = args.set; rc == 0 && set && *set; set++)
		rc = options_set_arg(opt, *set, e);
	if (rc == 0)
		rc = options_finish(opt, e);
	if (rc != 0)
		options_free(opt);
	return rc;
}

static void
die(int status, const struct err *e)
{
	fprintf(stderr, "hearthd: %s\n", e->text);
	exit(status);
}

int
main(int argc, char **argv)
{
	struct options opt;
	struct ev_loop *loop;
	struct err e;
	int status;

	parse_args(argc, argv);
	if (load(&opt, &e) != 0)
		die(EX_CONFIG, &e);
	if (args.only_check) {
		printf("hearthd: the options are fine\n");
		options_free(&opt);
		strv_free(&args.set);
		return EX_OK;
	}
	log_setup(opt.log_level, opt.log_format);
	if (lock_state_dir(opt.state_dir, &e) != 0)
		die(EX_CANTCREAT, &e);
	signal(SIGPIPE, SIG_IGN);
	child_raise_fd_limit();
	delegation_take();
	srand48((long)getpid());
	/* not the default loop: that one would reap our children */
	loop = ev_loop_new(EVFLAG_AUTO);
	MUST(loop != NULL);
	status = node_run(loop, &opt, load);
	ev_loop_destroy(loop);
	options_free(&opt);
	strv_free(&args.set);
	return status;
}
