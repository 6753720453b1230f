/* SPDX-License-Identifier: MIT */
/*
 * fs/read_text_file and fs/write_text_file for the agent, confined to one
 * folder with openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS) whatever
 * symlinks say. Reads are bounded (8 MiB), writes make missing parents and
 * replace the file's content; only regular files.
 */
#ifndef HEARTH_CLIENT_FS_H
#define HEARTH_CLIENT_FS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum client_fs_result {
	CLIENT_FS_OK,
	CLIENT_FS_NOT_FOUND,   /* -32002 */
	CLIENT_FS_REFUSED,     /* outside the root, not absolute: -32602 */
	CLIENT_FS_FAILED,      /* -32603 */
};

/*
 * path is absolute and lies below root. line is 1-based, 0 for the start;
 * limit is a number of lines, 0 for all. The content is appended to out as
 * valid UTF-8.
 */
enum client_fs_result client_fs_read(const char *root, const char *path,
    int64_t line, int64_t limit, struct buf *out, struct err *e);
enum client_fs_result client_fs_write(const char *root, const char *path,
    const char *content, size_t len, struct err *e);

#endif
