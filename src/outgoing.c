/*
 * outgoing.c - a rendered notification becomes a mail that can be handed to SMTP.
 */
#include "postgres.h"

#include "outgoing.h"

#include <time.h>

#include "access/xlog.h"
#include "database_text.h"
#include "message.h"
#include "miscadmin.h"
#include "settings.h"

#define MAX_MESSAGE_ID 400

void
ReadOutgoing(Outgoing *outgoing)
{
	memset(outgoing, 0, sizeof(*outgoing));
	SettingFrom(&outgoing->from);
	(void) SettingReplyTo(&outgoing->reply_to);
	if (rhesis_redirect_all_to && *rhesis_redirect_all_to)
		outgoing->redirect = pstrdup(rhesis_redirect_all_to);
}

char *
OutgoingMessageId(const Outgoing *outgoing, int64 notification_id)
{
	return MessageIdFor(GetSystemIdentifier(), MyDatabaseId, notification_id,
						AddressDomain(outgoing->from.address));
}

/* Made by us, and not by whoever else may write to the table. */
static bool
IsMessageId(const char *text)
{
	size_t length = strlen(text);

	if (length < 3 || length > MAX_MESSAGE_ID || text[0] != '<' || text[length - 1] != '>')
		return false;
	for (size_t i = 1; i < length - 1; i++)
	{
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '<' || text[i] == '>')
			return false;
	}
	return true;
}

char *
NotificationMessageId(const Outgoing *outgoing, const Notification *notification)
{
	if (notification->message_id && IsMessageId(notification->message_id))
		return pstrdup(notification->message_id);
	return OutgoingMessageId(outgoing, notification->id);
}

/* The address that the mail goes to. */
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
