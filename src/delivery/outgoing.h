/*
 * outgoing.h - turns a rendered notification into a mail for the SMTP client
 */
#ifndef RHESIS_OUTGOING_H
#define RHESIS_OUTGOING_H

#include "mail/mailbox.h"
#include "recipients/recipients.h"
#include "smtp/smtp.h"
#include "template/rendering.h"

/* The settings that apply to every mail. */
typedef struct Outgoing
{
	Mailbox from;
	Mailbox reply_to;	  /* address NULL: none */
	const char *redirect; /* for staging: every mail goes to this address; NULL: not set */
} Outgoing;

/* Reads the settings. Strings live in the current memory context. */
extern void ReadOutgoing(Outgoing *outgoing);

/*
 * Returns the Message-ID of a notification, palloc'd. It stays the same in each attempt, even if
 * the domain of the sender changes. No other notification has it, not even one of an earlier queue.
 */
extern char *NotificationMessageId(const Outgoing *outgoing, const Notification *notification);

/*
 * Returns a Message-ID, palloc'd, for a mail that is not in the queue; NULL if there is no random
 * number.
 */
extern char *RandomMessageId(const Outgoing *outgoing);

/*
 * Appends the mail, without SMTP's dot stuffing, to message. Returns false with a constant phrase
 * in *problem if the mail cannot be composed.
 */
extern bool
ComposeOutgoingMessage(const Outgoing *outgoing, int64 notification_id, const char *message_id,
					   const Recipient *recipient, const RenderedMail *rendered, StringInfo message,
					   const char **problem);

/*
 * Composes the mail and fills in what the SMTP client needs of *mail. The data is palloc'd, and
 * addresses point into the arguments. Returns false with a constant phrase in *problem if the mail
 * cannot be composed.
 */
extern bool ComposeOutgoing(const Outgoing *outgoing, int64 notification_id, const char *message_id,
							const Recipient *recipient, const RenderedMail *rendered,
							SmtpMail *mail, const char **problem);

#endif
