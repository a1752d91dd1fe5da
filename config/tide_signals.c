/*  tide_signals.c - signals as something to wait for, in the main thread and nowhere else.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_signals.h"

#include "tide_alloc.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int tide_signals_block (void)
{
    sigset_t set;
    sigemptyset (&set);
    sigaddset (&set, SIGTERM);
    sigaddset (&set, SIGINT);
    sigaddset (&set, SIGHUP);
    int rc = pthread_sigmask (SIG_BLOCK, &set, NULL);
    tide_assert (rc == 0);
    signal (SIGPIPE, SIG_IGN);
    return signalfd (-1, &set, SFD_CLOEXEC);
}

int tide_signals_wait (int signals, int other)
{
    for (;;) {
        struct pollfd items[2] = {{signals, POLLIN, 0}, {other, POLLIN, 0}};
        if (poll (items, 2, -1) < 0) {
            tide_assert (errno == EINTR);
            continue;
        }
        struct signalfd_siginfo info;
        if (items[0].revents != 0 && read (signals, &info, sizeof info) == (ssize_t) sizeof info)
            return (int) info.ssi_signo;
        if (items[1].revents != 0)
            return 0;
    }
}
