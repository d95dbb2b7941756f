/*
 * mailbox.h - mail addresses: which ones we send to, and "Name" <address> as settings write them.
 *
 * Pure: builds inside the server and without it.
 */
#ifndef RHESIS_MAILBOX_H
#define RHESIS_MAILBOX_H

/* A display name (UTF-8, "" if there is none) and the address it belongs to. */
typedef struct Mailbox
{
	const char *name;
	const char *address;
} Mailbox;

/*
 * Returns NULL if mail can be sent to (or from) this address. Else returns what is wrong with it: a
 * constant phrase that fits after "address is not valid: ".
 *
 * A valid address is an RFC 5321 mailbox in ASCII, local-part@domain, within the lengths of RFC
 * 5321 (64 and 255 bytes, 254 together, 63 for a label). These rules are narrower than the RFC
 * where a careless server could take a user's address for something else:
 *  - no space, control character, '<' or '>', not even in a quoted local part;
 *  - no "=?" (an encoded word, which some servers decode before they split the address);
 *  - no address literal (user@[10.0.0.1]) and no all-numeric last label: both point a relay at a
 *    machine;
 *  - no character beyond ASCII: this client does not use SMTPUTF8. An IDN domain is an A-label here
 *    (xn--…): see written_address.h.
 * A domain of one label (root@localhost) is valid.
 */
extern const char *AddressProblem(const char *address);
extern bool IsValidAddress(const char *address);

/* Returns true if this can be the domain of a valid address. */
extern bool IsValidDomain(const char *domain);

/* Returns the part after the last '@' of a valid address; it points into the address. */
extern const char *AddressDomain(const char *address);

/*
 * Reads `"Name" <address>`, `Name <address>`, `<address>` or a bare address. The strings are
 * palloc'd; the name is without its quotes and escapes. If the text is not exactly one valid
 * address, returns false, with a constant phrase in *problem.
 */
extern bool ParseMailbox(const char *text, Mailbox *mailbox, const char **problem);

/* As ParseMailbox(), but does not check the address. */
extern bool SplitMailbox(const char *text, Mailbox *mailbox, const char **problem);

#endif /* RHESIS_MAILBOX_H */
