/*
 * smtp_transaction.c - the dialogue on an open connection: MAIL, RCPT, DATA, the mail, its final dot.
 *
 * Two queues make it simple. What is said goes into the connection's output, as far ahead as the server
 * lets us: MAIL, RCPT and DATA in one write with PIPELINING, and the next mail's behind the final dot; one
 * command at a time without. Each command leaves an entry in the queue of expected replies, which come in
 * that order; a reply that nothing expects, or that comes before its command was written, is no answer to
 * anything, and least of all an acceptance.
 *
 * It never blocks and never waits for a reply. It promises that each mail begun here is finished, with the
 * command whose reply was awaited, also when the connection ends.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "smtp/smtp_internal.h"

#define FINAL_DOT "\r\n.\r\n"

static void HandleReply(SmtpConnection *connection, const SmtpReply *reply);
static void FillOutput(SmtpConnection *connection);
static bool WriteOutput(SmtpConnection *connection);

/* The server made progress, or we did: the clock for the next reply starts. */
static void
NoteProgress(SmtpConnection *connection)
{
	SmtpSetDeadline(connection, connection->step == SMTP_STEP_GONE
									? SMTP_QUIT_MS
									: connection->pool->send_timeout_ms);
}

/* What may be said without waiting for an answer: anything, if the server pipelines. */
static bool
MaySpeak(const SmtpConnection *connection)
{
	return connection->expected_count == 0 ||
		   (connection->capabilities.pipelining && connection->probe == NULL &&
			connection->expected_count + 4 < SMTP_MAX_EXPECTED);
}

/*
 * Read and handle all replies there are. To the end, not until the socket is quiet: what TLS has decrypted
 * and not yet delivered wakes nobody.
 */
void
SmtpListen(SmtpConnection *connection)
{
	while (connection->state == SMTP_CONNECTION_READY)
	{
		char data[4096];
		size_t length = 0;
		CURLcode result = curl_easy_recv(connection->easy, data, sizeof(data), &length);

		if (result == CURLE_AGAIN)
			break;
		if (result != CURLE_OK || length == 0)
		{
			SmtpGiveUp(connection, SMTP_EVENT_CONNECTION_LOST, NULL,
					   result == CURLE_OK ? "the server closed the connection"
										  : curl_easy_strerror(result));
			break;
		}

		for (size_t used = 0; used < length && connection->state == SMTP_CONNECTION_READY;)
		{
			SmtpReplyParser *parser = &connection->parser;

			used += SmtpReplyFeed(parser, data + used, length - used);
			if (parser->status == SMTP_REPLY_COMPLETE)
				HandleReply(connection, &parser->reply);
			else if (parser->status == SMTP_REPLY_GARBAGE)
				SmtpGiveUp(connection, SMTP_EVENT_GARBAGE, NULL, parser->reply.text);
		}
	}
}

/* Say what can be said now, as far as the socket takes it. */
void
SmtpSpeak(SmtpConnection *connection)
{
	SmtpPool *pool = connection->pool;
	bool blocked = false;
	bool idle;

	while (connection->state == SMTP_CONNECTION_READY && !blocked)
	{
		if (connection->output_done == connection->output_length)
		{
			/* In a long mail: what the server says in the middle of it counts before the rest is written. */
			if (connection->step == SMTP_STEP_BODY && connection->data_said > 0)
				SmtpListen(connection);
			if (connection->state != SMTP_CONNECTION_READY)
				break;
			FillOutput(connection);
		}
		if (connection->output_done == connection->output_length)
			break;
		blocked = !WriteOutput(connection);
	}
	if (connection->state != SMTP_CONNECTION_READY)
		return;

	if (blocked != connection->write_blocked)
		MuxWatch(pool->mux, connection->fd, MUX_READ | (blocked ? MUX_WRITE : 0));
	connection->write_blocked = blocked;

	idle = connection->step == SMTP_STEP_REST && connection->expected_count == 0 && !blocked;
	if (idle && !connection->idle)
	{
		connection->served = true;
		SmtpSetDeadline(connection, SMTP_IDLE_MS);
	}
	pool->idle_count += (int) idle - (int) connection->idle;
	connection->idle = idle;
}

