/* SPDX-License-Identifier: MIT */
/*
 * Fuzzer for worker/artifacts: whatever it finds has a URL that is found again
 * as itself, so a thing has one name however often it is spoken of.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "worker/artifacts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_same(void *ctx, const struct artifact *a)
{
	const struct artifact **was = ctx;

	MUST(*was != NULL);
	MUST(a->is_request == (*was)->is_request);
	MUST(strcmp(a->url, (*was)->url) == 0);
	MUST(strcmp(a->title, (*was)->title) == 0);
	MUST(a->number == (*was)->number && !a->path);
	*was = NULL;
	return true;
}

static bool
check(void *ctx, const struct artifact *a)
{
	const struct artifact *was = a;

	(void)ctx;
	MUST(a->url && a->title && *a->title);
	MUST(strlen(a->url) <= ARTIFACT_URL_MAX);
	MUST(a->is_request == (a->repository != NULL) &&
	    a->is_request == (a->provider != NULL));
	artifacts_find(a->url, strlen(a->url), is_same, &was);
	MUST(was == NULL);
	return true;
}

/* Copied to memory of the exact size, so that reading past it is seen. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1);

	memcpy(text, data, size);
	artifacts_find(text, size, check, NULL);
	free(text);
	return 0;
}
