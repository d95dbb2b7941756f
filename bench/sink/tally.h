/*
 * tally.h - the counts since the last reset.
 */
#ifndef SINK_TALLY_H
#define SINK_TALLY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define KEY_SIZE 40

typedef struct Tally
{
	int64_t mails;
	int64_t bytes;		 /* the size of all mails, as on the wire, where dots are doubled */
	int64_t turns;		 /* round trips: a client sends something after it has got all replies */
	int64_t connections; /* that were made */
	int64_t handshakes;	 /* TLS */
	int64_t logins;
	int64_t open;	/* connections that are open now */
	int64_t widest; /* the most connections that were open at once */
	int64_t first;	/* when the first mail was accepted; 0: none was */
	int64_t last;	/* when the last mail was accepted */
	int64_t late;	/* nanoseconds between due time and acceptance, summed over all mails */
} Tally;

extern Tally tally;

/* Set the counts to zero, except that of the open connections, and forget the stamps. */
extern void TallyReset(void);

extern void TallyConnection(void);
extern void TallyDisconnection(void);

/*
 * A mail was accepted now. If stamps are kept, keep its key, the local part of its recipient, too.
 */
extern void TallyMail(int64_t bytes, const char *key);

/* Keep the time at which each mail is accepted? The default is no. */
extern void TallyKeepStamps(bool keep);

/* The counts as one line of JSON; the stamps as lines "nanoseconds key" and an empty line. */
extern void TallyPrint(FILE *output);
extern void TallyPrintStamps(FILE *output);

#endif
