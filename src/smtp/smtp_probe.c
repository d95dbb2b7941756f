/*
 * smtp_probe.c - the steps of a probe: how far a connection got, and how long each step took.
 *
 * A probe's connection is like any other, but its mail ends when RCPT is answered. This file turns
 * libcurl's times, and the event that ended the probe, into steps for people.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "base/utf8.h"
#include "smtp/smtp_internal.h"

/* When each step ended, in microseconds since the beginning. A step may take no time. */
typedef struct StepTimes
{
	curl_off_t done[SMTP_PROBE_STEPS];
	curl_off_t now;
} StepTimes;

static StepTimes
MeasureSteps(const SmtpConnection *connection)
{
	StepTimes times;

	memset(&times, 0, sizeof(times));
	if (connection->easy != NULL)
	{
		curl_easy_getinfo(connection->easy, CURLINFO_NAMELOOKUP_TIME_T,
						  &times.done[SMTP_PROBE_LOOKUP]);
		curl_easy_getinfo(connection->easy, CURLINFO_CONNECT_TIME_T,
						  &times.done[SMTP_PROBE_CONNECT]);
		curl_easy_getinfo(connection->easy, CURLINFO_APPCONNECT_TIME_T,
						  &times.done[SMTP_PROBE_TLS]);
	}
	times.now = SmtpNowUs() - connection->opened_us;
	times.done[SMTP_PROBE_LOGIN] =
		connection->ready_us > 0 ? connection->ready_us - connection->opened_us : 0;
	times.done[SMTP_PROBE_SENDER] =
		connection->sender_us > 0 ? connection->sender_us - connection->opened_us : 0;
	times.done[SMTP_PROBE_RECIPIENT] = times.now;
	return times;
}

/*
 * Returns the step that an event belongs to. All that happens between TLS and login is the login's.
 */
static SmtpProbeStepName
StepOfEvent(const SmtpEvent *event, const StepTimes *times)
{
	switch (event->stage)
	{
		case SMTP_STAGE_CONNECT:
			return event->kind == SMTP_EVENT_DNS ? SMTP_PROBE_LOOKUP : SMTP_PROBE_CONNECT;
		case SMTP_STAGE_GREETING:
		case SMTP_STAGE_EHLO:
			return times->done[SMTP_PROBE_TLS] > 0 ? SMTP_PROBE_LOGIN : SMTP_PROBE_CONNECT;
		case SMTP_STAGE_STARTTLS:
		case SMTP_STAGE_TLS:
			return SMTP_PROBE_TLS;
		case SMTP_STAGE_AUTH:
			return SMTP_PROBE_LOGIN;
		case SMTP_STAGE_MAIL:
			return SMTP_PROBE_SENDER;
		default:
			return SMTP_PROBE_RECIPIENT;
	}
}

/* Cut a detail after its last whole character: it may have been cut within a character to fit. */
static void
EndAtCharacter(char *detail)
{
	const char *end = detail + strlen(detail);
	int length;

	while (detail < end && (length = Utf8CharLength(detail, end)) > 0)
		detail += length;
	*detail = '\0';
}

static void
SetDetail(SmtpProbeStep *step, const char *words, const char *value)
{
	snprintf(step->detail, sizeof(step->detail), "%s%s", words, value != NULL ? value : "");
	EndAtCharacter(step->detail);
}

static void
SetReplyDetail(SmtpProbeStep *step, const SmtpEvent *event)
{
	snprintf(step->detail, sizeof(step->detail), "%d %s%s%s", event->code, event->enhanced,
			 event->enhanced[0] != '\0' ? " " : "", event->text);
	EndAtCharacter(step->detail);
}

static void
DescribeSuccess(const SmtpConnection *connection, SmtpProbe *probe)
{
	const SmtpPool *pool = connection->pool;
	SmtpProbeStep *steps = probe->steps;
	char *address = NULL;
	char port[16 + sizeof(probe->helo)];
	char user[300];
	long port_number = 0;

	curl_easy_getinfo(connection->easy, CURLINFO_PRIMARY_IP, &address);
	curl_easy_getinfo(connection->easy, CURLINFO_PRIMARY_PORT, &port_number);
	snprintf(port, sizeof(port), "%ld, EHLO %s", port_number, probe->helo);
	snprintf(user, sizeof(user), "%s, %s", pool->user != NULL ? pool->user : "",
			 SmtpMechanismName(connection));
	SetDetail(&steps[SMTP_PROBE_LOOKUP], "", address);
	SetDetail(&steps[SMTP_PROBE_CONNECT], "port ", port);
	if (pool->tls)
		SetDetail(&steps[SMTP_PROBE_TLS], pool->implicit_tls ? "from the start" : "STARTTLS",
				  ", certificate verified");
	else
		SetDetail(&steps[SMTP_PROBE_TLS], "not used", NULL);
	SetDetail(&steps[SMTP_PROBE_LOGIN], pool->user != NULL ? "as " : "no user is set",
			  pool->user != NULL ? user : NULL);
}

/* Note when MAIL was accepted, and by which reply. */
void
SmtpProbeSenderAccepted(SmtpConnection *connection, const SmtpEvent *event)
{
	connection->sender_us = SmtpNowUs();
	SetReplyDetail(&connection->probe->steps[SMTP_PROBE_SENDER], event);
}

/* Fill in the probe from the event that ended it: the answer to RCPT, or a failure before that. */
void
SmtpProbeFinished(SmtpConnection *connection, const SmtpEvent *event)
{
	static const char *const names[SMTP_PROBE_STEPS] = {"lookup", "connect", "tls",
														"login",  "sender",	 "recipient"};
	SmtpProbe *probe = connection->probe;
	StepTimes times = MeasureSteps(connection);
	SmtpProbeStepName last = StepOfEvent(event, &times);
	bool ok = event->kind == SMTP_EVENT_REPLY && event->code == 250;
	curl_off_t before = 0;

	if (connection->easy != NULL)
		DescribeSuccess(connection, probe);
	for (int i = 0; i < SMTP_PROBE_STEPS; i++)
	{
		SmtpProbeStep *step = &probe->steps[i];
		curl_off_t done = i == (int) last ? times.now : times.done[i];

		step->step = names[i];
		step->reached = i <= (int) last;
		step->ok = i < (int) last || (i == (int) last && ok);
		step->elapsed_ms = step->reached && done > before ? (done - before) / 1000.0 : 0;
		before = Max(before, done);
		if (!step->reached)
			step->detail[0] = '\0';
	}

	probe->event = *event;
	probe->event.sender = connection->probe_mail.sender;
	strlcpy(probe->enhanced, event->enhanced != NULL ? event->enhanced : "",
			sizeof(probe->enhanced));
	probe->event.enhanced = probe->enhanced;
	SetDetail(&probe->steps[last], "", event->text);
	if (event->kind == SMTP_EVENT_REPLY)
		SetReplyDetail(&probe->steps[last], event);
	probe->event.text = probe->steps[last].detail;
	probe->done = true;
}