/*
 * One write. False when the socket takes no more now: the same bytes at the same place are then tried
 * again, as libcurl demands; FillOutput waits until all of them are gone.
 */
static bool
WriteOutput(SmtpConnection *connection)
{
	size_t sent = 0;
	CURLcode result = curl_easy_send(connection->easy, connection->output + connection->output_done,
									 connection->output_length - connection->output_done, &sent);

	if (result == CURLE_AGAIN)
		return false;
	if (result != CURLE_OK)
	{
		/* The server may have said why before it closed. */
		SmtpListen(connection);
		SmtpGiveUp(connection, SMTP_EVENT_CONNECTION_LOST, NULL, curl_easy_strerror(result));
		return false;
	}
	connection->output_done += sent;
	connection->written += sent;
	NoteProgress(connection);
	return true;
}

static void
AppendOutput(SmtpConnection *connection, const char *data, size_t length)
{
	memcpy(connection->output + connection->output_length, data, length);
	connection->output_length += length;
	connection->said += length;
}

static void
Expect(SmtpConnection *connection, SmtpCommand command, SmtpMail *mail)
{
	SmtpExpected *expected = &connection->expected[connection->expected_count++];

	expected->command = command;
	expected->mail = mail;
	expected->end = connection->said;
}

/* Say a command; the caller has seen that there is room. */
static void
Say(SmtpConnection *connection, SmtpCommand command, SmtpMail *mail, const char *line)
{
	AppendOutput(connection, line, strlen(line));
	Expect(connection, command, mail);
}

static void
SayMail(SmtpConnection *connection, SmtpMail *mail)
{
	char line[SMTP_LONGEST_ADDRESS + 64];

	if (connection->capabilities.size_limit > 0 && mail->data_length > 0)
		snprintf(line, sizeof(line), "MAIL FROM:<%s> SIZE=%zu\r\n", mail->sender,
				 mail->data_length);
	else
		snprintf(line, sizeof(line), "MAIL FROM:<%s>\r\n", mail->sender);
	Say(connection, SMTP_COMMAND_MAIL, mail, line);
}

static void
SayRecipient(SmtpConnection *connection, SmtpMail *mail)
{
	char line[SMTP_LONGEST_ADDRESS + 64];

	snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", mail->recipient);
	Say(connection, SMTP_COMMAND_RCPT, mail, line);
}

/* As much of the mail as there is room for. Behind its end the reply is expected. */
static void
SayBody(SmtpConnection *connection)
{
	SmtpMail *mail = connection->mail;
	size_t room = SMTP_OUTPUT_SIZE - connection->output_length;
	size_t length = Min(mail->data_length - connection->data_said, room);

	AppendOutput(connection, mail->data + connection->data_said, length);
	connection->data_said += length;
	if (connection->data_said == mail->data_length)
	{
		Expect(connection, SMTP_COMMAND_DOT, mail);
		connection->mail = NULL;
		connection->step = SMTP_STEP_REST;
	}
}

/* How many mails a connection gets: as many as are set, or as the server was seen to take. */
static int
MessagesPerConnection(const SmtpPool *pool)
{
	if (pool->learned_messages > 0 && pool->now < pool->learned_until)
		return Min(pool->learned_messages, pool->messages_per_connection);
	return pool->messages_per_connection;
}

/*
 * A refusal after which the mail goes over another connection. This one gets no more mails; if the server counts
 * them, the others get no more than it took.
 */
