/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzzer's entry point over files, for builds without libFuzzer: the
 * seed corpus is a test with every compiler. The files are those named on the
 * command line, or, for a program called replay_NAME, all in
 * $srcdir/tests/corpus/NAME. Speaks TAP; a broken invariant aborts, and the
 * last file that was named is the culprit.
 */
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay(const char *path)
{
	struct buf all = { 0 };
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		return -1;
	}
	do {
		n = fread(buf_room(&all, 4096), 1, 4096, f);
		buf_grew(&all, n);
	} while (n > 0);
	fclose(f);
	printf("# %s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput((const uint8_t *)all.data, all.len);
	buf_free(&all);
	return 0;
}

static int
replay_all(char **paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (replay(paths[i]) < 0)
			return -1;
	return count > 0 ? 0 : -1;
}

/* The corpus that the program's name speaks of. */
static int
replay_corpus(const char *program)
{
	const char *name = strrchr(program, '_');
	const char *srcdir = getenv("srcdir");
	struct buf pattern = { 0 };
	glob_t files;
	int result = -1;

	buf_printf(&pattern, "%s/tests/corpus/%s/*", srcdir ? srcdir : ".",
	    name ? name + 1 : program);
	if (glob(pattern.data, 0, NULL, &files) == 0) {
		result = replay_all(files.gl_pathv, files.gl_pathc);
		globfree(&files);
	} else {
		fprintf(stderr, "%s: no such files\n", pattern.data);
	}
	buf_free(&pattern);
	return result;
}

int
main(int argc, char **argv)
{
	int result;

	printf("1..1\n");
	if (argc > 1)
		result = replay_all(argv + 1, (size_t)argc - 1);
	else
		result = replay_corpus(argv[0]);
	printf("%s 1 - every_seed_of_the_corpus_keeps_the_invariants\n",
	    result < 0 ? "not ok" : "ok");
	return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
