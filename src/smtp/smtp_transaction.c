/*
 * smtp_transaction.c - the dialogue on an open connection: MAIL, RCPT, DATA, mail, final dot.
 *
 * Two queues are enough. The first is the output: commands are appended as far ahead as the server
 * allows. With PIPELINING, MAIL, RCPT and DATA go out in one write, and the commands of the next
 * mail follow the final dot; without it, one command goes out at a time. The second is the queue of
 * expected replies: each command adds an entry, and the replies come in that order. A reply is no
 * answer if no command expects it, or if it comes before its command was written. Such a reply must
 * never count as an acceptance.
 *
 * Nothing here blocks. Each mail that is begun here is finished here, also if the connection ends;
 * its event names the command whose reply was awaited.
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

/* Start the wait for the next reply anew, because a command was written or a reply has come. */
static void
NoteProgress(SmtpConnection *connection)
{
	SmtpSetDeadline(connection, connection->step == SMTP_STEP_QUIT_SENT
									? SMTP_QUIT_MS
									: connection->pool->send_timeout_ms);
}

/*
 * Returns true if another command may be sent now, and false if the reply to an earlier one must
 * come first.
 */
static bool
MaySend(const SmtpConnection *connection)
{
	return connection->expected_count == 0 ||
		   (connection->capabilities.pipelining && connection->probe == NULL &&
			connection->expected_count + 4 < SMTP_MAX_EXPECTED);
}

/*
 * Read and handle all replies that have come. Returns false if the dialogue is over.
 *
 * Read until there are no more bytes: if TLS has decrypted bytes that were not fetched yet, the
 * socket does not become readable for them.
 */
bool
SmtpReadReplies(SmtpConnection *connection)
{
	while (connection->step != SMTP_STEP_ENDED)
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

		for (size_t used = 0; used < length && connection->step != SMTP_STEP_ENDED;)
		{
			SmtpReplyParser *parser = &connection->parser;

			used += SmtpReplyFeed(parser, data + used, length - used);
			if (parser->status == SMTP_REPLY_COMPLETE)
				HandleReply(connection, &parser->reply);
			else if (parser->status == SMTP_REPLY_GARBAGE)
				SmtpGiveUp(connection, SMTP_EVENT_GARBAGE, NULL, parser->reply.text);
		}
	}
	return connection->step != SMTP_STEP_ENDED;
}

/*
 * Append and write what may be sent now, as far as the socket takes it. Returns how far the
 * dialogue has come.
 */
SmtpProgress
SmtpFlush(SmtpConnection *connection)
{
	bool blocked = false;

	while (connection->step != SMTP_STEP_ENDED && !blocked)
	{
		if (connection->output_done == connection->output_length)
		{
			/* A reply may come in the middle of a long mail. Handle it before more is written. */
			if (connection->step == SMTP_STEP_BODY && connection->data_appended > 0 &&
				!SmtpReadReplies(connection))
				break;
			FillOutput(connection);
		}
		if (connection->output_done == connection->output_length)
			break;
		blocked = !WriteOutput(connection);
	}

	if (connection->step == SMTP_STEP_ENDED)
		return SMTP_PROGRESS_ENDED;
	if (blocked)
		return SMTP_PROGRESS_BLOCKED;
	if (connection->step == SMTP_STEP_IDLE && connection->expected_count == 0)
		return SMTP_PROGRESS_IDLE;
	return SMTP_PROGRESS_PENDING;
}

/*
 * Make one write. Returns false if the socket takes no more now, or if the dialogue is over.
 * libcurl demands that a write that was not possible is repeated with the same bytes at the same
 * address, so FillOutput() waits until the whole output is written.
 */
