/*
 * outcome_rules.h - the table of the delivery policy: whose trouble each reply is.
 *
 * Pure data: nobody but outcome.c and its test includes it.
 */
#ifndef RHESIS_OUTCOME_RULES_H
#define RHESIS_OUTCOME_RULES_H

#include "policy/outcome.h"

#define BIT(x) (1u << (x))

/* Conditions beside kind, stage, code and words */
#define IF_DOT_WRITTEN 1
#define IF_REUSED 2
#define IF_NAMES_SENDER 4 /* the text names our sender's address or its domain */

typedef struct Rule
{
	/* All of these must hold. */
	unsigned int kinds;		/* bits of SmtpEventKind */
	unsigned int stages;	/* bits of SmtpStage */
	int code_from, code_to; /* replies only */
	const char *enhanced;	/* "5.7.1", or "4.2." for all of them; NULL: any or none */
	const char *wording;	/* phrases, see HasWording; NULL: any text */
	int conditions;

	/* Then this is the outcome. */
	OutcomeScope scope;
	OutcomeAction action;
	const char *reason;
	int delay_seconds;
	const char *hint; /* the next step, for the person who can mend it; NULL: none is known */
	bool is_full; /* this connection takes no more messages, for a count that another reaches too */
} Rule;

/* In the order in which they are tried; the last one holds for all that is left. */
extern const Rule outcome_rules[];
extern const int outcome_rule_count;

#endif /* RHESIS_OUTCOME_RULES_H */
