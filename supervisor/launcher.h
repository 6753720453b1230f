/* SPDX-License-Identifier: MIT */
/*
 * hearth.agents.launcher and command as the argv of one child: placeholders in
 * the launcher become what they stand for.
 *
 *   {worktree}   the session's working copy     {project}  the project's folder
 *   {state_dir}  hearthd's state_dir            {home}     its user's $HOME
 *   {worktree:sh} …  the same as one quoted word of a POSIX shell
 *   {command}    the whole command, every word quoted for a POSIX shell; it is
 *                then not put behind the launcher
 *   {env}        the registry's env, quoted, as arguments of env(1)
 *
 * Everything else, also in braces, stays as it is, and so does the command:
 * what a person or an agent wrote there is never looked into.
 */
#ifndef HEARTH_LAUNCHER_H
#define HEARTH_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>

struct launcher_place {
	const char *worktree, *project, *state_dir, *home; /* none is NULL */
};

/*
 * argv: the launcher's n words, then the command. env: "K=V" sets, "K" unsets.
 * The caller frees with strv_free().
 */
char **launcher_expand(char *const *argv, size_t n, char *const *env,
    const struct launcher_place *at);

/* Whether one of the n words differs from one working copy to another. */
bool launcher_names_place(char *const *argv, size_t n);

#endif
