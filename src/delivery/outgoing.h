/*
 * outgoing.h - a rendered notification becomes a mail that can be handed to SMTP.
 */
#ifndef RHESIS_OUTGOING_H
#define RHESIS_OUTGOING_H

#include "mail/mailbox.h"
#include "recipients/recipients.h"
#include "smtp/smtp.h"
#include "template/rendering.h"

/* What the settings say about every mail. */
typedef struct Outgoing
{
	Mailbox from;
	Mailbox reply_to;	  /* address NULL: none */
	const char *redirect; /* staging: where every mail goes instead; NULL: nowhere else */
} Outgoing;

/* Read the settings; strings live in the current memory context. */
extern void ReadOutgoing(Outgoing *outgoing);

/*
 * The Message-ID of a notification, palloc'd: that of its first attempt, if there was one, although the sender's domain may be
 * another now. No other notification has it, of this queue or of one that was here before.
 */
extern char *NotificationMessageId(const Outgoing *outgoing, const Notification *notification);

/* The Message-ID of a mail that is not of the queue, palloc'd; NULL: there is no random number. */
extern char *RandomMessageId(const Outgoing *outgoing);

/* Append the mail as it is before SMTP stuffs its dots. False with a constant phrase in *problem if it can't be sent. */
extern bool
ComposeOutgoingMessage(const Outgoing *outgoing, int64 notification_id, const char *message_id,
					   const Recipient *recipient, const RenderedMail *rendered, StringInfo message,
					   const char **problem);

/*
 * Compose the mail and fill in what SMTP needs; the data is palloc'd, addresses point into the arguments. False with a constant
 * phrase in *problem if it can't be sent.
 */
extern bool ComposeOutgoing(const Outgoing *outgoing, int64 notification_id, const char *message_id,
							const Recipient *recipient, const RenderedMail *rendered,
							SmtpMail *mail, const char **problem);

#endif
