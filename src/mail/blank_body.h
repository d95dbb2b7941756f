/*
 * blank_body.h - does a mail's body show anything?
 *
 * Pure: builds inside the server and without it. Text is UTF-8.
 */
#ifndef RHESIS_BLANK_BODY_H
#define RHESIS_BLANK_BODY_H

/* White space, also that of Unicode, and characters without a width. */
extern bool TextIsBlank(const char *text);

/* The same when tags, comments and what is in head, style, script and title are left out. A picture is something. */
extern bool HtmlIsBlank(const char *html);

/* Is this place of an HTML source inside a comment, a tag or an element whose content is not shown? Mustache tags are passed over. */
extern bool HtmlHidesPlace(const char *html, const char *place);

#endif
