/*
 * queue_rules.h - rules (CREATE RULE) of an app that stop the worker's statements for all rows.
 *
 * A statement that is rewritten by a rule may have no WITH and no RETURNING, which claims and records need. PostgreSQL's error does
 * not name the rule.
 */
#ifndef RHESIS_QUEUE_RULES_H
#define RHESIS_QUEUE_RULES_H

typedef struct QueueRules
{
	char *names;
	char *advice; /* how to get rid of them */
} QueueRules;

/* The rules that a claim or a record meets, palloc'd in the current context; false: there are none. */
extern bool ReadQueueRules(QueueRules *rules);

/* Is that what PostgreSQL, or the worker, says of a statement that a rule has changed? */
extern bool MayBeRules(int sqlstate);

#endif
