/*  tide_sim.c - runs the simulator over many seeds, or over its mutations.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t first, seeds, steps;
    sim_mutation_t mutation;
    bool all_mutations, is_verbose, says_stats;
} options_t;

static int usage (const char *what)
{
    fprintf (stderr,
             "tide-sim: %s\n"
             "usage: tide-sim [--seeds N] [--steps M] [--first S] [--mutation NAME|all]\n"
             "                [--stats] [--verbose]\n"
             "mutations:\n",
             what);
    for (int at = 1; at < SIM_MUTATIONS; at++)
        fprintf (stderr, "  %-18s %s  %s\n", sim_mutation_name ((sim_mutation_t) at),
                 sim_mutation_guarantee ((sim_mutation_t) at),
                 sim_mutation_rule ((sim_mutation_t) at));
    return 2;
}

static bool parse_mutation (options_t *options, const char *name)
{
    options->all_mutations = strcmp (name, "all") == 0;
    for (int at = 1; at < SIM_MUTATIONS; at++)
        if (strcmp (name, sim_mutation_name ((sim_mutation_t) at)) == 0)
            options->mutation = (sim_mutation_t) at;
    return options->all_mutations || options->mutation != SIM_MUTATION_NONE;
}

static bool parse (options_t *options, int argc, char **argv)
{
    for (int at = 1; at < argc; at++) {
        const char *value = at + 1 < argc ? argv[at + 1] : NULL;
        bool takes_value = true;
        if (strcmp (argv[at], "--verbose") == 0 || strcmp (argv[at], "--stats") == 0) {
            options->is_verbose |= strcmp (argv[at], "--verbose") == 0;
            options->says_stats = true;
            takes_value = false;
        }
        else if (!value)
            return false;
        else if (strcmp (argv[at], "--seeds") == 0)
            options->seeds = strtoull (value, NULL, 10);
        else if (strcmp (argv[at], "--steps") == 0)
            options->steps = strtoull (value, NULL, 10);
        else if (strcmp (argv[at], "--first") == 0)
            options->first = strtoull (value, NULL, 10);
        else if (strcmp (argv[at], "--mutation") != 0 || !parse_mutation (options, value))
            return false;
        at += takes_value;
    }
    return options->seeds > 0;
}

static void add_stats (sim_stats_t *sum, const sim_stats_t *one)
{
    uint64_t *to = (uint64_t *) sum;
    const uint64_t *from = (const uint64_t *) one;
    for (size_t at = 0; at < sizeof *sum / sizeof *to; at++)
        to[at] += from[at];
}

static void print_stats (const sim_stats_t *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {{"events", s->events},
               {"live", s->live},
               {"brought up", s->brought_up},
               {"volatile", s->volatiles},
               {"resets", s->resets},
               {"joins", s->joins},
               {"leaves", s->leaves},
               {"snapshots", s->snapshots},
               {"histories", s->histories},
               {"acks", s->acks},
               {"fails", s->fails},
               {"repeats", s->repeats},
               {"conflicts", s->conflicts},
               {"resumes", s->resumes},
               {"refused", s->refused},
               {"sessions", s->opened},
               {"broker kills", s->kills},
               {"broker stops", s->stops},
               {"lane kills", s->lane_kills},
               {"other logs", s->wipes},
               {"cuts", s->cuts},
               {"dropped", s->drops},
               {"commits", s->commits},
               {"disk full", s->fulls},
               {"ghosts", s->ghosts},
               {"damaged", s->damaged},
               {"segments dropped", s->segments_dropped},
               {"pauses", s->pauses},
               {"calls", s->calls},
               {"calls durable", s->call_acks},
               {"calls ended", s->call_ends},
               {"dead letters", s->call_deads},
               {"lent", s->lent},
               {"lent again", s->lent_again},
               {"handled", s->handled},
               {"worker faults", s->worker_faults},
               {"hooks", s->hooks},
               {"ends told", s->hooks_told},
               {"orders", s->orders},
               {"… to leave", s->order_leaves},
               {"… to go", s->order_gos},
               {"sent away", s->gone},
               {"questions", s->questions},
               {"answers", s->answers},
               {"present", s->present},
               {"absent", s->absent},
               {"groups lent", s->group_lent},
               {"… again", s->group_again},
               {"… handled", s->group_handled},
               {"… dead", s->group_deads},
               {"… written", s->group_writes}};
    for (size_t at = 0; at < sizeof all / sizeof all[0]; at++)
        printf ("  %-16s %llu\n", all[at].name, (unsigned long long) all[at].value);
}

static int run_seeds (const options_t *options)
{
    sim_stats_t sum = {0};
    for (uint64_t seed = options->first; seed < options->first + options->seeds; seed++) {
        sim_t *sim = sim_new (seed, options->steps, SIM_MUTATION_NONE, options->is_verbose);
        bool good = sim_run (sim);
        add_stats (&sum, &sim->stats);
        sim_report (sim);
        sim_destroy (&sim);
        if (!good)
            return 1;
    }
    printf ("%llu seeds from %llu, %llu steps each: all guarantees held\n",
            (unsigned long long) options->seeds, (unsigned long long) options->first,
            (unsigned long long) options->steps);
    if (options->says_stats)
        print_stats (&sum);
    return 0;
}

/*  True if some seed finds it. What fails without it having happened is a failure of its own. */
static bool run_mutation (const options_t *options, sim_mutation_t mutation)
{
    uint64_t mutated = 0;
    for (uint64_t seed = options->first; seed < options->first + options->seeds; seed++) {
        sim_t *sim = sim_new (seed, options->steps, mutation, options->is_verbose);
        sim_run (sim);
        bool is_found = sim->failed && sim->mutated > 0;
        bool is_broken = sim->failed && sim->mutated == 0;
        mutated += sim->mutated;
        if (is_broken || (is_found && options->says_stats))
            sim_report (sim);
        if (is_found)
            printf ("%-18s found by seed %llu at step %llu, as %s: %s\n",
                    sim_mutation_name (mutation), (unsigned long long) seed,
                    (unsigned long long) sim->step, sim->guarantee, sim->failure);
        sim_destroy (&sim);
        if (is_found || is_broken)
            return is_found;
    }
    printf ("%-18s not found in %llu seeds (it happened %llu times): %s, %s\n",
            sim_mutation_name (mutation), (unsigned long long) options->seeds,
            (unsigned long long) mutated, sim_mutation_guarantee (mutation),
            sim_mutation_rule (mutation));
    return false;
}

static int run_mutations (const options_t *options)
{
    bool good = true;
    for (int at = 1; at < SIM_MUTATIONS; at++)
        if (options->all_mutations || options->mutation == (sim_mutation_t) at)
            good = run_mutation (options, (sim_mutation_t) at) && good;
    return good ? 0 : 1;
}

int main (int argc, char **argv)
{
    options_t options = {.first = 1, .seeds = 120, .steps = 5000};
    setvbuf (stdout, NULL, _IOLBF, 0);
    if (!parse (&options, argc, argv))
        return usage ("an option is unknown or has no value");
    if (options.all_mutations || options.mutation != SIM_MUTATION_NONE)
        return run_mutations (&options);
    return run_seeds (&options);
}
