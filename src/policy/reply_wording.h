/*
 * reply_wording.h - what the text of a server's reply says, where its codes do not say it.
 *
 * Pure: no I/O, no state, no allocation. Texts are hostile and of bounded length.
 */
#ifndef RHESIS_REPLY_WORDING_H
#define RHESIS_REPLY_WORDING_H

/* What a server may ask us to wait. */
#define MAX_NAMED_DELAY (24 * 60 * 60)

/*
 * Is one of the phrases in the text? Phrases are in lower case, '|' between them. The text may have any case,
 * several blanks or a hyphen for one, and with " .. " in a phrase up to five words there. Words that have an '@'
 * or a '<' never count: they are addresses. Nor does what the server only quotes ("host mx.example.org
 * said: ...").
 */
extern bool HasWording(const char *text, const char *phrases);

/*
 * Does the text name the sender's address, or its domain alone ("identity/example.com")? An address that
 * only contains them ("jane@example.com") does not count. The sender may be NULL.
 */
extern bool NamesSender(const char *text, const char *sender);

/*
 * The delay in seconds that a reply asks for, at most MAX_NAMED_DELAY, 0 if it names none: a duration behind
 * "in", "after", "for" or "wait", in a text that has spoken of trying again before. ("Limit of 500 mails in
 * 24 hours reached, try again later" names none.)
 */
extern int NamedDelaySeconds(const char *text);

#endif /* RHESIS_REPLY_WORDING_H */
