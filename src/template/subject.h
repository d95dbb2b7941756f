/*
 * subject.h - subjects in Mustache and in the single-brace form: {task_name}, {status.title()}.
 */
#ifndef RHESIS_SUBJECT_H
#define RHESIS_SUBJECT_H

#include "mustache/mustache.h"
#include "template/variables.h"

typedef struct SubjectTemplate SubjectTemplate;

/*
 * Only {name} and {name.method()} are special, other braces are literal or Mustache's. NULL with the error filled in if the
 * source can't be parsed. Lives in the current memory context.
 */
extern SubjectTemplate *ParseSubject(const char *name, const char *source, MustacheError *error);

/* The Mustache template that the subject was translated to. */
extern const MustacheTemplate *SubjectMustache(const SubjectTemplate *subject);

/* NULL if everything in single braces can be filled in, else what can't, palloc'd. */
extern char *SubjectProblem(const SubjectTemplate *subject, const Variables *variables);

/* The length of the variable's name in a name that MustacheVisitNames shows of a subject. */
extern int SubjectNameLength(const char *name, int name_length);

/*
 * Looks up what ParseSubject made of something in single braces. False: the name is none of those, or there is no such
 * variable.
 */
extern bool LookUpSubjectName(const Variables *variables, const char *name, int name_length,
							  MustacheValue *value);

#endif
