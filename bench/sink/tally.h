/*
 * tally.h - what the sink has seen since the last reset.
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
	int64_t bytes; /* of the accepted mails, dots doubled as on the wire */
	int64_t
		turns; /* times that a client, having read all replies, sent something: its round trips */
	int64_t connections; /* made */
	int64_t handshakes;	 /* TLS */
	int64_t logins;
	int64_t open;	/* connections, now */
	int64_t widest; /* the most of them at once */
	int64_t first;	/* when the first and the last mail were accepted; 0: none was */
	int64_t last;
	int64_t late; /* nanoseconds, of all mails: accepted after the delays had passed */
} Tally;

extern Tally tally;

/* All that follows is forgotten by TallyReset, but for the connections that are open. */
extern void TallyReset(void);

extern void TallyConnection(void);
extern void TallyDisconnection(void);

/* A mail was accepted now. The key, the local part of its recipient, is kept where stamps are wanted. */
extern void TallyMail(int64_t bytes, const char *key);

/* Whether the moment of each acceptance is to be kept; off at first. */
extern void TallyKeepStamps(bool keep);

/* One line of JSON; a line "nanoseconds key" for each mail, then an empty one. */
extern void TallyPrint(FILE *output);
extern void TallyPrintStamps(FILE *output);

#endif
