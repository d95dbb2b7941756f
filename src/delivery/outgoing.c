/*
 * outgoing.c - turns a rendered notification into a mail for the SMTP client
 */
#include "postgres.h"

#include "delivery/outgoing.h"

#include <time.h>

#include "base/database_text.h"
#include "common/hashfn.h"
#include "mail/message.h"
#include "settings/settings.h"

void
ReadOutgoing(Outgoing *outgoing)
{
	memset(outgoing, 0, sizeof(*outgoing));
	SettingFrom(&outgoing->from);
	(void) SettingReplyTo(&outgoing->reply_to);
	outgoing->redirect = SettingRedirect();
}

/*
 * Returns a hash of id, creation time and task id. The id alone does not identify a notification: a
 * new queue begins with id 1 again. These three values together do. They are the same in each
 * attempt, and in a restored dump.
 */
static uint64
NotificationMac(const Notification *notification)
{
	int64 numbers[2] = {notification->id, notification->created_at};
	char *task_id = DatabaseTextToUtf8(notification->task_id, strlen(notification->task_id));
	StringInfoData named;

	initStringInfo(&named);
	appendBinaryStringInfo(&named, (const char *) numbers, sizeof(numbers));
	appendStringInfoString(&named, task_id);
	return hash_bytes_extended((const unsigned char *) named.data, named.len, 0);
}

char *
NotificationMessageId(const Outgoing *outgoing, const Notification *notification)
{
	/* Check it: a user who can write to the table can store any text there. */
	if (notification->message_id && IsMessageId(notification->message_id))
		return pstrdup(notification->message_id);
	return MessageIdFor(notification->id, NotificationMac(notification),
						AddressDomain(outgoing->from.address));
}

char *
RandomMessageId(const Outgoing *outgoing)
{
	uint64 random[2];

	if (!pg_strong_random(random, sizeof(random)))
		return NULL;
	/* A negative id: the sequence of the queue gives only positive ones. */
	return MessageIdFor((int64) random[0] | PG_INT64_MIN, random[1],
						AddressDomain(outgoing->from.address));
}

/* Returns the address that the mail goes to. */
static const char *
Destination(const Outgoing *outgoing, const Recipient *recipient)
{
	return outgoing->redirect ? outgoing->redirect : recipient->email;
}

bool
ComposeOutgoingMessage(const Outgoing *outgoing, int64 notification_id, const char *message_id,
					   const Recipient *recipient, const RenderedMail *rendered, StringInfo message,
					   const char **problem)
{
	MessageParts parts = {0};

	parts.date = (int64) time(NULL);
	parts.from = outgoing->from;
	parts.reply_to = outgoing->reply_to;
	parts.to.name = DatabaseTextToUtf8(recipient->name, strlen(recipient->name));
	parts.to.address = Destination(outgoing, recipient);
	parts.original_recipient = outgoing->redirect ? recipient->email : NULL;
	parts.subject = rendered->subject;
	parts.message_id = message_id;
	parts.notification_id = notification_id;
	parts.text = rendered->text;
	parts.text_length = strlen(rendered->text);
	parts.html = rendered->html;
	parts.html_length = strlen(rendered->html);
	return ComposeMessage(&parts, message, problem);
}

bool
ComposeOutgoing(const Outgoing *outgoing, int64 notification_id, const char *message_id,
				const Recipient *recipient, const RenderedMail *rendered, SmtpMail *mail,
				const char **problem)
{
	StringInfoData message;
	StringInfoData stuffed;

	initStringInfo(&message);
	if (!ComposeOutgoingMessage(outgoing, notification_id, message_id, recipient, rendered,
								&message, problem))
		return false;
	initStringInfo(&stuffed);
	AppendDotStuffed(&stuffed, message.data, message.len);
	pfree(message.data);

	mail->sender = outgoing->from.address;
	mail->recipient = Destination(outgoing, recipient);
	mail->data = stuffed.data;
	mail->data_length = stuffed.len;
	return true;
}
