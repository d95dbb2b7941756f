/*
 * replies_test.c - the decision of the delivery policy about documented replies of servers, and
 * about texts that users could choose.
 *
 * replies.tsv has the documented replies with their addresses. The parser of replies reads them
 * first.
 */
#include "postgres_fe.h"

#include "policy/outcome.h"
#include "policy/reply_wording.h"
#include "smtp/smtp_reply.h"

#include "tap.h"

#define TABLE "test/unit/replies.tsv"
#define SENDER "noreply@example.com"
#define FEWEST_REPLIES 150
#define COLUMNS 7

typedef struct Row
{
	const char *server;
	const char *stage;
	const char *connection;
	const char *reply;
	const char *expected;
	const char *url;
	const char *seen; /* how the page at url has the reply */
} Row;

static SmtpStage
StageByName(const char *name)
{
	int stage = SMTP_STAGE_CONNECT;

	while (stage < SMTP_STAGE_FINAL_DOT && strcmp(SmtpStageName((SmtpStage) stage), name) != 0)
		stage++;
	return (SmtpStage) stage;
}

/* Returns the word in the table for an outcome. */
static const char *
WordFor(const Outcome *outcome)
{
	switch (outcome->action)
	{
		case OUTCOME_SENT:
			return "sent";
		case OUTCOME_FAIL:
			return "refused";
		case OUTCOME_DEFER:
			return "deferred";
		case OUTCOME_RETRY_FRESH:
			return "again";
		case OUTCOME_IN_DOUBT:
			return "in doubt";
		case OUTCOME_RETURN:
			break;
	}
	return strcmp(outcome->reason, "tls") == 0 ? "tls" : OutcomeScopeName(outcome->scope);
}

/* Parses the text of a server, with "\n" between its lines. Returns false if it is not a reply. */
static bool
ParseReply(const char *text, SmtpReplyParser *parser)
{
	SmtpReplyInit(parser);
	while (parser->status == SMTP_REPLY_INCOMPLETE && *text)
	{
		const char *line_end = strstr(text, "\\n");
		size_t length = line_end ? (size_t) (line_end - text) : strlen(text);

		SmtpReplyFeed(parser, text, length);
		SmtpReplyFeed(parser, "\r\n", 2);
		text += length + (line_end ? 2 : 0);
	}
	return parser->status == SMTP_REPLY_COMPLETE && *text == '\0';
}

static void
CheckReply(const Row *row)
{
	static SmtpReplyParser parser;
	SmtpEvent event = {.stage = StageByName(row->stage), .sender = SENDER};
	Outcome outcome;
	char name[160];

	snprintf(name, sizeof(name), "%s, %s%s: %.100s", row->server, row->stage,
			 strcmp(row->connection, "used") == 0 ? ", used" : "", row->reply);
	if (!ParseReply(row->reply, &parser))
	{
		ok(false, "%s is a reply", name);
		return;
	}
	event.code = parser.reply.code;
	event.enhanced = parser.reply.enhanced;
	event.text = parser.reply.text;
	event.reused = strcmp(row->connection, "used") == 0;
	event.dot_written = event.stage == SMTP_STAGE_FINAL_DOT;
	outcome = OutcomeForEvent(&event);
	is_str(WordFor(&outcome), row->expected, name);
}

/*
 * Before MAIL, a reply is never about a mail, so the mail must be returned to the queue. Returns in
 * how many cases it is not.
 */
static int
CountBlamedBeforeMail(const Row *row)
{
	static SmtpReplyParser parser;
	int blamed = 0;

	if (!ParseReply(row->reply, &parser))
		return 0;
	for (int stage = SMTP_STAGE_GREETING; stage < SMTP_STAGE_MAIL; stage++)
	{
		SmtpEvent event = {
			.stage = (SmtpStage) stage,
			.sender = SENDER,
			.code = parser.reply.code,
			.enhanced = parser.reply.enhanced,
			.text = parser.reply.text,
		};

		for (int used = 0; used < 2; used++)
		{
			event.reused = used != 0;
			blamed += OutcomeForEvent(&event).action != OUTCOME_RETURN;
		}
	}
	return blamed;
}

/* Splits a line of the table. Returns false if the number of columns is wrong. */
static bool
SplitRow(char *line, Row *row)
{
	char *columns[COLUMNS];

	for (int i = 0; i < COLUMNS; i++)
		columns[i] = strsep(&line, "\t");
	*row =
		(Row){columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6]};
	return row->seen != NULL && line == NULL && strncmp(row->url, "http", 4) == 0 &&
		   strstr(" quoted words built unopened ", row->seen) != NULL;
}

