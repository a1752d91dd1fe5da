/*  commands.h - the subcommands of `tidemark`, one file each.
 *
 *  Each is given its own argv, argv[0] being its name, and returns the exit status: 0 it was done,
 *  1 it failed, 2 it was asked wrongly; what was wrong has been said on standard error.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_COMMANDS_H
#define TIDE_COMMANDS_H

int tide_command_serve (int argc, char *argv[]);
int tide_command_pub (int argc, char *argv[]);
int tide_command_sub (int argc, char *argv[]);
int tide_command_snapshot (int argc, char *argv[]);
int tide_command_history (int argc, char *argv[]);
int tide_command_cursors (int argc, char *argv[]);
int tide_command_top (int argc, char *argv[]);
int tide_command_check (int argc, char *argv[]);

#endif
