/*
 * written_address.h - turns an address as people wrote it into the one that mail goes to: trimmed,
 * its domain in ASCII.
 *
 * Pure except for libcurl, which knows internationalized domain names (IDNA). Builds inside the
 * server and without it.
 */
#ifndef RHESIS_WRITTEN_ADDRESS_H
#define RHESIS_WRITTEN_ADDRESS_H

/*
 * Returns the address without the blanks around it, and with a domain beyond ASCII in its IDNA form
 * (xn--...); palloc'd. text is UTF-8 of length bytes. Blanks are all white space of Unicode, and
 * invisible marks that are copied along with text. If the result is not a valid address, returns
 * NULL, with a constant phrase in *problem like AddressProblem()'s.
 */
extern char *ReadWrittenAddress(const char *text, size_t length, const char **problem);

/*
 * Returns the domain in ASCII, as an SMTP envelope has it, palloc'd. If the domain has no ASCII
 * form, returns NULL and sets *problem to a constant phrase.
 */
extern char *DomainInAscii(const char *domain, size_t length, const char **problem);

/* As ParseMailbox(), for a setting: ReadWrittenAddress() reads the address. */
struct Mailbox;
extern bool ReadWrittenMailbox(const char *text, struct Mailbox *mailbox, const char **problem);

/* Returns true if the text (UTF-8) has only blanks. */
extern bool IsOnlyBlanks(const char *text, size_t length);

#endif /* RHESIS_WRITTEN_ADDRESS_H */
