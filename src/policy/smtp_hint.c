/*
 * smtp_hint.c - what a person can do about a problem with the mail server
 *
 * The rules in outcome_rules.c have the hints about replies. This file has those about connections
 * that end without a reply.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "policy/smtp_hint.h"

/*
 * Returns true if the server did not greet: it was silent, closed the connection, or sent something
 * that is not SMTP.
 */
static bool
NeverGreeted(const SmtpEvent *event)
{
	return event->stage == SMTP_STAGE_GREETING &&
		   (event->kind == SMTP_EVENT_TIMEOUT || event->kind == SMTP_EVENT_CONNECTION_LOST ||
			event->kind == SMTP_EVENT_GARBAGE);
}

static const char *
HintForConnect(const SmtpEvent *event)
{
	if (event->kind == SMTP_EVENT_DNS)
		return "Check the spelling of rhesis_notify.smtp_host, and the name servers of this "
			   "machine.";
	return "Check rhesis_notify.smtp_port, and whether a firewall or network policy blocks it; "
		   "some networks block SMTP ports.";
}

static const char *
HintForTls(const SmtpEvent *event)
{
	switch (event->kind)
	{
		case SMTP_EVENT_NO_STARTTLS:
			return "The server offers no STARTTLS on this port: set rhesis_notify.smtp_port to 587 "
				   "for STARTTLS, or to 465 for implicit TLS, or, on a private network, "
				   "rhesis_notify.smtp_tls to none.";
		case SMTP_EVENT_CA_FILE:
			return "Set rhesis_notify.smtp_ca_file to a readable PEM file, or leave it empty for "
				   "the system's certificates.";
		case SMTP_EVENT_CERTIFICATE:
			return "The name in rhesis_notify.smtp_host must be one that the certificate is for; "
				   "for a private authority set rhesis_notify.smtp_ca_file.";
		default:
			return "For port 465 rhesis_notify.smtp_tls must be implicit or auto; for 587 starttls "
				   "or auto.";
	}
}

const char *
SmtpHint(const SmtpEvent *event, const Outcome *outcome)
{
	bool is_reply = event->kind == SMTP_EVENT_REPLY;

	if (event->kind == SMTP_EVENT_ABORTED)
		return NULL;
	if (NeverGreeted(event))
		return "If this port speaks TLS from the first byte, as Amazon SES does on 2465, set "
			   "rhesis_notify.smtp_tls to implicit.";
	if (event->kind == SMTP_EVENT_NO_AUTH)
		return "The server offers no login: leave rhesis_notify.smtp_user empty, or use its "
			   "submission port (587 or 465).";
	if (event->kind == SMTP_EVENT_LOGIN_FAILED)
		return "The server offers no login mechanism that rhesis_notify.smtp_auth allows, or "
			   "none that needs a password alone.";
	if (outcome->hint)
		return outcome->hint;
	if (event->stage == SMTP_STAGE_CONNECT)
		return HintForConnect(event);
	if (event->stage == SMTP_STAGE_STARTTLS || event->stage == SMTP_STAGE_TLS)
		return is_reply ? NULL : HintForTls(event);
	if (event->stage == SMTP_STAGE_MAIL && is_reply && event->code >= 500)
		return "Verify the sender's domain or address with the provider, or set "
			   "rhesis_notify.from_email to one that is verified.";
	return NULL;
}
