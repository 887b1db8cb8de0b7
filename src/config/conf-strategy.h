/**
 * DOC: conf-strategy - the ladders of recovery strategies, and the three built in
 */
#ifndef CONFIG_CONF_STRATEGY_H
#define CONFIG_CONF_STRATEGY_H

#include <stdbool.h>

#include "config/conf.h"

struct conf_report;
struct yaml_node;

/* how the words of a "run" are kept in a list of actions */
#define CONF_ACTION_RUN "run:"

/**
 * conf_strategy_is_action - may this action stand under this kind of anomaly?
 * @kind: "long_allocated", "corrupted", "orphaned_lock"
 * @ret_known: whether there is such an action at all
 */
bool conf_strategy_is_action(const char *kind, const char *action, bool *ret_known);

/* all names of actions, for texts; ends with NULL */
extern const char *const conf_strategy_actions[];

/* conservative, aggressive and maintenance, as a file would say it */
extern const char conf_strategy_builtin[];

#endif
