/*
 * smtp_session.c - SMTP in a user's session: sends one mail, or probes the server once
 *
 * These are the only functions that wait for a mail server while a transaction is open. It is the
 * transaction of the caller.
 */
#include "postgres.h"

#include "delivery/smtp_session.h"

#include "base/compat.h"
#include "delivery/smtp_settings.h"
#include "miscadmin.h"
#include "settings/settings.h"
#include "settings/settings_password.h"
#include "storage/latch.h"

/*
 * Returns a pool of one connection, with the options that the settings have. If that fails, returns
 * NULL and sets *problem.
 */
static SmtpPool *
OpenSessionPool(const char **problem)
{
	SmtpOptions options;
	SmtpPool *pool;
	char *password_problem;
	char *password;

	*problem = SmtpSettingsProblem();
	if (*problem == NULL)
		*problem = SmtpInitialize();
	if (*problem != NULL)
		return NULL;
	password = ReadSmtpPassword(&password_problem);
	*problem = password_problem;
	if (*problem != NULL)
		return NULL;

	SmtpOptionsFromSettings(&options);
	options.max_connections = 1;
	options.password = password;
	pool = SmtpPoolCreate(&options, problem);
	ForgetPassword(password);
	return pool;
}

static void
WaitForPool(SmtpPool *pool)
{
	(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH,
							 SmtpPoolDescriptor(pool), -1, RhesisWaitEvent("RhesisNotifySession"));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

const char *
SendInSession(SmtpMail *mail)
{
	const char *problem;
	SmtpPool *pool = OpenSessionPool(&problem);

	if (pool == NULL)
		return problem;
	PG_TRY();
	{
		SmtpSubmit(pool, mail);
		for (;;)
		{
			SmtpRun(pool);
			if (SmtpNextFinished(pool) != NULL)
				break;
			WaitForPool(pool);
		}
		SmtpCloseIdle(pool);
	}
	PG_FINALLY();
	{
		SmtpPoolDestroy(pool);
	}
	PG_END_TRY();
	return NULL;
}

const char *
ProbeInSession(const char *sender, const char *recipient, SmtpProbe *probe)
{
	const char *problem;
	SmtpPool *pool = OpenSessionPool(&problem);

	if (pool == NULL)
		return problem;
	PG_TRY();
	{
		SmtpPoolStartProbe(pool, sender, recipient, probe);
		for (;;)
		{
			SmtpRun(pool);
			if (probe->done)
				break;
			WaitForPool(pool);
		}
	}
	PG_FINALLY();
	{
		SmtpPoolDestroy(pool);
	}
	PG_END_TRY();
	return NULL;
}
