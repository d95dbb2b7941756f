/*
 * tally.c - the counts since the last reset.
 */
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "tally.h"

typedef struct Stamp
{
	int64_t accepted;
	char key[KEY_SIZE];
} Stamp;

Tally tally;

static Stamp *stamps;
static size_t stamp_count;
static size_t stamp_room;
static bool keep_stamps;

void
TallyReset(void)
{
	tally = (Tally){.open = tally.open, .widest = tally.open};
	stamp_count = 0;
}

void
TallyKeepStamps(bool keep)
{
	keep_stamps = keep;
}

void
TallyConnection(void)
{
	tally.connections++;
	tally.open++;
	if (tally.open > tally.widest)
		tally.widest = tally.open;
}

void
TallyDisconnection(void)
{
	tally.open--;
}

static void
KeepStamp(int64_t accepted, const char *key)
{
	if (stamp_count == stamp_room)
	{
		stamp_room = stamp_room ? stamp_room * 2 : 4096;
		stamps = realloc(stamps, stamp_room * sizeof(Stamp));
		if (stamps == NULL)
			err(1, "could not keep the time of a mail");
	}
	stamps[stamp_count].accepted = accepted;
	memcpy(stamps[stamp_count].key, key, KEY_SIZE);
	stamp_count++;
}

void
TallyMail(int64_t bytes, const char *key)
{
	int64_t now = Now();

	tally.mails++;
	tally.bytes += bytes;
	tally.last = now;
	if (tally.first == 0)
		tally.first = now;
	if (keep_stamps)
		KeepStamp(now, key);
}

void
TallyPrint(FILE *output)
{
	fprintf(output,
			"{\"mails\": %" PRId64 ", \"bytes\": %" PRId64 ", \"turns\": %" PRId64
			", \"connections\": %" PRId64 ", \"handshakes\": %" PRId64 ", \"logins\": %" PRId64
			", \"open\": %" PRId64 ", \"widest\": %" PRId64 ", \"first\": %" PRId64
			", \"last\": %" PRId64 ", \"late\": %" PRId64 "}\n",
			tally.mails, tally.bytes, tally.turns, tally.connections, tally.handshakes,
			tally.logins, tally.open, tally.widest, tally.first, tally.last, tally.late);
}

void
TallyPrintStamps(FILE *output)
{
	for (size_t i = 0; i < stamp_count; i++)
		fprintf(output, "%" PRId64 " %s\n", stamps[i].accepted, stamps[i].key);
	fputc('\n', output);
}
