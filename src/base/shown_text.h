/*
 * shown_text.h - makes text of tasks and of the application fit for a mail.
 *
 * Names, ids and addresses are one line: a line break in a name must not begin a paragraph that
 * looks like ours. No value is longer than a mail can show. All text is in the database's encoding.
 */
#ifndef RHESIS_SHOWN_TEXT_H
#define RHESIS_SHOWN_TEXT_H

#define MAX_LINE_CHARS 255	/* for a name, an id or an address */
#define MAX_LINK_CHARS 2000 /* for a URL, which is useless when it is cut */
#define MAX_TEXT_CHARS 4000 /* for any other value */

typedef enum TextShape
{
	TEXT_LINE, /* control characters and line separators become spaces */
	TEXT_LINK, /* the same, but it may be longer */
	TEXT_LINES /* control characters become spaces, except line breaks and tabs */
} TextShape;

/* Returns the shape that the value of the template variable with this name must have. */
extern TextShape ShapeOfName(const char *name, int name_length);

/* Returns true if the text can be shown as it is. Quick for short text. */
extern bool FitsShape(const char *text, int length, TextShape shape);

/* Returns true if the text is empty, or only blanks and characters that show nothing. */
extern bool ShowsNothing(const char *text, int length);

/*
 * Returns a palloc'd copy that fits the shape. A text that is too long is cut, and ends with an
 * ellipsis.
 */
extern char *FitToShape(const char *text, int length, TextShape shape);

/* Returns how many bytes at the beginning of the text can be shown as they are. */
extern int FittingLength(const char *text, int length, TextShape shape);

/* Returns the text itself, or a copy that fits TEXT_LINE; NULL for NULL. */
extern const char *ShownLine(const char *text);

/*
 * Returns a palloc'd copy of an error message, without control characters except line breaks and
 * tabs; an empty text if the message shows nothing. A long message keeps its beginning and its end.
 */
extern char *ShownError(const char *message);

#endif
