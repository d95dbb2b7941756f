/*
 * blank_body.h - tells whether a mail's body shows anything.
 *
 * Pure: builds inside the server and without it. Text is UTF-8.
 */
#ifndef RHESIS_BLANK_BODY_H
#define RHESIS_BLANK_BODY_H

/*
 * Returns true if the text has only white space, including Unicode's, and characters without a
 * width.
 */
extern bool TextIsBlank(const char *text);

/*
 * Returns true if HTML shows nothing in that sense. Tags, comments and the content of head, style,
 * script, title and template do not count. A picture shows something.
 */
extern bool HtmlIsBlank(const char *html);

/*
 * Returns true if place, which points into an HTML source, is inside a comment, a tag, or the
 * content of style, script, title or template. Mustache tags are skipped.
 */
extern bool HtmlHidesPlace(const char *html, const char *place);

#endif