static void
LearnFromRefusal(SmtpConnection *connection, const SmtpEvent *event)
{
	SmtpPool *pool = connection->pool;
	SmtpRefusal refusal = pool->judge != NULL ? pool->judge(event) : SMTP_REFUSAL_OF_MAIL;

	if (refusal == SMTP_REFUSAL_OF_MAIL)
		return;
	connection->leaving = true;
	if (refusal != SMTP_REFUSAL_CONNECTION_FULL || connection->ended == 0)
		return;
	pool->learned_messages = Min(connection->ended, MessagesPerConnection(pool));
	pool->learned_until = pool->now + SMTP_LEARNED_MS;
}

static void
BeginMail(SmtpConnection *connection, SmtpMail *mail)
{
	connection->mail = mail;
	connection->data_said = 0;
	connection->step = SMTP_STEP_MAIL;
	mail->event.reused = connection->served;
	connection->served = true;
	connection->transactions++;
	NoteProgress(connection);
}

/* Between two mails: the next one, QUIT, or nothing. */
static void
BeginNext(SmtpConnection *connection)
{
	SmtpMail *mail;

	if (connection->transactions >= MessagesPerConnection(connection->pool))
		connection->leaving = true;
	mail = connection->leaving ? NULL : SmtpNextMail(connection);
	if (mail != NULL)
		BeginMail(connection, mail);
	else if (connection->leaving)
	{
		Say(connection, SMTP_COMMAND_QUIT, NULL, "QUIT\r\n");
		connection->step = SMTP_STEP_GONE;
	}
}

/*
 * The connection is ready. It gets its first mail before it is listened to: so there is always somebody to
 * tell when a server closes what it has just opened, and the pool does not open one after another.
 */
void
SmtpBegin(SmtpConnection *connection)
{
	SmtpMail *mail =
		connection->probe != NULL ? &connection->probe_mail : SmtpTakeWaiting(connection->pool);

	if (mail != NULL)
		BeginMail(connection, mail);

	/* Until something was received libcurl takes the connection for an idle one, and may close it. */
	SmtpListen(connection);
	SmtpSpeak(connection);
}

/* Put into the empty output all that may be said now. */
static void
FillOutput(SmtpConnection *connection)
{
	connection->output_length = connection->output_done = 0;

	while (SMTP_OUTPUT_SIZE - connection->output_length > SMTP_LONGEST_ENVELOPE)
	{
		if (connection->step == SMTP_STEP_GO_AHEAD || connection->step == SMTP_STEP_GONE)
			return;
		if (connection->step != SMTP_STEP_BODY && !MaySpeak(connection))
			return;

		switch (connection->step)
		{
			case SMTP_STEP_REST:
				if (connection->reset_needed)
				{
					Say(connection, SMTP_COMMAND_RSET, NULL, "RSET\r\n");
					connection->reset_needed = false;
				}
				else
				{
					BeginNext(connection);
					if (connection->step == SMTP_STEP_REST)
						return;
				}
				break;
			case SMTP_STEP_MAIL:
				SayMail(connection, connection->mail);
				connection->step = SMTP_STEP_RCPT;
				break;
			case SMTP_STEP_RCPT:
				SayRecipient(connection, connection->mail);
				connection->step = SMTP_STEP_DATA;
				break;
			case SMTP_STEP_DATA:
				Say(connection, SMTP_COMMAND_DATA, connection->mail, "DATA\r\n");
				connection->step = SMTP_STEP_GO_AHEAD;
				break;
			case SMTP_STEP_BODY:
				SayBody(connection);
				break;
			case SMTP_STEP_LONE_DOT:
				Say(connection, SMTP_COMMAND_DOT, NULL, ".\r\n");
				connection->step = SMTP_STEP_REST;
				break;
			case SMTP_STEP_GO_AHEAD:
			case SMTP_STEP_GONE:
				return;
		}
	}
}

/* Has the server all of this command (or mail)? */
static bool
IsWritten(const SmtpConnection *connection, const SmtpExpected *expected)
{
	return expected->end <= connection->written;
}

