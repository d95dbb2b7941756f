/*
 * outgoing.c - a rendered notification becomes a mail that can be handed to SMTP.
 */
#include "postgres.h"

#include "outgoing.h"

#include <time.h>

#include "access/xlog.h"
#include "message.h"
#include "miscadmin.h"
#include "settings.h"

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

bool
ComposeOutgoing(const Outgoing *outgoing, int64 notification_id, const char *message_id,
				const Recipient *recipient, const RenderedMail *rendered, SmtpMail *mail,
				const char **problem)
{
	MessageParts parts = {0};
	StringInfoData message;
	StringInfoData stuffed;

	parts.date = (int64) time(NULL);
	parts.from = outgoing->from;
	parts.reply_to = outgoing->reply_to;
	parts.to.name = recipient->name;
	parts.to.address = outgoing->redirect ? outgoing->redirect : recipient->email;
	parts.original_recipient = outgoing->redirect ? recipient->email : NULL;
	parts.subject = rendered->subject;
	parts.message_id = message_id;
	parts.notification_id = notification_id;
	parts.text = rendered->text;
	parts.text_length = strlen(rendered->text);
	parts.html = rendered->html;
	parts.html_length = strlen(rendered->html);

	initStringInfo(&message);
	if (!ComposeMessage(&parts, &message, problem))
		return false;
	initStringInfo(&stuffed);
	AppendDotStuffed(&stuffed, message.data, message.len);
	pfree(message.data);

	mail->sender = outgoing->from.address;
	mail->recipient = parts.to.address;
	mail->data = stuffed.data;
	mail->data_length = stuffed.len;
	return true;
}
