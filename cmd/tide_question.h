/*  tide_question.h - a command that asks the broker for something, answer by answer, and ends.
 *
 *  If the broker stops meanwhile, the command asks again when it is back.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_QUESTION_H
#define TIDE_QUESTION_H

#include "tide_client.h"

typedef struct tide_question tide_question_t;

/*  The first member of what the command knows. */
struct tide_question {
    const tide_program_t *program;
    /*  Asks from where it stands, with tide_question_ask. */
    void (*begin) (tide_question_t *self);
    /*  Takes an answer, and asks for more or sets is_done. False if it is a refusal, which is then
     *  said and ends the command. */
    bool (*take) (tide_question_t *self, const tide_message_t *answer);

    tide_client_t *client;
    uint64_t token; /* of what is asked */
    bool is_due;    /* … or of what is to be asked when the broker is there */
    bool is_done, has_failed;
};

/*  Asks the broker; one thing at a time. The token. */
uint64_t tide_question_ask (tide_question_t *self, tide_message_t *message);

/*  Asks until it is done. The exit status; what was wrong has been said. */
int tide_question_run (tide_question_t *self, const tide_client_options_t *options);

#endif
