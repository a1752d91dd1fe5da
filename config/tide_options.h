/*  tide_options.h - a program's options, from one table.
 *
 *  The table says each option's name, kind, bounds, default and meaning; flags, environment, file,
 *  --help and every complaint follow from it. A flag wins over the environment, the environment
 *  over the file, the file over the default. Option --some-name is TIDEMARK_SOME_NAME in the
 *  environment (empty: as if not there; a list is separated by commas) and `some-name = value` in
 *  a ZPL file (rfc.zeromq.org/spec/4; a list is the name several times).
 *
 *  Nothing is printed here: what is to be said comes back as text.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_OPTIONS_H
#define TIDE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    TIDE_OPTION_TEXT,   /* char *; NULL where there is no default */
    TIDE_OPTION_NUMBER, /* uint64_t, min to max */
    TIDE_OPTION_SWITCH, /* bool; a flag without a value, or =true, =false */
    TIDE_OPTION_CHOICE, /* int: which of the words in `value`, separated by |; -1 where none */
    TIDE_OPTION_LIST,   /* char **, NULL-terminated, never NULL; given several times */
    TIDE_OPTION_LATER   /* the contract has it, this version refuses it by name */
} tide_option_kind_t;

typedef struct {
    const char *name; /* without the dashes */
    tide_option_kind_t kind;
    unsigned programs;    /* bits: the programs that have it */
    bool is_flag_only;    /* neither in the environment nor in a file */
    size_t offset;        /* of the member in the target */
    const char *standard; /* the default, as one would write it; NULL: none */
    uint64_t min, max;    /* of a NUMBER */
    const char *value;    /* what to call the value in --help, as HOST:PORT */
    const char *help;
    const char *otherwise; /* what --help says about the default where `standard` doesn't tell */
} tide_option_t;

typedef struct {
    const char *program;        /* "tidemark serve": begins every complaint */
    const char *arguments;      /* behind the program's name in --help, as "TOPIC EVENT [DATA]" */
    const char *about;          /* what it does, for --help */
    const tide_option_t *table; /* ends with a NULL name */
    unsigned bit;               /* which program this is */
    bool has_file;              /* it takes --config FILE */
    unsigned arguments_min, arguments_max;
} tide_program_t;

typedef enum {
    TIDE_OPTIONS_READY, /* go on */
    TIDE_OPTIONS_TOLD,  /* --help or --version: print the text, exit status 0 */
    TIDE_OPTIONS_BAD    /* print the text, one line, on standard error: exit status 2 */
} tide_options_outcome_t;

/*  Reads everything into target. argv[0] is skipped. *arguments gets what is not an option, as a
 *  NULL-terminated array of pointers into argv, to be freed by the caller (the array only); `--`
 *  ends the options, `-` is an argument. *text is what is to be printed, with its newline, or NULL;
 *  the caller frees it. In every case the target has to be given to tide_options_free. */
tide_options_outcome_t tide_options_read (const tide_program_t *program, int argc,
                                          char *const argv[], void *target, char ***arguments,
                                          char **text);

/*  Frees what tide_options_read put into target. */
void tide_options_free (const tide_option_t *table, void *target);

/*  "0.1.0" */
const char *tide_version (void);

#endif
