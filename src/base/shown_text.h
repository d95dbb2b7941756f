/*
 * shown_text.h - text of tasks and of the application, made fit for a mail.
 *
 * Names, ids and addresses are one line: a line break in a name must not be able to begin a paragraph that looks like ours. No
 * value is longer than a mail can show. Text is in the database's encoding.
 */
#ifndef RHESIS_SHOWN_TEXT_H
#define RHESIS_SHOWN_TEXT_H

#define MAX_LINE_CHARS 255	/* of a name, an id or an address */
#define MAX_LINK_CHARS 2000 /* of a URL, which is of no use when it is cut */
#define MAX_TEXT_CHARS 4000 /* of any other value */

typedef enum TextShape
{
	TEXT_LINE, /* control characters and line separators become spaces */
	TEXT_LINK, /* likewise, and it may be longer */
	TEXT_LINES
} TextShape;

/* The shape of a value that a template asks for by this name. */
extern TextShape ShapeOfName(const char *name, int name_length);

/* Whether the text is shown as it is. Quick for short text. */
extern bool FitsShape(const char *text, int length, TextShape shape);

/* Nothing but white space and characters without a picture, or nothing at all. */
extern bool ShowsNothing(const char *text, int length);

/* A copy that is, palloc'd and terminated; text that was cut ends with an ellipsis. */
extern char *FitToShape(const char *text, int length, TextShape shape);

/* The length of what can be shown of the text without a copy. */
extern int FittingLength(const char *text, int length, TextShape shape);

/* The text itself or a copy; NULL for NULL. */
extern const char *ShownLine(const char *text);

/* An error message without control characters but line breaks and tabs; of a long one, its beginning and its end. */
extern char *ShownError(const char *message);

#endif