static bool
WriteOutput(SmtpConnection *connection)
{
	size_t sent = 0;
	CURLcode result;

	Assert(connection->output_done < connection->output_length);
	result = curl_easy_send(connection->easy, connection->output + connection->output_done,
							connection->output_length - connection->output_done, &sent);
	if (result == CURLE_AGAIN)
		return false;
	if (result != CURLE_OK)
	{
		/* The server may have sent the reason before it closed the connection. */
		SmtpReadReplies(connection);
		SmtpGiveUp(connection, SMTP_EVENT_CONNECTION_LOST, NULL, curl_easy_strerror(result));
		return false;
	}
	connection->output_done += sent;
	connection->written += sent;
	Assert(connection->written <= connection->appended);
	NoteProgress(connection);
	return true;
}

static void
AppendOutput(SmtpConnection *connection, const char *data, size_t length)
{
	Assert(length <= SMTP_OUTPUT_SIZE - connection->output_length);
	memcpy(connection->output + connection->output_length, data, length);
	connection->output_length += length;
	connection->appended += length;
}

/* Add the command, which ends where the output ends now, to the queue of expected replies. */
static void
Expect(SmtpConnection *connection, SmtpCommand command, SmtpMail *mail)
{
	SmtpExpected *expected = &connection->expected[connection->expected_count++];

	Assert(connection->expected_count <= SMTP_MAX_EXPECTED);
	expected->command = command;
	expected->mail = mail;
	expected->end = connection->appended;
}

/* Append a command. The caller has checked that the output and the queue have space for it. */
static void
AppendCommand(SmtpConnection *connection, SmtpCommand command, SmtpMail *mail, const char *line)
{
	AppendOutput(connection, line, strlen(line));
	Expect(connection, command, mail);
	SmtpTraceSent(connection, line, strlen(line));
}

static void
AppendMailFrom(SmtpConnection *connection, SmtpMail *mail)
{
	char line[SMTP_LONGEST_ADDRESS + 64];

	if (connection->capabilities.size_limit > 0 && mail->data_length > 0)
		snprintf(line, sizeof(line), "MAIL FROM:<%s> SIZE=%zu\r\n", mail->sender,
				 mail->data_length);
	else
		snprintf(line, sizeof(line), "MAIL FROM:<%s>\r\n", mail->sender);
	AppendCommand(connection, SMTP_COMMAND_MAIL, mail, line);
}

static void
AppendRcptTo(SmtpConnection *connection, SmtpMail *mail)
{
	char line[SMTP_LONGEST_ADDRESS + 64];

	snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", mail->recipient);
	AppendCommand(connection, SMTP_COMMAND_RCPT, mail, line);
}

/*
 * Append as much of the mail as the output can hold. After the end of the mail, its reply is
 * expected and the next mail can begin.
 */
static void
AppendBody(SmtpConnection *connection)
{
	SmtpMail *mail = connection->mail;
	size_t space = SMTP_OUTPUT_SIZE - connection->output_length;
	size_t length = Min(mail->data_length - connection->data_appended, space);

	Assert(connection->data_appended <= mail->data_length);
	AppendOutput(connection, mail->data + connection->data_appended, length);
	connection->data_appended += length;
	if (connection->data_appended == mail->data_length)
	{
		Expect(connection, SMTP_COMMAND_DOT, mail);
		SmtpTraceNote(connection, "sends the mail");
		connection->mail = NULL;
		connection->step = SMTP_STEP_IDLE;
	}
}

/*
 * Returns how many mails a connection gets: the number that is set, or fewer if the server has
 * taken fewer.
 */
static int
MessagesPerConnection(const SmtpPool *pool)
{
	if (pool->learned_messages > 0 && pool->now < pool->learned_until)
		return Min(pool->learned_messages, pool->messages_per_connection);
	return pool->messages_per_connection;
}

