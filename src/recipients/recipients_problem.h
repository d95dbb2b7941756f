/*
 * recipients_problem.h - what an error of the application's relation means: is it about one row or
 * about the relation, and what can a person do about it?
 */
#ifndef RHESIS_RECIPIENTS_PROBLEM_H
#define RHESIS_RECIPIENTS_PROBLEM_H

#include "recipients/recipients.h"

/* The relation that was being read when the error was raised. */
typedef struct Reading
{
	const char *name;
	Oid owner; /* InvalidOid: it was not opened */
} Reading;

/* Returns true if the error may be about one row; else it is about the relation. */
extern bool IsRowError(const ErrorData *error);

/*
 * Returns true if PostgreSQL raised the error because this process was cancelled. A function, or a
 * remote server, can raise an error with the same SQLSTATE.
 */
extern bool IsCancellation(const ErrorData *error);

/* Returns the error of a row in words, cut and palloc'd. */
extern char *DescribeRowError(const ErrorData *error);

/*
 * Fills in *problem with what is wrong with the relation; texts are cut and palloc'd. If
 * LOOK_UP_LIMIT_MS has passed, that is the problem, whatever error was raised. Needs an open
 * transaction.
 */
extern void
ReportProblem(RecipientsProblem *problem, const ErrorData *error, const Reading *reading);

#endif
