/* SPDX-License-Identifier: MIT */
/*
 * The embedded cluster on disk: whose it is, its folders, its configuration,
 * and what postmaster.pid says. Used by sql/cluster.c alone. All of it is a
 * few system calls on local files; nothing here starts or waits for anything.
 */
#ifndef HEARTH_CLUSTER_FILES_H
#define HEARTH_CLUSTER_FILES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct cluster_user {
	char name[64];
	uid_t uid;
	gid_t gid;
	bool is_other; /* the daemon is root and must become it */
};

/* Who the server runs as: ourselves; for root postgres, hearth or nobody. */
int cluster_pick_user(struct cluster_user *u, struct err *e);

/*
 * Makes state_dir and the socket's folder and sees to it that user may use
 * them. The socket's folder is refused when it is not ours or user's.
 */
int cluster_make_dirs(const char *state_dir, const char *socket_dir,
    const struct cluster_user *user, struct err *e);
/* A new empty folder for initdb, beside the data folder; its path, which the
 * caller frees, or NULL. */
char *cluster_make_new_dir(const char *state_dir,
    const struct cluster_user *user, struct err *e);
/* What initdb has made becomes the data folder, for good when this returns: else
 * a power cut could make it a folder that is left, and is removed. */
int cluster_adopt(const char *state_dir, const char *new_dir,
    const char *data_dir, struct err *e);
/* The paths of those that are there; strv_free() it. NULL: none. */
char **cluster_new_dirs(const char *state_dir);

/* The major version of the data in dir, 0 when no whole cluster is there. */
int cluster_data_version(const char *dir);

/*
 * Writes hearth.conf, pg_hba.conf and pg_ident.conf, and includes the first in
 * postgresql.conf unless it is.
 */
int cluster_write_config(const char *data_dir, const char *socket_dir,
    const struct cluster_user *user, struct err *e);

/*
 * The pid that postmaster.pid names, 0 when there is none; *ready: that server
 * says that it accepts connections.
 */
pid_t cluster_server_pid(const char *data_dir, bool *ready);
/* pid is a live postgres that works in data_dir. */
bool cluster_server_lives(const char *data_dir, pid_t pid);
/* Sends it a signal, if it is still that server. */
void cluster_server_signal(const char *data_dir, pid_t pid, int sig);

#endif
