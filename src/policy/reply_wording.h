/*
 * reply_wording.h - reads the text of a reply whose codes do not say enough
 *
 * Pure: no I/O, no state, no allocation. Texts are hostile and of bounded length.
 */
#ifndef RHESIS_REPLY_WORDING_H
#define RHESIS_REPLY_WORDING_H

/* The longest delay that is believed. */
#define MAX_NAMED_DELAY (24 * 60 * 60)

/*
 * Returns true if one of the phrases is in the text. Phrases are in lower case, with '|' between
 * them. The text can have any case. A blank in a phrase stands for any number of blanks, a hyphen
 * or an underscore, but at least one blank of the phrase must be a blank of the text. " .. " stands
 * for up to five words. A word of the text that has an '@' or a '<' never matches: it is an
 * address. Text that the server quotes ("host mx.example.org said: ...") never matches either.
 */
extern bool HasWording(const char *text, const char *phrases);

/*
 * Returns true if the text names the sender's address, or its domain alone
 * ("identity/example.com"). An address that only contains that domain ("jane@example.com") does not
 * count. sender can be NULL: then returns false.
 */
extern bool NamesSender(const char *text, const char *sender);

/*
 * Returns the delay in seconds that a reply asks for, at most MAX_NAMED_DELAY; 0 if it names none.
 * A delay is a duration after "in", "after", "for" or "wait", and the text must have a word such as
 * "again" before it. ("Limit of 500 mails in 24 hours reached, try again later" names none.)
 */
extern int NamedDelaySeconds(const char *text);

#endif /* RHESIS_REPLY_WORDING_H */