static void
CheckTable(void)
{
	FILE *file = fopen(TABLE, "r");
	char line[4096];
	int count = 0;
	int blamed = 0;

	ok(file != NULL, "%s can be read", TABLE);
	while (file && fgets(line, sizeof(line), file))
	{
		Row row;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		count++;
		if (SplitRow(line, &row))
		{
			CheckReply(&row);
			blamed += CountBlamedBeforeMail(&row);
		}
		else
			ok(false, "seven columns, with an address and how it has the reply: %s", line);
	}
	if (file)
		fclose(file);
	ok(count >= FEWEST_REPLIES, "%d documented replies", count);
	is_int(blamed, 0, "no mail is to blame for a reply before MAIL");
}

/* Checks the same reply in other spellings. */
static void
CheckWording(void)
{
	static const struct
	{
		const char *text;
		const char *phrases;
		bool expected;
	} cases[] = {
		{"RATE LIMIT EXCEEDED", "rate limit", true},
		{"Rate  \t limit exceeded", "rate limit", true},
		{"Rate\xC2\xA0limit exceeded", "rate limit", true},
		{"Rate-limit exceeded", "rate limit exceeded", true},
		{"maximum number of messages per session exceeded", "messages .. per session", true},
		{"max messages allowed per session", "messages .. per session", true},
		{"messages one two three four five six per session", "messages .. per session", false},
		{"messages", "messages .. per session", false},
		{"messages per", "messages .. per session", false},
		{"something else|slow down", "slow down", true},
		{"slow", "slow down", false},
		{"", "slow down", false},

		/* Names that a user could choose, quoted with and without their address */
		{"<rate-limit@example.org>: unknown", "rate limit", false},
		{"rate-limit@example.org unknown", "rate limit", false},
		{"User rate-limit unknown", "rate limit", false},
		{"<rate-limit>... User unknown", "rate limit", false},
		{"slow-down_ unknown", "slow down", false},
		{"jane@slow down.example", "slow down", false},

		/* Text that another server said */
		{"undeliverable address: host mx.example.org said: 451 slow down", "slow down", false},
		{"Callout failed. Response: 550 slow down", "slow down", false},
		{"slow down: host mx.example.org said: 451 busy", "slow down", true},
	};

	for (int i = 0; i < (int) lengthof(cases); i++)
		ok(HasWording(cases[i].text, cases[i].phrases) == cases[i].expected, "\"%s\" %s \"%s\"",
		   cases[i].text, cases[i].expected ? "says" : "does not say", cases[i].phrases);
}

/*
 * The problem of one recipient must not delay other mails, whatever the recipient is called, and
 * whatever the server says.
 */
static void
CheckRecipientsTexts(void)
{
	static const char *const refusals[] = {
		"550 5.1.1 <throttling-failure@example.org>: Recipient address rejected: User unknown",
		"550 5.1.1 <quota@example.org>: User unknown",
		"550 5.1.1 User daily-sending-limit-exceeded unknown",
		"550 5.1.1 \"exception:sendasdenied\"@example.org: User unknown",
		"550 5.1.1 \"exception:submissionquota\"@example.org: no such user",
		"550 <account-suspended@example.org>: mailbox unavailable",
		"550 helo-command-rejected: no such user here",
		"554 5.7.1 <jane@helo-command-rejected.example>: Relay access denied",
		"552 5.2.2 <jane@example.org>: Quota exceeded (mailbox for user is full)",
		"550 5.2.2 over quota: daily limit of this mailbox",
		"552 5.2.2 Mailbox full: too many messages",
		"550 Mailbox quota exceeded, too many messages",
		"550 5.2.1 This account is disabled",
		"554 delivery error: This user's mailbox is disabled (554.30)",
		"550 5.7.1 Recipient address rejected: Client host rejected, rate limit",
		"550 5.1.1 undeliverable address: host mx.example.org said: 550 Client host rejected",
		"550-5.1.1 The email account that you tried to reach does\\n550 5.1.1 not exist: slow-down",
	};
	static const char *const deferrals[] = {
		"450 4.2.1 The user you are trying to contact is receiving mail at a rate limit",
		"452 4.2.2 Mailbox full: daily limit",
		"450 4.7.1 <jane@example.org>: Recipient address rejected: too many messages this hour",
		"452 <jane@example.org> mailbox over quota, rate limit",
		"451 4.7.1 <too-many-messages@example.org>: Greylisted",
		"450 unverified address: host mx.example.org said: 421 slow down",
	};

	for (int i = 0; i < (int) lengthof(refusals); i++)
		CheckReply(&(Row){"a recipient", "rcpt", "fresh", refusals[i], "refused", NULL, NULL});
	for (int i = 0; i < (int) lengthof(deferrals); i++)
		CheckReply(&(Row){"a recipient", "rcpt", "used", deferrals[i], "deferred", NULL, NULL});
}

int
main(void)
{
	CheckTable();
	CheckWording();
	CheckRecipientsTexts();
	return done_testing();
}
