/*
 * blank_body.h - does a mail's body show anything?
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
 * The same for HTML, without tags, comments and the content of head, style, script, title and
 * template. A picture shows something.
 */
extern bool HtmlIsBlank(const char *html);

/*
 * Returns true if place, in an HTML source, is inside a comment, a tag or an element whose content
 * is not shown. Mustache tags are skipped.
 */
extern bool HtmlHidesPlace(const char *html, const char *place);

#endif