/*
 * Note what the refusal of a mail says about the connection. If the caller will send the mail again
 * over another connection, this connection gets no more mails. If the server limits the mails of a
 * connection, other connections get no more mails than this one.
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

/* Begin a mail; its first command goes out with the next SmtpFlush(). */
void
SmtpBeginMail(SmtpConnection *connection, SmtpMail *mail)
{
	Assert(connection->step == SMTP_STEP_IDLE && connection->mail == NULL);
	connection->mail = mail;
	connection->data_appended = 0;
	connection->step = SMTP_STEP_MAIL;
	mail->event.reused = connection->served;
	connection->served = true;
	connection->begun++;
	NoteProgress(connection);
}

/* Between two mails: begin the next one, append QUIT, or do nothing. */
static void
BeginNext(SmtpConnection *connection)
{
	SmtpMail *mail;

	if (connection->begun >= MessagesPerConnection(connection->pool))
		connection->leaving = true;
	mail = connection->leaving ? NULL : SmtpNextMail(connection);
	if (mail != NULL)
		SmtpBeginMail(connection, mail);
	else if (connection->leaving)
	{
		AppendCommand(connection, SMTP_COMMAND_QUIT, NULL, "QUIT\r\n");
		connection->step = SMTP_STEP_QUIT_SENT;
	}
}

/* Append to the empty output all that may be sent now. */
static void
FillOutput(SmtpConnection *connection)
{
	connection->output_length = connection->output_done = 0;

	while (SMTP_OUTPUT_SIZE - connection->output_length > SMTP_LONGEST_ENVELOPE)
	{
		if (connection->step != SMTP_STEP_BODY && !MaySend(connection))
			return;

		switch (connection->step)
		{
			case SMTP_STEP_IDLE:
				if (connection->reset_needed)
				{
					AppendCommand(connection, SMTP_COMMAND_RSET, NULL, "RSET\r\n");
					connection->reset_needed = false;
				}
				else
				{
					BeginNext(connection);
					if (connection->step == SMTP_STEP_IDLE)
						return;
				}
				break;
			case SMTP_STEP_MAIL:
				AppendMailFrom(connection, connection->mail);
				connection->step = SMTP_STEP_RCPT;
				break;
			case SMTP_STEP_RCPT:
				AppendRcptTo(connection, connection->mail);
				connection->step = SMTP_STEP_DATA;
				break;
			case SMTP_STEP_DATA:
				AppendCommand(connection, SMTP_COMMAND_DATA, connection->mail, "DATA\r\n");
				connection->step = SMTP_STEP_GO_AHEAD;
				break;
			case SMTP_STEP_BODY:
				AppendBody(connection);
				break;
			case SMTP_STEP_LONE_DOT:
				AppendCommand(connection, SMTP_COMMAND_DOT, NULL, ".\r\n");
				connection->step = SMTP_STEP_IDLE;
				break;
			case SMTP_STEP_GO_AHEAD:
			case SMTP_STEP_QUIT_SENT:
			case SMTP_STEP_ENDED:
				return;
		}
	}
}

/* Returns true if the whole command (or mail) was written. */
static bool
IsWritten(const SmtpConnection *connection, const SmtpExpected *expected)
{
	return expected->end <= connection->written;
}

/* Returns true if the mail's final dot was written, or a part of it. */
static bool
IsDotWritten(const SmtpConnection *connection, const SmtpExpected *expected)
{
	return connection->written + strlen(FINAL_DOT) > expected->end;
}

/*
 * Returns true if a mail's final dot was written, or a part of it, and the reply is awaited. The
 * server may have accepted that mail.
 */
bool
SmtpMayHaveSent(const SmtpConnection *connection)
{
	for (int i = 0; i < connection->expected_count; i++)
	{
		const SmtpExpected *expected = &connection->expected[i];

		if (expected->mail != NULL && expected->command == SMTP_COMMAND_DOT &&
			IsDotWritten(connection, expected))
			return true;
	}
	return false;
}

