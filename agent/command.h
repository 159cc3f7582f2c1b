/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct command: a program that is profiled from its first instruction on. It is forked at once
 * but waits with exec until it is told to go; when that never happens it never runs.
 */
#pragma once

#include <sys/types.h>

#include "agent/base/macro.h"

struct command {
	pid_t pid;
	int go;	    /* a byte lets the program start, end of file makes it give up */
	int failed; /* errno comes through here when exec failed */
	int pidfd;  /* readable when the program ended */
};

/* 0 or a negative errno. argv is NULL-terminated; the program inherits the three standard files. */
int command_fork(char *const *argv, struct command *ret);
/* 0, or why the program could not be executed (-ENOENT, -EACCES...). */
int command_go(struct command *c);
/* Waits for the end. The wait status. */
int command_wait(struct command *c);
/* A program that was started goes on, one that was not is gone. */
void command_done(struct command *c);
