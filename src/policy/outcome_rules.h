/*
 * outcome_rules.h - the rules: what each reply of a mail server means
 *
 * Pure data. Only outcome.c and its test include this file.
 */
#ifndef RHESIS_OUTCOME_RULES_H
#define RHESIS_OUTCOME_RULES_H

#include "policy/outcome.h"

#define BIT(x) (1u << (x))

/* Conditions besides kind, stage, code and words */
#define IF_DOT_WRITTEN 1
#define IF_REUSED 2
#define IF_NAMES_SENDER 4 /* the text names the address of our sender, or its domain */

typedef struct Rule
{
	/* All of these must hold. */
	unsigned int kinds;		/* bits of SmtpEventKind */
	unsigned int stages;	/* bits of SmtpStage */
	int code_from, code_to; /* replies only */
	const char *enhanced; /* "5.7.1"; "4.2." for each code that begins with it; NULL: any or none */
	const char *wording;  /* phrases, see HasWording; NULL: any text */
	int conditions;

	/* Then this is the outcome. */
	OutcomeScope scope;
	OutcomeAction action;
	const char *reason;
	int delay_seconds;
	const char *hint; /* the next step for a person; NULL: none is known */
	bool is_full;	  /* see Outcome.is_full */
} Rule;

/* The rules are tried in this order. The last rule matches everything. */
extern const Rule outcome_rules[];
extern const int outcome_rule_count;

#endif /* RHESIS_OUTCOME_RULES_H */
