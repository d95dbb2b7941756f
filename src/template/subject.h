/*
 * subject.h - subjects in Mustache and in the single-brace form: {task_name}, {status.title()}.
 */
#ifndef RHESIS_SUBJECT_H
#define RHESIS_SUBJECT_H

#include "mustache/mustache.h"
#include "template/variables.h"

typedef struct SubjectTemplate SubjectTemplate;

/*
 * Parses a subject into the current memory context. Only {name} and {name.method()} are special;
 * other braces are literal, or Mustache's. If the source cannot be parsed, returns NULL and fills
 * in *error, which names the template name.
 */
extern SubjectTemplate *ParseSubject(const char *name, const char *source, MustacheError *error);

/* Returns the Mustache template that the subject was translated into. */
extern const MustacheTemplate *SubjectMustache(const SubjectTemplate *subject);

/*
 * Returns NULL if every placeholder in single braces can be filled in. Else returns what is wrong,
 * palloc'd.
 */
extern char *SubjectProblem(const SubjectTemplate *subject, const Variables *variables);

/*
 * Returns the length of the variable's name in a name that MustacheVisitNames() passes for a
 * subject: such a name may also have a method.
 */
extern int SubjectNameLength(const char *name, int name_length);

/*
 * Looks up a name that ParseSubject() made of a placeholder in single braces, and calls its method.
 * Returns false if the name is not such a name, or there is no such variable.
 */
extern bool LookUpSubjectName(const Variables *variables, const char *name, int name_length,
							  MustacheValue *value);

#endif