/*
 * Set in the event how far a mail has come: the stage (the command whose reply the mail awaits, or
 * its next command), whether its final dot was written, and whether the connection was used before.
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
	{
		Assert(connection->mail == mail && connection->step < lengthof(stage_of_step));
		event->stage = stage_of_step[connection->step];
	}
	else if (expected->command == SMTP_COMMAND_MAIL)
		event->stage = SMTP_STAGE_MAIL;
	else if (expected->command == SMTP_COMMAND_RCPT)
		event->stage = SMTP_STAGE_RCPT;
	else if (expected->command == SMTP_COMMAND_DATA)
		event->stage = SMTP_STAGE_DATA;
	else
	{
		event->stage = IsWritten(connection, expected) ? SMTP_STAGE_FINAL_DOT : SMTP_STAGE_BODY;
		event->dot_written = IsDotWritten(connection, expected);
	}
}

/* Finish a mail. The replies to its commands that are still to come belong to no mail. */
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
	{
		SmtpProbeFinished(connection, event);
		connection->leaving = true;
	}
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
 * End a dialogue that cannot go on. The mail that is nearest to its end gets the kind and the text,
 * or the reply if the kind is SMTP_EVENT_REPLY. The mail after it gets the same if the kind is
 * SMTP_EVENT_ABORTED. Otherwise the connection is lost for it.
 */
void
SmtpGiveUp(SmtpConnection *connection, SmtpEventKind kind, const SmtpReply *reply, const char *text)
{
	bool first = true;

	Assert(kind != SMTP_EVENT_REPLY || reply != NULL);
	if (connection->step == SMTP_STEP_ENDED)
		return;
	if (text != NULL)
		SmtpTraceNote(connection, text);
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
	connection->step = SMTP_STEP_ENDED;
}

/*
 * Finish a mail, because the reply to this command decides its outcome. Its other commands are not
 * sent any more, and the connection goes on with the next mail.
 */
static void
EndMail(SmtpConnection *connection, const SmtpExpected *expected, const SmtpEvent *event)
{
	if (connection->mail == expected->mail &&
		(connection->step == SMTP_STEP_RCPT || connection->step == SMTP_STEP_DATA))
		connection->step = SMTP_STEP_IDLE;
	if (expected->command != SMTP_COMMAND_DOT)
		connection->reset_needed = true;
	FinishMail(connection, expected->mail, event);
}

/*
 * Choose the step after the reply to DATA. If the server waits for a mail that was refused before,
 * send it none.
 */
static void
AfterData(SmtpConnection *connection, bool go_ahead)
{
	Assert(connection->step == SMTP_STEP_GO_AHEAD);
	if (!go_ahead)
		connection->step = SMTP_STEP_IDLE;
	else if (connection->mail != NULL)
		connection->step = SMTP_STEP_BODY;
	else
		connection->step = SMTP_STEP_LONE_DOT;
}

/*
 * Returns true if a reply with this code grants its command. The codes are those of RFC 5321,
 * 4.3.2. "221" to MAIL says that the server closes the connection, so it grants nothing. After the
 * final dot the server has the mail: any 2xx that has no other meaning accepts it. Otherwise it
 * would be sent twice.
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

/* End the dialogue because this reply is none that its command can get. */
static void
GiveUpUnexpected(SmtpConnection *connection, const SmtpReply *reply)
{
	snprintf(connection->problem, sizeof(connection->problem), "unexpected reply: %d %s%s%s",
			 reply->code, reply->enhanced, reply->enhanced[0] != '\0' ? " " : "", reply->text);
	SmtpGiveUp(connection, SMTP_EVENT_GARBAGE, NULL, connection->problem);
}

/* Handle a reply: it answers the oldest expected command, or ends the dialogue. */
static void
HandleReply(SmtpConnection *connection, const SmtpReply *reply)
{
	SmtpExpected expected = connection->expected[0];
	bool refused = reply->code >= 400;
	bool granted = !refused && IsGranted(expected.command, reply->code);
	SmtpEvent event = {0};

	SmtpTraceReply(connection, reply);
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
		connection->step = SMTP_STEP_ENDED;
}
