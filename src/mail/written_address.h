/*
 * written_address.h - an address as people wrote it becomes the one that mail goes to: trimmed, its domain in ASCII.
 *
 * Pure but for libcurl, which knows internationalized domain names (IDNA). Builds inside the server and without it.
 */
#ifndef RHESIS_WRITTEN_ADDRESS_H
#define RHESIS_WRITTEN_ADDRESS_H

/*
 * The address (UTF-8, of length bytes) without the blanks around it, a domain beyond ASCII in its IDNA form
 * (xn--...); palloc'd. NULL, with a constant phrase in *problem as AddressProblem's, if no valid address comes of
 * it. Blanks are all that Unicode calls white space, and invisible marks that are copied along with text.
 */
extern char *ReadWrittenAddress(const char *text, size_t length, const char **problem);

/* The domain as it stands in an envelope, palloc'd; NULL, with *problem, if it has no such form. */
extern char *DomainInAscii(const char *domain, size_t length, const char **problem);

/* ParseMailbox for a setting: the address may be written as above. */
struct Mailbox;
extern bool ReadWrittenMailbox(const char *text, struct Mailbox *mailbox, const char **problem);

/* Is there nothing but blanks in the text (UTF-8)? */
extern bool IsOnlyBlanks(const char *text, size_t length);

#endif /* RHESIS_WRITTEN_ADDRESS_H */
