/*
 * outcome_test.c - each rule of the delivery policy, with the reply that it is for.
 *
 * It includes the source, so that it can ask which rule an event met. Each rule must be met by a
 * case below. No rule may match words that a user could have chosen.
 */
#include "policy/outcome.c"

#include "tap.h"

#define SENDER "noreply@example.com"

typedef struct Case
{
	SmtpStage stage;
	SmtpEventKind kind;
	int code;
	const char *enhanced;
	const char *text;
	int conditions;

	const char *expected; /* scope action reason delay */
} Case;

#define R SMTP_EVENT_REPLY

static const Case cases[] = {
	/* Acceptance, and replies that are no acceptance */
	{SMTP_STAGE_FINAL_DOT, R, 250, "2.0.0", "Ok: queued as 4F2A", IF_DOT_WRITTEN,
	 "message sent - 0"},
	{SMTP_STAGE_FINAL_DOT, R, 250, "", "Ok 0100018d-SES-Message-ID", IF_DOT_WRITTEN | IF_REUSED,
	 "message sent - 0"},
	{SMTP_STAGE_FINAL_DOT, R, 354, "", "End data with <CR><LF>.<CR><LF>", IF_DOT_WRITTEN,
	 "connection in_doubt in_doubt 0"},
	{SMTP_STAGE_DATA, R, 250, "2.0.0", "Ok", 0, "connection defer connection 0"},
	{SMTP_STAGE_MAIL, R, 220, "", "mail.example.com ESMTP", 0, "connection return connection 0"},

	/* In doubt: the dot is on its way and no reply comes */
	{SMTP_STAGE_FINAL_DOT, SMTP_EVENT_CONNECTION_LOST, 0, NULL, NULL, IF_DOT_WRITTEN,
	 "connection in_doubt in_doubt 0"},
	{SMTP_STAGE_FINAL_DOT, SMTP_EVENT_TIMEOUT, 0, NULL, NULL, IF_DOT_WRITTEN,
	 "connection in_doubt in_doubt 0"},
	{SMTP_STAGE_FINAL_DOT, SMTP_EVENT_GARBAGE, 0, NULL, NULL, IF_DOT_WRITTEN,
	 "connection in_doubt in_doubt 0"},
	{SMTP_STAGE_FINAL_DOT, SMTP_EVENT_ABORTED, 0, NULL, NULL, IF_DOT_WRITTEN,
	 "connection in_doubt in_doubt 0"},
	{SMTP_STAGE_BODY, SMTP_EVENT_CONNECTION_LOST, 0, NULL, NULL, IF_DOT_WRITTEN | IF_REUSED,
	 "connection in_doubt in_doubt 0"},

	/* Stopped by us */
	{SMTP_STAGE_CONNECT, SMTP_EVENT_ABORTED, 0, NULL, NULL, 0, "message return interrupted 0"},
	{SMTP_STAGE_BODY, SMTP_EVENT_ABORTED, 0, NULL, NULL, 0, "message return interrupted 0"},

	/* Quotas: Amazon SES */
	{SMTP_STAGE_FINAL_DOT, R, 454, "", "Throttling failure: Maximum sending rate exceeded.",
	 IF_DOT_WRITTEN, "quota return quota 0"},
	{SMTP_STAGE_FINAL_DOT, R, 454, "", "Throttling failure: Daily message quota exceeded.",
	 IF_DOT_WRITTEN, "quota return quota 900"},

	/* Quotas: Google */
	{SMTP_STAGE_MAIL, R, 450, "4.2.1",
	 "Peak SMTP relay limit exceeded for customer. This is a temporary error.", 0,
	 "quota return quota 0"},
	{SMTP_STAGE_FINAL_DOT, R, 550, "5.4.5",
	 "Daily user sending limit exceeded. For more information on Gmail sending limits go to "
	 "https://support.google.com/a/answer/166852 d2e1a72fcca58 - gsmtp",
	 IF_DOT_WRITTEN, "quota return quota 900"},
	{SMTP_STAGE_FINAL_DOT, R, 550, "5.4.5", "Daily user sending quota exceeded. o65sm25 - gsmtp",
	 IF_DOT_WRITTEN, "quota return quota 900"},
	{SMTP_STAGE_MAIL, R, 550, "5.4.5", "Daily SMTP relay limit exceeded for user.", 0,
	 "quota return quota 900"},
	{SMTP_STAGE_FINAL_DOT, R, 550, "5.7.1", "Daily SMTP relay limit exceeded for customer.",
	 IF_DOT_WRITTEN, "quota return quota 900"},
	{SMTP_STAGE_MAIL, R, 421, "4.7.0", "Try again later, closing connection. (MAIL) - gsmtp",
	 IF_REUSED, "quota return quota 0"},
	{SMTP_STAGE_GREETING, R, 421, "4.7.0",
	 "Our system has detected an unusual rate of unsolicited mail originating from your IP address.",
	 0, "quota return quota 0"},

	/* Quotas: SendGrid, Mailgun, Microsoft, and the usual words */
	{SMTP_STAGE_AUTH, R, 451, "", "Authentication failed: Maximum credits exceeded", 0,
	 "quota return quota 900"},
	{SMTP_STAGE_FINAL_DOT, R, 452, "4.5.3", "Too many recipients received this hour",
	 IF_DOT_WRITTEN, "quota return quota 0"},
	{SMTP_STAGE_FINAL_DOT, R, 421, "",
	 "Domain mg.example.com is not allowed to send: recipient limit exceeded, try again after Sun, 05 "
	 "Oct 2025 19:22:44 UTC",
	 IF_DOT_WRITTEN, "quota return quota 900"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "",
	 "Your account is on probation and domains are limited to 100 messages / hour. Account will be "
	 "enabled in 341 seconds",
	 IF_DOT_WRITTEN, "quota return quota 341"},
	{SMTP_STAGE_MAIL, R, 432, "4.3.2", "STOREDRV.ClientSubmit; sender thread limit exceeded", 0,
	 "quota return quota 0"},
	{SMTP_STAGE_RCPT, R, 450, "4.7.1", "Error: too much mail from 192.0.2.1", 0,
	 "quota return quota 0"},
	{SMTP_STAGE_RCPT, R, 451, "4.7.1", "Rate limit exceeded, retry after 120 seconds", 0,
	 "quota return quota 120"},

	{SMTP_STAGE_MAIL, R, 550, "",
	 "Domain example.com has exceeded the max emails per hour (150/150 (100%)) allowed.", 0,
	 "quota return quota 900"},

	/*
	 * A problem of one recipient or message, with words or a code that usually mean something else
	 */
	{SMTP_STAGE_FINAL_DOT, R, 554, "5.2.121",
	 "Recipient's per hour message receive limit from specific sender exceeded", IF_DOT_WRITTEN,
	 "address defer smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 554, "5.2.122",
	 "The recipient has exceeded their limit for the number of messages they can receive per hour.",
	 0, "address defer smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 421, "4.1.1", "jane is not known here", 0,
	 "address defer smtp_temporary 0"},
	{SMTP_STAGE_FINAL_DOT, R, 552, "5.3.4", "Message too large for the daily limit", IF_DOT_WRITTEN,
	 "message fail smtp_permanent 0"},
	{SMTP_STAGE_RCPT, R, 550, "5.4.5", "You have sent what you may send", 0,
	 "quota return quota 900"},
	{SMTP_STAGE_DATA, R, 452, "4.3.1", "Out of disk space", 0, "server return smtp_temporary 0"},
	{SMTP_STAGE_MAIL, R, 451, "4.5.0", "Too many transactions", IF_REUSED,
	 "connection retry_fresh connection 0"},
	{SMTP_STAGE_RCPT, R, 550, "5.7.1", "Sender quota exceeded", 0, "quota return quota 900"},
	{SMTP_STAGE_RCPT, R, 421, "", "Recipient not in route list", 0,
	 "address defer smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 450, "4.7.1",
	 "<mail.example.com[192.0.2.1]>: Client host rejected: Greylisted, please come back later", 0,
	 "address defer smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 550, "5.7.513",
	 "Service unavailable, Client host [192.0.2.1] blocked by example.org using Customer Block list",
	 0, "address fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 421, "4.7.0",
	 "This message is suspicious due to the nature of the content or the links within.",
	 IF_DOT_WRITTEN, "message defer smtp_temporary 0"},
	{SMTP_STAGE_FINAL_DOT, R, 550, "5.7.136", "Sender was not authenticated", IF_DOT_WRITTEN,
	 "address fail smtp_permanent 0"},
	{SMTP_STAGE_MAIL, R, 450, "4.7.1", "Number recipients per hour exceeded", 0,
	 "quota return quota 0"},

	/* Fastmail: the text at the final dot is about the sender. */
	{SMTP_STAGE_FINAL_DOT, R, 551, "5.7.1", "Not authorised to send from this header address",
	 IF_DOT_WRITTEN, "account return auth 0"},

	/* A connection that carries no further mails */
	{SMTP_STAGE_MAIL, R, 451, "4.4.2", "Timeout waiting for data from client.", IF_REUSED,
	 "connection retry_fresh connection 0"},
	{SMTP_STAGE_MAIL, R, 451, "", "Timeout waiting for data from client", IF_REUSED,
	 "connection retry_fresh connection 0"},
	{SMTP_STAGE_MAIL, R, 451, "4.4.2", "Timeout waiting for data from client.", 0,
	 "message defer smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 451, "4.7.500", "Server busy. Please try again later from [192.0.2.1].", 0,
	 "connection return connection 0"},
	{SMTP_STAGE_DATA, R, 452, "4.4.5", "Maximum number of messages per session exceeded.",
	 IF_REUSED, "connection retry_fresh connection 0"},
	{SMTP_STAGE_MAIL, R, 421, "", "too many messages in this connection", IF_REUSED,
	 "connection retry_fresh connection 0"},
	{SMTP_STAGE_MAIL, R, 421, "", "too many messages in this connection", 0,
	 "quota return quota 0"},
	{SMTP_STAGE_RCPT, R, 421, "4.7.0", "mail.example.com Error: too many errors", IF_REUSED,
	 "connection retry_fresh connection 0"},
	{SMTP_STAGE_RCPT, R, 421, "4.7.0", "mail.example.com Error: too many errors", 0,
	 "connection return connection 0"},

	/* A problem of one recipient, in words that could be about the account */
	{SMTP_STAGE_DATA, R, 421, "",
	 "Domain sandbox1.mailgun.org is not allowed to send: Sandbox subdomains are for test purposes "
	 "only. Please add your own domain or add the address to authorized recipients",
	 IF_REUSED, "address fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 550, "5.7.1",
	 "RESOLVER.RST.AuthRequired; authentication required [Stage: CreateMessage]", IF_DOT_WRITTEN,
	 "address fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 550, "5.7.134",
	 "RESOLVER.RST.SenderNotAuthenticatedForMailbox; authentication required", IF_DOT_WRITTEN,
	 "address fail smtp_permanent 0"},

	/* Microsoft 365 uses codes x.2.x for most problems */
	{SMTP_STAGE_FINAL_DOT, R, 554, "5.2.252",
	 "SendAsDenied; a@b.example not allowed to send as c@b.example", IF_DOT_WRITTEN,
	 "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "5.2.0",
	 "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to "
	 "process message due to a permanent exception",
	 IF_DOT_WRITTEN, "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "5.2.0",
	 "STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due "
	 "to a permanent exception",
	 IF_DOT_WRITTEN, "quota return quota 900"},

	/* This machine's name and address */
	{SMTP_STAGE_RCPT, R, 504, "5.5.2",
	 "<pod-7f>: Helo command rejected: need fully-qualified hostname", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 554, "5.7.1", "<unknown[192.0.2.1]>: Client host rejected: Access denied",
	 0, "account return auth 0"},

	/* The recipient's own rates and quotas are not ours */
	{SMTP_STAGE_FINAL_DOT, R, 552, "5.2.2", "The email account is over quota", IF_DOT_WRITTEN,
	 "address fail smtp_permanent 0"},
	{SMTP_STAGE_RCPT, R, 452, "", "<jane@example.org>: mailbox is full", 0,
	 "address defer smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 552, "", "Requested mail action aborted: mailbox is over quota", 0,
	 "address fail smtp_permanent 0"},
	{SMTP_STAGE_RCPT, R, 450, "4.2.1",
	 "The user you are trying to contact is receiving mail at a rate that prevents additional messages "
	 "from being delivered.",
	 0, "address defer smtp_temporary 0"},
	{SMTP_STAGE_FINAL_DOT, R, 452, "4.2.2",
	 "The email account that you tried to reach is over quota.", IF_DOT_WRITTEN,
	 "address defer smtp_temporary 0"},

	/* A kept connection that had died */
	{SMTP_STAGE_MAIL, R, 421, "4.4.2", "mail.example.com Error: timeout exceeded", IF_REUSED,
	 "connection retry_fresh connection 0"},
	{SMTP_STAGE_MAIL, SMTP_EVENT_CONNECTION_LOST, 0, NULL, NULL, IF_REUSED,
	 "connection retry_fresh connection 0"},
	{SMTP_STAGE_MAIL, SMTP_EVENT_TIMEOUT, 0, NULL, NULL, IF_REUSED,
	 "connection retry_fresh connection 0"},

	/* The account: TLS */
	{SMTP_STAGE_MAIL, R, 530, "5.7.0", "Must issue a STARTTLS command first.", 0,
	 "account return tls 0"},
	{SMTP_STAGE_STARTTLS, R, 454, "4.7.0", "TLS not available due to local problem", 0,
	 "server return tls 0"},
	{SMTP_STAGE_STARTTLS, SMTP_EVENT_NO_STARTTLS, 0, NULL, NULL, 0, "account return tls 0"},
	{SMTP_STAGE_TLS, SMTP_EVENT_CERTIFICATE, 0, NULL, NULL, 0, "account return tls 0"},
	{SMTP_STAGE_TLS, SMTP_EVENT_CA_FILE, 0, NULL, NULL, 0, "account return tls 0"},
	{SMTP_STAGE_TLS, SMTP_EVENT_TLS_FAILED, 0, NULL, NULL, 0, "server return tls 0"},

	/* The account: login */
	{SMTP_STAGE_AUTH, R, 454, "4.7.0",
	 "Temporary authentication failure: Connection lost to authentication server", 0,
	 "account return auth 0"},
	{SMTP_STAGE_AUTH, R, 454, "4.7.0", "Too many login attempts, please try again later.", 0,
	 "account return auth 0"},
	{SMTP_STAGE_AUTH, R, 535, "5.7.8", "Username and Password not accepted.", 0,
	 "account return auth 0"},
	{SMTP_STAGE_AUTH, R, 534, "5.7.9", "Application-specific password required.", 0,
	 "account return auth 0"},
	{SMTP_STAGE_AUTH, R, 535, "", "Authentication Credentials Invalid", 0, "account return auth 0"},
	{SMTP_STAGE_MAIL, R, 530, "5.7.0", "Authentication Required.", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 535, "", "Authentication failed", 0, "account return auth 0"},
	{SMTP_STAGE_AUTH, SMTP_EVENT_NO_AUTH, 0, NULL, NULL, 0, "account return auth 0"},
	{SMTP_STAGE_AUTH, SMTP_EVENT_LOGIN_FAILED, 0, NULL, NULL, 0, "account return auth 0"},

	/* The account: its sender */
	{SMTP_STAGE_FINAL_DOT, R, 550, "",
	 "The from address does not match a verified Sender Identity. Mail cannot be sent until this error "
	 "is resolved.",
	 IF_DOT_WRITTEN, "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 403, "", "You are not authorized to send from that email address",
	 IF_DOT_WRITTEN, "account return auth 0"},
	{SMTP_STAGE_MAIL, R, 550, "", "Unauthenticated senders not allowed", 0,
	 "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 421, "",
	 "Domain sandbox1.mailgun.org is not allowed to send: Please activate your Mailgun account.",
	 IF_DOT_WRITTEN, "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 454, "", "Sending paused for this account.", IF_DOT_WRITTEN,
	 "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 550, "5.7.60",
	 "SMTP; Client does not have permissions to send as this sender", IF_DOT_WRITTEN,
	 "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "",
	 "Message rejected: Email address is not verified. The following identities failed the check in "
	 "region US-EAST-1: " SENDER,
	 IF_DOT_WRITTEN, "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "",
	 "Access denied: User `arn:aws:iam::1:user/x' is not authorized to perform `ses:SendRawEmail' on "
	 "resource `arn:aws:ses:eu-west-2:1:identity/example.com'",
	 IF_DOT_WRITTEN, "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "",
	 "Message rejected: Email address is not verified. The following identities failed the check in "
	 "region US-EAST-1: jane@example.com",
	 IF_DOT_WRITTEN, "message fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "",
	 "Message rejected: Email address is not verified. The following identities failed the check in "
	 "region US-EAST-1: not-" SENDER ", " SENDER ".net.",
	 IF_DOT_WRITTEN, "message fail smtp_permanent 0"},
	{SMTP_STAGE_RCPT, R, 553, "5.7.1",
	 "<" SENDER ">: Sender address rejected: not owned by user app", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 450, "4.1.8", "<" SENDER ">: Sender address rejected: Domain not found", 0,
	 "account return auth 0"},
	{SMTP_STAGE_MAIL, R, 550, "5.7.1", "Sender not verified", 0, "account return auth 0"},
	{SMTP_STAGE_MAIL, R, 550, "5.7.1", "Not from you", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 451, "4.1.7", "Bad sender", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 451, "4.1.8", "Bad domain", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 550, "5.1.7", "Bad sender", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 550, "5.1.8", "Bad domain", 0, "account return auth 0"},
	{SMTP_STAGE_MAIL, R, 517, "", "Domain does not exist: example.com.", 0,
	 "account return auth 0"},
	{SMTP_STAGE_MAIL, R, 521, "5.3.2", "Not at all", 0, "message fail smtp_permanent 0"},
	{SMTP_STAGE_RCPT, R, 450, "4.7.25", "rDNS", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 550, "5.7.25", "rDNS", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 554, "5.7.1", "<app>: SASL login name rejected: Access denied", 0,
	 "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 554, "5.7.1", "<12:34>: Client certificate rejected: Access denied", 0,
	 "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "5.7.9", "Message not accepted for policy reasons",
	 IF_DOT_WRITTEN, "message fail smtp_permanent 0"},
	{SMTP_STAGE_MAIL, R, 501, "5.1.7", "Invalid address", 0, "account return auth 0"},
	{SMTP_STAGE_MAIL, R, 553, "", "sender rejected", 0, "account return auth 0"},

	/* The connection */
	{SMTP_STAGE_GREETING, R, 421, "", "Too many concurrent SMTP connections", 0,
	 "connection return connection 0"},
	{SMTP_STAGE_RCPT, R, 421, "4.3.0", "Temporary System Problem. Try again later", IF_REUSED,
	 "connection return connection 0"},
	{SMTP_STAGE_RCPT, R, 421, "4.2.1", "Closing", 0, "connection return connection 0"},
	{SMTP_STAGE_AUTH, R, 421, "4.7.0", "Error: too many errors", 0,
	 "connection return connection 0"},
	{SMTP_STAGE_STARTTLS, R, 421, "4.3.0", "Closing", 0, "connection return connection 0"},
	{SMTP_STAGE_FINAL_DOT, R, 421, "4.4.5", "Server busy, try again later.", IF_DOT_WRITTEN,
	 "connection return connection 0"},
	{SMTP_STAGE_RCPT, R, 450, "4.7.0", "Error: too many connections from 192.0.2.1", 0,
	 "connection return connection 0"},
	{SMTP_STAGE_RCPT, R, 450, "",
	 "too frequent connects from 198.37.147.135, please try again later.", 0,
	 "connection return connection 0"},
	{SMTP_STAGE_DATA, R, 453, "4.3.2", "System not accepting network messages", 0,
	 "connection return connection 0"},

	/* The server */
	{SMTP_STAGE_MAIL, R, 452, "4.3.1", "Insufficient system storage", 0,
	 "server return smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 452, "4.3.1", "Insufficient system resources", 0,
	 "server return smtp_temporary 0"},
	{SMTP_STAGE_MAIL, R, 451, "4.4.5", "High load, try again later", 0,
	 "server return smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 451, "4.7.0", "Temporary server error. Please try again later. PRX4", 0,
	 "address defer smtp_temporary 0"},
	{SMTP_STAGE_GREETING, R, 554, "5.3.2", "mail.example.com: no SMTP service here", 0,
	 "server return connection 0"},
	{SMTP_STAGE_EHLO, R, 504, "5.5.2",
	 "<pod>: Helo command rejected: need fully-qualified hostname", 0,
	 "server return connection 0"},
	{SMTP_STAGE_CONNECT, SMTP_EVENT_DNS, 0, NULL, NULL, 0, "server return connection 0"},
	{SMTP_STAGE_CONNECT, SMTP_EVENT_REFUSED, 0, NULL, NULL, 0, "server return connection 0"},
	{SMTP_STAGE_CONNECT, SMTP_EVENT_TIMEOUT, 0, NULL, NULL, 0, "server return timeout 0"},
	{SMTP_STAGE_GREETING, SMTP_EVENT_TIMEOUT, 0, NULL, NULL, 0, "server return timeout 0"},
	{SMTP_STAGE_MAIL, SMTP_EVENT_TIMEOUT, 0, NULL, NULL, 0, "server return timeout 0"},
	{SMTP_STAGE_GREETING, SMTP_EVENT_GARBAGE, 0, NULL, NULL, 0, "connection return connection 0"},
	{SMTP_STAGE_MAIL, SMTP_EVENT_CONNECTION_LOST, 0, NULL, NULL, 0,
	 "connection return connection 0"},

	/* A 4xx to MAIL may be about the size in MAIL, unless it names a problem of the server */
	{SMTP_STAGE_MAIL, R, 450, "", "come back later", 0, "message defer smtp_temporary 0"},
	{SMTP_STAGE_MAIL, R, 451, "4.3.0", "Not now", 0, "message defer smtp_temporary 0"},
	{SMTP_STAGE_MAIL, R, 455, "4.5.4", "Not with this parameter", 0,
	 "message defer smtp_temporary 0"},
	{SMTP_STAGE_MAIL, R, 451, "4.3.2", "come back later", 0, "connection return connection 0"},
	{SMTP_STAGE_MAIL, R, 452, "4.3.1", "come back later", 0, "server return smtp_temporary 0"},

	/*
	 * A refusal of MAIL is about the sender of all mails, unless it names this mail's size or text
	 */
	{SMTP_STAGE_MAIL, R, 550, "", "Not you", 0, "account return auth 0"},
	{SMTP_STAGE_MAIL, R, 554, "5.3.0", "Not at all", 0, "message fail smtp_permanent 0"},
	{SMTP_STAGE_MAIL, R, 550, "", "Message too big!", 0, "message fail smtp_permanent 0"},
	{SMTP_STAGE_MAIL, R, 552, "", "Too much", 0, "message fail smtp_permanent 0"},
	{SMTP_STAGE_MAIL, R, 555, "5.5.4", "Unsupported option", 0, "message fail smtp_permanent 0"},
	{SMTP_STAGE_MAIL, R, 553, "5.6.7", "Must declare SMTPUTF8", 0, "message fail smtp_permanent 0"},

	/* A conversation out of step */
	{SMTP_STAGE_MAIL, R, 502, "", "Use HELO/EHLO first.", IF_REUSED,
	 "connection retry_fresh connection 0"},
	{SMTP_STAGE_MAIL, R, 503, "5.5.1", "Error: nested MAIL command", IF_REUSED,
	 "connection retry_fresh connection 0"},
	{SMTP_STAGE_MAIL, R, 503, "5.0.0", "Polite people say HELO first", 0,
	 "connection return connection 0"},
	{SMTP_STAGE_RCPT, R, 503, "5.5.1", "Error: need MAIL command", 0,
	 "address defer smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 550, "5.5.1", "Protocol error", 0, "connection return connection 0"},

	/* What the registry of enhanced codes says, whatever the words are */
	{SMTP_STAGE_MAIL, R, 523, "5.7.10", "No", 0, "account return tls 0"},
	{SMTP_STAGE_AUTH, R, 538, "5.7.11", "No", 0, "account return tls 0"},
	{SMTP_STAGE_MAIL, R, 530, "5.7.0", "TLS required.", 0, "account return tls 0"},
	{SMTP_STAGE_RCPT, R, 554, "5.7.8", "No", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 554, "5.7.9", "No", 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 525, "5.7.13", "No", 0, "account return auth 0"},
	{SMTP_STAGE_FINAL_DOT, R, 450, "4.7.28", "No", IF_DOT_WRITTEN, "quota return quota 0"},

	/* The words of a policy server, after those of Postfix */
	{SMTP_STAGE_RCPT, R, 554, "5.7.1",
	 "<jane@example.org>: Recipient address rejected: You have exceeded your quota.", 0,
	 "quota return quota 900"},
	{SMTP_STAGE_RCPT, R, 554, "5.7.1",
	 "<jane@example.org>: Recipient address rejected: SMTP AUTH is required for users under this "
	 "sender domain",
	 0, "account return auth 0"},
	{SMTP_STAGE_RCPT, R, 554, "5.7.1",
	 "<jane@example.org>: Recipient address rejected: Server IP address has bad reputation.", 0,
	 "account return auth 0"},

	/* Postfix's default since 2.10. The mail is tried again: a relay may know the domain later */
	{SMTP_STAGE_RCPT, R, 454, "4.7.1", "<jane@example.org>: Relay access denied", 0,
	 "address defer smtp_temporary 0"},

	/* The message and its recipient */
	{SMTP_STAGE_MAIL, R, 552, "5.3.4", "Message size exceeds fixed limit", 0,
	 "message fail smtp_permanent 0"},
	{SMTP_STAGE_RCPT, R, 552, "5.3.4", "Message size exceeds fixed limit", 0,
	 "message fail smtp_permanent 0"},
	{SMTP_STAGE_RCPT, R, 450, "4.7.1", "<jane@example.org>: Recipient address rejected: Greylisted",
	 0, "address defer smtp_temporary 0"},
	{SMTP_STAGE_RCPT, R, 451, "4.7.1", "Greylisting in action, please come back in 00:05:00", 0,
	 "address defer smtp_temporary 300"},
	{SMTP_STAGE_RCPT, R, 450, "", "try again in 300 seconds", 0,
	 "address defer smtp_temporary 300"},
	{SMTP_STAGE_RCPT, R, 550, "5.1.1",
	 "<jane@example.org>: Recipient address rejected: User unknown in local recipient table", 0,
	 "address fail smtp_permanent 0"},
	{SMTP_STAGE_RCPT, R, 550, "", "Administrative prohibition", 0, "address fail smtp_permanent 0"},
	{SMTP_STAGE_RCPT, R, 554, "5.7.1", "<jane@example.org>: Relay access denied", 0,
	 "address fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 550, "5.1.1",
	 "The email account that you tried to reach does not exist.", IF_DOT_WRITTEN,
	 "address fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "5.6.0", "Message content rejected", IF_DOT_WRITTEN,
	 "message fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 550, "5.7.1", "Message content rejected", IF_DOT_WRITTEN,
	 "message fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 571, "", "Something nobody has heard of. Try again in 5 minutes.",
	 IF_DOT_WRITTEN, "message fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 451, "4.3.0", "Error: queue file write error", IF_DOT_WRITTEN,
	 "message defer smtp_temporary 0"},
	{SMTP_STAGE_DATA, R, 499, NULL, NULL, 0, "message defer smtp_temporary 0"},

	/* A conversation that breaks in the middle of a message */
	{SMTP_STAGE_RCPT, SMTP_EVENT_CONNECTION_LOST, 0, NULL, NULL, IF_REUSED,
	 "connection defer connection 0"},
	{SMTP_STAGE_BODY, SMTP_EVENT_CONNECTION_LOST, 0, NULL, NULL, 0,
	 "connection defer connection 0"},
	{SMTP_STAGE_DATA, SMTP_EVENT_GARBAGE, 0, NULL, NULL, 0, "connection defer connection 0"},
	{SMTP_STAGE_BODY, SMTP_EVENT_TIMEOUT, 0, NULL, NULL, 0, "connection defer timeout 0"},

	/* An address that a user chose because it looks like a problem */
	{SMTP_STAGE_RCPT, R, 550, "5.1.1", "<throttling-failure@example.org>: User unknown", 0,
	 "address fail smtp_permanent 0"},
	{SMTP_STAGE_FINAL_DOT, R, 554, "", "Email address is not verified: \"" SENDER "\"@example.org",
	 IF_DOT_WRITTEN, "message fail smtp_permanent 0"},
};

#define MOST_RULES 200

static bool rule_met[MOST_RULES];

static void
CheckCase(const Case *c)
{
	SmtpEvent event = {
		.stage = c->stage,
		.kind = c->kind,
		.code = c->code,
		.enhanced = c->enhanced,
		.text = c->text,
		.sender = SENDER,
		.dot_written = (c->conditions & IF_DOT_WRITTEN) != 0,
		.reused = (c->conditions & IF_REUSED) != 0,
	};
	Outcome outcome;
	char got[200];
	char name[200];

	rule_met[FindRule(&event, EffectiveKind(&event)) - outcome_rules] = true;
	outcome = OutcomeForEvent(&event);
	snprintf(got, sizeof(got), "%s %s %s %d", OutcomeScopeName(outcome.scope),
			 OutcomeActionName(outcome.action), outcome.reason ? outcome.reason : "-",
			 outcome.delay_seconds);
	snprintf(name, sizeof(name), "%s%s: %s %d %s %.80s", SmtpStageName(c->stage),
			 event.reused ? " (reused)" : "", SmtpEventKindName(c->kind), c->code,
			 c->enhanced ? c->enhanced : "", c->text ? c->text : "");
	is_str(got, c->expected, name);
}

static void
CheckRules(void)
{
	for (int i = 0; i < outcome_rule_count; i++)
	{
		const char *phrase = outcome_rules[i].wording;

		ok(rule_met[i], "a case above meets rule %d (%s)", i, phrase ? phrase : "no wording");
		while (phrase != NULL && *phrase)
		{
			size_t length = strcspn(phrase, "|");

			ok(memchr(phrase, ' ', length) != NULL || memchr(phrase, ':', length) != NULL,
			   "no mailbox's name can say \"%.*s\"", (int) length, phrase);
			phrase += length + (phrase[length] == '|');
		}
	}
}

/*
 * Only a 2xx reply to the final dot counts as sent. A mail whose dot was written is never sent
 * again without being in doubt.
 */
static void
CheckAllEvents(void)
{
	int wrongly_sent = 0;
	int forgotten = 0;
	int unnamed = 0;

	for (int stage = SMTP_STAGE_CONNECT; stage <= SMTP_STAGE_FINAL_DOT; stage++)
		for (int kind = SMTP_EVENT_REPLY; kind <= SMTP_EVENT_ABORTED; kind++)
			for (int code = 0; code <= 1000; code++)
				for (int flags = 0; flags < 4; flags++)
				{
					SmtpEvent event = {
						.stage = stage,
						.kind = kind,
						.code = code,
						.dot_written = (flags & 1) != 0,
						.reused = (flags & 2) != 0,
					};
					Outcome outcome;
					bool accepted = (kind == SMTP_EVENT_REPLY && stage == SMTP_STAGE_FINAL_DOT &&
									 code / 100 == 2);
					bool refused = (kind == SMTP_EVENT_REPLY && code >= 400 && code <= 599);
					bool silent =
						(kind == SMTP_EVENT_CONNECTION_LOST || kind == SMTP_EVENT_TIMEOUT ||
						 kind == SMTP_EVENT_GARBAGE || kind == SMTP_EVENT_ABORTED ||
						 (kind == SMTP_EVENT_REPLY && !accepted && !refused));

					outcome = OutcomeForEvent(&event);
					wrongly_sent += ((outcome.action == OUTCOME_SENT) != accepted);
					forgotten +=
						(event.dot_written && silent && outcome.action != OUTCOME_IN_DOUBT);
					unnamed += (outcome.reason == NULL && !accepted);
				}
	is_int(wrongly_sent, 0, "of all events only a 2xx to the final dot is \"sent\"");
	is_int(forgotten, 0, "silence after the final dot is always in doubt");
	is_int(unnamed, 0, "every other outcome has a reason");
}

static void
CheckDelays(void)
{
	static const struct
	{
		const char *text;
		int seconds;
	} delays[] = {
		{"Greylisted, try again in 300 seconds", 300},
		{"try again after 5 minutes", 300},
		{"Please retry in 60s", 60},
		{"Please wait 10 min and try again", 600},
		{"Greylisted for 5 minutes", 300},
		{"come back in 01:00:05", 3605},
		{"Try again in 2 hours", 7200},
		{"Try again in 1 hr.", 3600},
		{"AGAIN IN 7 SECONDS", 7},
		{"try again in 99999999999999999999 hours", MAX_NAMED_DELAY},
		{"try again in 99999999999:99:99", MAX_NAMED_DELAY},
		{"Limit of 500 mails in 24 hours reached, try again later", 0},
		{"try again in 5", 0},
		{"try again in 5 fortnights", 0},
		{"try again in 5 seconderies", 0},
		{"try again in -5 seconds", 0},
		{"try again in 0 seconds", 0},
		{"try again after Sun, 05 Oct 2025 19:22:44 UTC", 0},
		{"try again in ", 0},
		{"again", 0},
		{"", 0},
	};

	for (int i = 0; i < (int) lengthof(delays); i++)
		is_int(NamedDelaySeconds(delays[i].text), delays[i].seconds, delays[i].text);
}

int
main(void)
{
	for (int i = 0; i < (int) lengthof(cases); i++)
		CheckCase(&cases[i]);
	CheckRules();
	CheckAllEvents();
	CheckDelays();
	return done_testing();
}
