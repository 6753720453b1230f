/* SPDX-License-Identifier: MIT */
/*
 * What /proc says of a process, its children and the whole machine.
 *
 * CPU time is exact for what lives, and counts in ticks of 10 ms for what ended
 * meanwhile: no measured run ends a process that matters.
 */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <sys/types.h>

/* CPU seconds so far. */
struct cpu {
	double daemon;
	double children;  /* of the daemon: keepers and agents */
	double postgres;
	double stolen;    /* by the host of a virtual machine */
};

/* postgres: pid of the postmaster */
struct cpu proc_cpu(pid_t daemon, pid_t postgres);
struct cpu cpu_since(const struct cpu *then, pid_t daemon, pid_t postgres);
/* kB from /proc/PID/status ("VmRSS:") or smaps_rollup ("Pss:") */
long proc_kb(pid_t pid, const char *file, const char *key);
/* The same over all processes of this name (comm) below `ancestor`. */
long proc_kb_below(pid_t ancestor, const char *name, const char *file,
	const char *key);

#endif