/* A part of it counts. */
static bool
DotIsOut(const SmtpConnection *connection, const SmtpExpected *expected)
{
	return connection->written + strlen(FINAL_DOT) > expected->end;
}

bool
SmtpMayHaveSent(const SmtpConnection *connection)
{
	for (int i = 0; i < connection->expected_count; i++)
	{
		const SmtpExpected *expected = &connection->expected[i];

		if (expected->mail != NULL && expected->command == SMTP_COMMAND_DOT &&
			DotIsOut(connection, expected))
			return true;
	}
	return false;
}

/*
 * Where a mail stands: the command whose reply it awaits, or that would be said next, and whether its final
 * dot is out.
 */
static void
LocateMail(const SmtpConnection *connection, const SmtpMail *mail, SmtpEvent *event)
{
	static const SmtpStage stage_of_step[] = {SMTP_STAGE_MAIL, SMTP_STAGE_MAIL, SMTP_STAGE_RCPT,
											  SMTP_STAGE_DATA, SMTP_STAGE_DATA, SMTP_STAGE_BODY};
	const SmtpExpected *expected = connection->expected;
	const SmtpExpected *end = expected + connection->expected_count;

	event->reused = mail->event.reused;
	while (expected < end && expected->mail != mail)
		expected++;
	if (expected == end)
		event->stage = stage_of_step[connection->step];
	else if (expected->command == SMTP_COMMAND_MAIL)
		event->stage = SMTP_STAGE_MAIL;
	else if (expected->command == SMTP_COMMAND_RCPT)
		event->stage = SMTP_STAGE_RCPT;
	else if (expected->command == SMTP_COMMAND_DATA)
		event->stage = SMTP_STAGE_DATA;
	else
	{
		event->stage = IsWritten(connection, expected) ? SMTP_STAGE_FINAL_DOT : SMTP_STAGE_BODY;
		event->dot_written = DotIsOut(connection, expected);
	}
}

/* Hand a mail back. Replies that are still to come to its commands concern nobody. */
static void
FinishMail(SmtpConnection *connection, SmtpMail *mail, const SmtpEvent *event)
{
	for (int i = 0; i < connection->expected_count; i++)
		if (connection->expected[i].mail == mail)
			connection->expected[i].mail = NULL;
	if (connection->mail == mail)
		connection->mail = NULL;
	if (event->kind == SMTP_EVENT_REPLY && event->code >= 400)
		LearnFromRefusal(connection, event);
	connection->ended++;
	if (connection->probe != NULL)
		SmtpProbeFinished(connection, event);
	else
		SmtpFinishMail(connection->pool, mail, event);
}

static void
SetReply(SmtpEvent *event, const SmtpReply *reply)
{
	event->kind = SMTP_EVENT_REPLY;
	event->code = reply->code;
	event->enhanced = reply->enhanced;
	event->text = reply->text;
}

/*
 * The connection can't go on. The mail that is nearest to its end gets the event (of kind
 * SMTP_EVENT_REPLY: with the reply); a mail behind it has lost its connection.
 */
void
SmtpGiveUp(SmtpConnection *connection, SmtpEventKind kind, const SmtpReply *reply, const char *text)
{
	bool first = true;

	if (connection->state != SMTP_CONNECTION_READY)
		return;
	while (true)
	{
		SmtpMail *mail = NULL;
		SmtpEvent event = {0};

		for (int i = 0; i < connection->expected_count && mail == NULL; i++)
			mail = connection->expected[i].mail;
		if (mail == NULL)
			mail = connection->mail;
		if (mail == NULL)
			break;

		LocateMail(connection, mail, &event);
		event.kind = (first || kind == SMTP_EVENT_ABORTED) ? kind : SMTP_EVENT_CONNECTION_LOST;
		event.text = text;
		if (event.kind == SMTP_EVENT_REPLY)
			SetReply(&event, reply);
		FinishMail(connection, mail, &event);
		first = false;
		text = "the connection ended with the mail before";
	}
	SmtpKill(connection);
}

