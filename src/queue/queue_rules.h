/*
 * queue_rules.h - rules (CREATE RULE) of the application that stop the worker's statements for all
 * rows.
 *
 * PostgreSQL does not allow WITH and RETURNING in a statement that a rule rewrites, but claims and
 * records need both. PostgreSQL's error does not name the rule.
 */
#ifndef RHESIS_QUEUE_RULES_H
#define RHESIS_QUEUE_RULES_H

typedef struct QueueRules
{
	char *names;
	char *advice; /* the statements that drop them, and what to do then */
} QueueRules;

/*
 * Reads the rules that apply to a claim or a record, palloc'd in the current context. Returns false
 * if there are none.
 */
extern bool ReadQueueRules(QueueRules *rules);

/* Returns true if the error may come from a rule that has rewritten a statement. */
extern bool MayBeRules(int sqlstate);

#endif
