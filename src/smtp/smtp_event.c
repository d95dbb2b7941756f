/*
 * smtp_event.c - see smtp_event.h.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "smtp/smtp_event.h"

const char *
SmtpStageName(SmtpStage stage)
{
	static const char *const names[] = {"connect", "greeting", "ehlo",	   "starttls",
										"tls",	   "auth",	   "mail",	   "rcpt",
										"data",	   "body",	   "final_dot"};

	return names[stage];
}

const char *
SmtpEventKindName(SmtpEventKind kind)
{
	static const char *const names[] = {"reply",   "connection_lost", "timeout",	"garbage",
										"dns",	   "refused",		  "tls_failed", "certificate",
										"ca_file", "no_starttls",	  "no_auth",	"login_failed",
										"aborted"};

	return names[kind];
}