/*
 * A mail's fate is known by the reply to one of its commands: it is finished, and the connection goes on
 * with the next one. What was not said yet for it is not said any more.
 */
static void
EndMail(SmtpConnection *connection, const SmtpExpected *expected, const SmtpEvent *event)
{
	if (connection->mail == expected->mail &&
		(connection->step == SMTP_STEP_RCPT || connection->step == SMTP_STEP_DATA))
		connection->step = SMTP_STEP_REST;
	if (expected->command != SMTP_COMMAND_DOT)
		connection->reset_needed = true;
	FinishMail(connection, expected->mail, event);
}

/* DATA was answered: the mail may come, or the server waits for one that it will not get, or not. */
static void
AfterData(SmtpConnection *connection, bool go_ahead)
{
	if (!go_ahead)
		connection->step = SMTP_STEP_REST;
	else if (connection->mail != NULL)
		connection->step = SMTP_STEP_BODY;
	else
		connection->step = SMTP_STEP_LONE_DOT;
}

/*
 * Does a reply grant its command? The codes are those of RFC 5321, 4.3.2: "221" to MAIL says that the server leaves, and grants
 * nothing. At the final dot the mail is with the server: any 2xx that has no meaning of its own takes it, or it would be sent twice.
 */
static bool
IsGranted(SmtpCommand command, int code)
{
	switch (command)
	{
		case SMTP_COMMAND_RCPT:
			return code >= 250 && code <= 252;
		case SMTP_COMMAND_DATA:
			return code == 354;
		case SMTP_COMMAND_DOT:
			return code / 100 == 2 && code != 211 && code != 214 && code != 220 && code != 221 &&
				   code != 235;
		case SMTP_COMMAND_QUIT:
			return code / 100 == 2;
		default:
			return code == 250;
	}
}

static void
GiveUpUnexpected(SmtpConnection *connection, const SmtpReply *reply)
{
	snprintf(connection->problem, sizeof(connection->problem), "unexpected reply: %d %s%s%s",
			 reply->code, reply->enhanced, reply->enhanced[0] != '\0' ? " " : "", reply->text);
	SmtpGiveUp(connection, SMTP_EVENT_GARBAGE, NULL, connection->problem);
}

static void
HandleReply(SmtpConnection *connection, const SmtpReply *reply)
{
	SmtpExpected expected = connection->expected[0];
	bool refused = reply->code >= 400;
	bool granted = !refused && IsGranted(expected.command, reply->code);
	SmtpEvent event = {0};

	if (connection->expected_count == 0 || !IsWritten(connection, &expected) || reply->code == 421)
	{
		SmtpGiveUp(connection, refused ? SMTP_EVENT_REPLY : SMTP_EVENT_GARBAGE, reply, reply->text);
		return;
	}
	if (!granted && (!refused || expected.command == SMTP_COMMAND_RSET))
	{
		GiveUpUnexpected(connection, reply);
		return;
	}

	if (expected.mail != NULL)
		LocateMail(connection, expected.mail, &event);
	SetReply(&event, reply);
	NoteProgress(connection);
	connection->expected_count--;
	memmove(connection->expected, connection->expected + 1,
			connection->expected_count * sizeof(SmtpExpected));

	if (connection->probe != NULL && expected.command == SMTP_COMMAND_MAIL && granted)
		SmtpProbeSenderAccepted(connection, &event);
	if (expected.mail != NULL &&
		(!granted || expected.command == SMTP_COMMAND_DOT ||
		 (connection->probe != NULL && expected.command == SMTP_COMMAND_RCPT)))
		EndMail(connection, &expected, &event);
	if (expected.command == SMTP_COMMAND_DATA)
		AfterData(connection, granted);
	else if (expected.command == SMTP_COMMAND_QUIT)
		SmtpKill(connection);
}
