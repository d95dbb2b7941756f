/*
 * recipients_problem.h - what an error means that an app's relation raised: is it one row's or the relation's, and how is it
 * told to the person who can mend it.
 */
#ifndef RHESIS_RECIPIENTS_PROBLEM_H
#define RHESIS_RECIPIENTS_PROBLEM_H

#include "recipients/recipients.h"

/* What was being read when the error came up. */
typedef struct Reading
{
	const char *name;
	Oid owner; /* InvalidOid: it was not opened */
} Reading;

/* The error may be one row's; any other speaks of the relation. */
extern bool IsRowError(const ErrorData *error);

/* This process was cancelled. (A function, or a remote server, can raise the same SQLSTATE.) */
extern bool IsCancellation(const ErrorData *error);

/* An error of one row in words, palloc'd and cut. */
extern char *DescribeRowError(const ErrorData *error);

/*
 * Fill *problem with what is wrong with the relation, palloc'd and cut. After the end of
 * LOOK_UP_LIMIT_MS, whatever was raised is taken for that. Needs an open transaction.
 */
extern void
ReportProblem(RecipientsProblem *problem, const ErrorData *error, const Reading *reading);

#endif
