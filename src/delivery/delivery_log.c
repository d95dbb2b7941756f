/*
 * delivery_log.c - the log lines about deliveries
 */
#include "postgres.h"

#include "delivery/delivery_log.h"

#include "settings/settings.h"
#include "smtp/smtp_reply.h"

/*
 * Returns a copy with '?' for line breaks and control characters, so that no value can forge a log
 * line.
 */
static char *
OneLine(const char *text)
{
	char *line = pstrdup(text);

	for (char *p = line; *p; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			*p = '?';
	}
	return line;
}

char *
EventInOneLine(const SmtpEvent *event)
{
	if (event->kind == SMTP_EVENT_REPLY)
		return FormatSmtpReply(event->code, event->enhanced, event->text);
	return psprintf("%s (stage: %s)",
					event->text && *event->text ? event->text : SmtpEventKindName(event->kind),
					SmtpStageName(event->stage));
}

void
LogMailSent(const char *address, const char *task_id)
{
	char *line;

	if (!rhesis_log_deliveries)
		return;
	line = OneLine(task_id);
	ereport(LOG,
			(errmsg("Task completion email sent successfully to %s for task %s", address, line)));
	pfree(line);
}

void
LogMailFailed(const char *address, const char *reason, const char *detail, const char *hint)
{
	char *to = OneLine(address);
	char *line = OneLine(reason);

	ereport(WARNING, (errcode(ERRCODE_CONNECTION_EXCEPTION),
					  errmsg("Failed to send task completion email to %s: %s", to, line),
					  detail ? errdetail("%s", detail) : 0, hint ? errhint("%s", hint) : 0));
	pfree(to);
	pfree(line);
}
