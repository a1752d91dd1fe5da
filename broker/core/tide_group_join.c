/*  tide_group_join.c - whether a peer may become a member of a group.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_group_parts.h"
#include "tide_topic.h"

#include <stdio.h>

static _Thread_local char text[700];

/*  What a member says of how events are lent; 0 is what is usual. */
typedef struct {
    const char *name;
    uint32_t told, usual, min, max, has;
} option_t;

enum { OPTIONS = 3 };

static void options_of (const tide_group_t *group, const tide_group_join_message_t *join,
                        option_t options[OPTIONS])
{
    options[0] = (option_t){"lease_ms",
                            join->lease_ms,
                            TIDE_CALL_LEASE_MS,
                            TIDE_CALL_LEASE_MS_MIN,
                            TIDE_CALL_LEASE_MS_MAX,
                            group ? group->lease_ms : 0};
    options[1] = (option_t){"attempts", join->attempts,         TIDE_CALL_ATTEMPTS,
                            1,          TIDE_CALL_ATTEMPTS_MAX, group ? group->attempts : 0};
    options[2] = (option_t){"delay_ms", join->delay_ms,         TIDE_CALL_DELAY_MS,
                            1,          TIDE_CALL_DELAY_MS_MAX, group ? group->delay_ms : 0};
    for (size_t at = 0; at < OPTIONS; at++)
        if (options[at].told == 0)
            options[at].told = options[at].usual;
}

void tide_group_take_options (tide_group_t *self, const tide_group_join_message_t *join)
{
    option_t options[OPTIONS];
    options_of (self, join, options);
    self->lease_ms = options[0].told;
    self->attempts = options[1].told;
    self->delay_ms = options[2].told;
}

static tide_status_t check_range (const option_t *option, const char **why)
{
    if (option->told >= option->min && option->told <= option->max)
        return TIDE_OK;
    snprintf (text, sizeof text, "%s is from %u to %u, not %u", option->name, option->min,
              option->max, option->told);
    *why = text;
    return TIDE_BAD_REQUEST;
}

static tide_status_t check_names (const tide_group_join_message_t *join, const char **why)
{
    *why = "a group's name is 1-63 bytes of UTF-8: one level of a topic";
    if (!tide_service_valid (join->name))
        return TIDE_BAD_REQUEST;
    *why = "a group's user is UTF-8 without control characters";
    return join->user.size == 0 || tide_name_valid (join->user) ? TIDE_OK : TIDE_BAD_REQUEST;
}

/*  Members that are there decide how events are lent. */
static tide_status_t check_agreement (const tide_group_t *group, const tide_member_t *member,
                                      const option_t options[OPTIONS], const char **why)
{
    uint32_t others = group->member_count - (member != NULL);
    for (size_t at = 0; others > 0 && at < OPTIONS; at++) {
        if (options[at].has == options[at].told)
            continue;
        snprintf (text, sizeof text, "%.*s has %s %u for other members that are here, not %u",
                  TIDE_PRINT (group->name), options[at].name, options[at].has, options[at].told);
        *why = text;
        return TIDE_CONFLICT;
    }
    return TIDE_OK;
}

static tide_status_t check_start (const tide_groups_t *self, const tide_group_join_message_t *join,
                                  const char **why)
{
    enum { SINCE = 2 };
    if (join->start != SINCE)
        return TIDE_OK;
    snprintf (text, sizeof text, "the position is not in this log, which ends at %llu",
              (unsigned long long) self->core->head);
    *why = text;
    bool is_here =
        (join->epoch == 0 || join->epoch == self->core->epoch) && join->since <= self->core->head;
    return is_here ? TIDE_OK : TIDE_EPOCH_CHANGED;
}

/*  A record beyond the limit, or what somebody else has written: nothing of ours can stand there.
 */
static tide_status_t check_place (const tide_groups_t *self, const tide_group_join_message_t *join,
                                  const char **why)
{
    char topic[TIDE_NAME_SIZE_MAX + 1], key[TIDE_NAME_SIZE_MAX + 1];
    *why = "what stands in the group's place is no group: remove it first";
    uint64_t seq = tide_index_standing (self->core->index, tide_group_topic (join->name, topic),
                                        tide_group_key (join->user, key));
    return seq == 0 ? TIDE_OK : TIDE_CONFLICT;
}

static tide_status_t check_new (const tide_groups_t *self, const tide_group_join_message_t *join,
                                const char **why)
{
    snprintf (text, sizeof text, "there are %u groups already", TIDE_GROUPS_MAX);
    *why = text;
    if (HASH_COUNT (self->groups) >= TIDE_GROUPS_MAX)
        return TIDE_TOO_MANY;
    tide_status_t status = check_place (self, join, why);
    return status == TIDE_OK ? check_start (self, join, why) : status;
}

static tide_status_t check_known (const tide_group_t *group, const tide_member_t *member,
                                  tide_bytes_t topics, const option_t options[OPTIONS],
                                  const char **why)
{
    *why = "the group is one of other topics: to give it others, remove it first";
    if (!tide_bytes_equal (group->topics, topics))
        return TIDE_CONFLICT;
    if (!member && group->member_count >= TIDE_GROUP_MEMBERS_MAX) {
        snprintf (text, sizeof text, "the group has %u members already", TIDE_GROUP_MEMBERS_MAX);
        *why = text;
        return TIDE_TOO_MANY;
    }
    return check_agreement (group, member, options, why);
}

tide_status_t tide_group_check_join (const tide_groups_t *self, const tide_group_t *group,
                                     const tide_member_t *member,
                                     const tide_group_join_message_t *join, tide_buffer_t *topics,
                                     const char **why)
{
    option_t options[OPTIONS];
    option_t credit = {"the credit", join->credit, 0, 0, TIDE_CREDIT_MAX, 0};
    options_of (group, join, options);
    tide_status_t status = check_names (join, why);
    if (status == TIDE_OK)
        status = check_range (&credit, why);
    for (size_t at = 0; status == TIDE_OK && at < OPTIONS; at++)
        status = check_range (&options[at], why);
    if (status == TIDE_OK)
        status = tide_group_topics (join->topics, topics, why);
    if (status != TIDE_OK)
        return status;
    return group ? check_known (group, member, tide_buffer_bytes (topics), options, why)
                 : check_new (self, join, why);
}
