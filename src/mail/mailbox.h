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
 * NULL if mail can be sent to (or from) this address, else what is wrong with it: a constant phrase that
 * fits behind "address is not valid: ".
 *
 * Valid is an RFC 5321 mailbox in ASCII, local-part@domain, within the lengths of RFC 5321 (64 and 255
 * bytes, 254 together, 63 for a label). Narrower than the RFC where a user's address could be made to mean
 * something else to a careless server:
 *  - no space, control character, '<' or '>', not even in a quoted local part;
 *  - no "=?" (an encoded word that some servers decode before they split the address);
 *  - no address literal (user@[10.0.0.1]) and no all-numeric last label: both point a relay at a machine;
 *  - no character beyond ASCII: SMTPUTF8 is not spoken. An IDN domain is an A-label here (xn--…): see
 *    written_address.h.
 * A domain of one label (root@localhost) is valid.
 */
extern const char *AddressProblem(const char *address);
extern bool IsValidAddress(const char *address);

/* Is it what may stand behind the @ of a valid address? */
extern bool IsValidDomain(const char *domain);

/* The part behind the last '@' of a valid address; points into it. */
extern const char *AddressDomain(const char *address);

/*
 * Reads `"Name" <address>`, `Name <address>`, `<address>` or a bare address. Strings are palloc'd; the name
 * has its quotes and escapes removed. False, with a constant phrase in *problem, if there is not exactly one
 * valid address in the text.
 */
extern bool ParseMailbox(const char *text, Mailbox *mailbox, const char **problem);

/* The same without a look at the address, which may be anything. */
extern bool SplitMailbox(const char *text, Mailbox *mailbox, const char **problem);

#endif /* RHESIS_MAILBOX_H */
