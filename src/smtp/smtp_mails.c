/*
 * smtp_mails.c - the mails of a pool: those that wait, and those that are finished.
 *
 * Each mail that was submitted comes back exactly once: from SmtpNextFinished() when its outcome is
 * known, or from SmtpTakeBack() when no byte of it was written.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "smtp/smtp_internal.h"

static void
AppendMail(SmtpMailList *list, SmtpMail *mail)
{
	mail->next = NULL;
	if (list->head == NULL)
		list->head = mail;
	else
		list->tail->next = mail;
	list->tail = mail;
	list->length++;
}

static SmtpMail *
TakeMail(SmtpMailList *list)
{
	SmtpMail *mail = list->head;

	if (mail != NULL)
	{
		list->head = mail->next;
		list->length--;
		Assert((list->head == NULL) == (list->length == 0));
	}
	return mail;
}

/* Returns true if a word can stand in a command without ending the command or an address early. */
bool
SmtpIsSafeWord(const char *word)
{
	size_t length = strlen(word);

	for (const char *c = word; *c != '\0'; c++)
		if ((unsigned char) *c <= ' ' || *c == 0x7f || *c == '<' || *c == '>')
			return false;
	return length > 0 && length < SMTP_LONGEST_ADDRESS;
}

void
SmtpSubmit(SmtpPool *pool, SmtpMail *mail)
{
	mail->text = NULL;
	pool->in_flight++;
	if (SmtpIsSafeWord(mail->sender) && SmtpIsSafeWord(mail->recipient))
		AppendMail(&pool->waiting, mail);
	else
	{
		SmtpEvent event = {.stage = SMTP_STAGE_RCPT,
						   .kind = SMTP_EVENT_REPLY,
						   .code = 501,
						   .enhanced = "5.1.3",
						   .text = "address not shown to the server: bad syntax"};

		SmtpFinishMail(pool, mail, &event);
	}
}

int
SmtpPoolCapacity(const SmtpPool *pool)
{
	int connections = pool->stalled ? Min(pool->connection_count, pool->limit) : pool->limit;

	return Max(3 * connections - pool->in_flight, 0);
}

/* Take the mail that has waited longest from the waiting mails. Returns NULL if there is none. */
SmtpMail *
SmtpTakeWaiting(SmtpPool *pool)
{
	return TakeMail(&pool->waiting);
}

/*
 * Take the mail that a connection begins next from the waiting mails. Returns NULL if there is none
 * for it. While the connection awaits the reply to a final dot, connections that are idle or being
 * opened get the waiting mails first.
 */
SmtpMail *
SmtpNextMail(SmtpConnection *connection)
{
	SmtpPool *pool = connection->pool;

	if (connection->probe != NULL)
		return NULL;
	if (connection->expected_count > 0 &&
		pool->opening_count + pool->idle_count >= pool->waiting.length)
		return NULL;
	return SmtpTakeWaiting(pool);
}

/*
 * Finish a mail with this event: copy the event and its texts, and keep the mail for
 * SmtpNextFinished().
 */
void
SmtpFinishMail(SmtpPool *pool, SmtpMail *mail, const SmtpEvent *event)
{
	mail->event = *event;
	mail->event.sender = mail->sender;
	strlcpy(mail->enhanced, event->enhanced != NULL ? event->enhanced : "", sizeof(mail->enhanced));
	mail->event.enhanced = mail->enhanced;
	mail->text = event->text != NULL ? strdup(event->text) : NULL;
	mail->event.text = mail->text;
	Assert(pool->in_flight > 0);
	pool->in_flight--;
	AppendMail(&pool->finished, mail);
}

SmtpMail *
SmtpNextFinished(SmtpPool *pool)
{
	return TakeMail(&pool->finished);
}

SmtpMail *
SmtpTakeBack(SmtpPool *pool)
{
	SmtpMail *mail = SmtpTakeWaiting(pool);

	Assert(mail == NULL || pool->in_flight > 0);
	if (mail != NULL)
		pool->in_flight--;
	return mail;
}

void
SmtpMailClear(SmtpMail *mail)
{
	free(mail->text);
	mail->text = NULL;
	mail->event.text = NULL;
}
