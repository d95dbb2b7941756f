/*
 * smtp_settings.c - see smtp_settings.h.
 */
#include "postgres.h"

#include "delivery/smtp_settings.h"

#include "policy/outcome.h"
#include "settings/settings.h"
#include "settings/settings_links.h"
#include "settings/settings_password.h"

const char *
SmtpSettingsProblem(void)
{
	if (!IsSet(rhesis_smtp_host))
		return "rhesis_notify.smtp_host (environment: SMTP_HOST) is not set";
	if (IsSet(rhesis_smtp_user) && !PasswordIsConfigured())
		return "rhesis_notify.smtp_user is set, but neither rhesis_notify.smtp_password_file nor "
			   "rhesis_notify.smtp_password (environment: SMTP_PASSWORD)";
	if (!IsSet(rhesis_smtp_user) && PasswordIsConfigured())
		return "an SMTP password is set, but not rhesis_notify.smtp_user (environment: SMTP_USER)";
	if (rhesis_smtp_tls == SMTP_TLS_NONE && !rhesis_smtp_allow_plaintext &&
		!IsLoopbackHost(rhesis_smtp_host, strlen(rhesis_smtp_host)))
		return "rhesis_notify.smtp_tls is none, which is for loopback hosts unless "
			   "rhesis_notify.smtp_allow_plaintext is on";
	return NULL;
}

void
SmtpOptionsFromSettings(SmtpOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->host = rhesis_smtp_host;
	options->port = rhesis_smtp_port;
	options->user = IsSet(rhesis_smtp_user) ? rhesis_smtp_user : NULL;
	options->auth = IsSet(rhesis_smtp_auth) ? rhesis_smtp_auth : NULL;
	options->tls = rhesis_smtp_tls;
	options->ca_file = IsSet(rhesis_smtp_ca_file) ? rhesis_smtp_ca_file : NULL;
	options->helo_name = IsSet(rhesis_smtp_helo_name) ? rhesis_smtp_helo_name : NULL;
	options->connect_timeout_ms = rhesis_connect_timeout;
	options->send_timeout_ms = rhesis_send_timeout;
	options->max_connections = rhesis_smtp_connections;
	options->messages_per_connection = rhesis_messages_per_connection;
	options->judge = RefusalForEvent;
}
