/*
 * settings.c - every setting of rhesis_notify, with its default from the server's environment.
 *
 * Most settings are PGC_SUSET: ALTER DATABASE … SET works, and a user's session cannot send mail
 * elsewhere. A value from the environment is the setting's boot value, so SHOW tells the truth. If
 * that value cannot be used, the server warns, takes the built-in default and starts.
 *
 * The password is kept apart, in settings_password.c.
 */
#include "postgres.h"

#include <limits.h>

#include "settings/settings.h"

#include "base/ascii.h"
#include "datatype/timestamp.h"
#include "mail/mailbox.h"
#include "mail/written_address.h"
#include "miscadmin.h"
#include "settings/settings_environment.h"
#include "settings/settings_links.h"
#include "settings/settings_password.h"
#include "smtp/smtp.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#define DEFAULT_PORT 587
#define MAX_INSTANCE 63
#define DEFAULT_FROM "\"Rhesis AI\" <engineering@rhesis.ai>"
#define DEFAULT_FROM_NAME "Rhesis AI"

char *rhesis_smtp_host;
int rhesis_smtp_port;
char *rhesis_smtp_user;
char *rhesis_smtp_ca_file;
char *rhesis_smtp_helo_name;
char *rhesis_smtp_auth;
char *rhesis_reply_to;
char *rhesis_recipients;
char *rhesis_organization_setting;
char *rhesis_placeholder_domains;
char *rhesis_redirect_all_to;
char *rhesis_instance;
int rhesis_smtp_tls;
bool rhesis_smtp_allow_plaintext;
int rhesis_workers;
int rhesis_smtp_connections;
int rhesis_messages_per_connection;
double rhesis_max_rate;
int rhesis_max_attempts;
int rhesis_retry_delay;
int rhesis_retry_max_delay;
int rhesis_connect_timeout;
int rhesis_send_timeout;
int rhesis_in_doubt;
int rhesis_expire_after;
int rhesis_retention;
bool rhesis_log_deliveries;

static char *from_email;

static const struct config_enum_entry tls_options[] = {{"auto", SMTP_TLS_AUTO, false},
													   {"starttls", SMTP_TLS_STARTTLS, false},
													   {"implicit", SMTP_TLS_IMPLICIT, false},
													   {"none", SMTP_TLS_NONE, false},
													   {NULL, 0, false}};

static const struct config_enum_entry in_doubt_options[] = {
	{"resend", IN_DOUBT_RESEND, false}, {"hold", IN_DOUBT_HOLD, false}, {NULL, 0, false}};

/* ---- Check hooks ---- */

/*
 * Returns true for a name or an address that can stand in a URL or an SMTP command: visible ASCII
 * without delimiters.
 */
static bool
IsHostText(const char *text)
{
	for (const char *p = text; *p; p++)
	{
		if (*p <= ' ' || *p >= 0x7f || strchr("/@?#\\\"<>%", *p))
			return false;
	}
	return true;
}

static bool
CheckHost(char **newval, void **extra, GucSource source)
{
	if (*newval == NULL || IsHostText(*newval))
		return true;
	GUC_check_errdetail("A host is a name or an address, without scheme, port, user or path.");
	GUC_check_errhint("Write it as in \"smtp.sendgrid.net\". The port is "
					  "rhesis_notify.smtp_port.");
	return false;
}

static bool
CheckUser(char **newval, void **extra, GucSource source)
{
	for (const char *p = *newval ? *newval : ""; *p; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
		{
			GUC_check_errdetail("A user name has no line breaks or control characters.");
			return false;
		}
	}
	return true;
}

static bool
CheckMechanisms(char **newval, void **extra, GucSource source)
{
	int order[SMTP_MECHANISMS];
	int count;

	if (SmtpParseMechanisms(*newval, order, &count))
		return true;
	GUC_check_errdetail(
		"A login mechanism is not known, needs more than a password, or is listed twice.");
	GUC_check_errhint("Available mechanisms are PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5, SCRAM-SHA-1, "
					  "SCRAM-SHA-256, NTLM.");
	return false;
}

static bool
CheckMailbox(char **newval, void **extra, GucSource source)
{
	Mailbox mailbox;
	const char *problem;

	if (*newval == NULL || **newval == '\0' || ReadWrittenMailbox(*newval, &mailbox, &problem))
		return true;
	GUC_check_errdetail("The address is not valid: %s.", problem);
	GUC_check_errhint("Write name@example.com, or \"Display Name\" <name@example.com>.");
	return false;
}

static bool
CheckAddress(char **newval, void **extra, GucSource source)
{
	const char *problem;

	if (*newval == NULL || **newval == '\0' ||
		ReadWrittenAddress(*newval, strlen(*newval), &problem) != NULL)
		return true;
	GUC_check_errdetail("The address is not valid: %s.", problem);
	GUC_check_errhint("Write the address alone, like staging@example.com.");
	return false;
}

static bool
CheckRecipients(char **newval, void **extra, GucSource source)
{
	char *copy;
	List *parts = NIL;
	bool acceptable;

	if (*newval == NULL || **newval == '\0')
		return true;
	copy = pstrdup(*newval);
	acceptable = SplitIdentifierString(copy, '.', &parts) && list_length(parts) == 2;
	list_free(parts);
	pfree(copy);
	if (acceptable)
		return true;
	GUC_check_errdetail("It is not the name of a relation with its schema.");
	GUC_check_errhint("Name a table or a view with its schema, like app.notification_recipients.");
	return false;
}

static bool
CheckOrganizationSetting(char **newval, void **extra, GucSource source)
{
	const char *name = *newval ? *newval : "";
	const char *dot = strchr(name, '.');
	bool acceptable = dot != NULL && dot != name && dot[1] != '\0' && strlen(name) < NAMEDATALEN;

	for (const char *p = name; *p; p++)
	{
		if (!IsAsciiLetter(*p) && !IsAsciiDigit(*p) && *p != '_' && *p != '.' && *p != '$')
			acceptable = false;
	}
	if (acceptable)
		return true;
	GUC_check_errdetail("It is not the name of an application's setting, which must contain "
						"a dot.");
	GUC_check_errhint("Write it as in \"app.current_organization\".");
	return false;
}

/*
 * A check hook: refuses a value from a file in the data directory, or from a catalog. A copy of the
 * database would have the same value, and would be taken for the original.
 */
static bool
CheckInstance(char **newval, void **extra, GucSource source)
{
	const char *name = *newval ? *newval : "";

	if (source != PGC_S_DEFAULT && source != PGC_S_DYNAMIC_DEFAULT && source != PGC_S_ENV_VAR &&
		source != PGC_S_ARGV)
	{
		GUC_check_errdetail("A copy of the data directory would contain the configuration "
							"file, and pass for the original.");
		GUC_check_errhint("Set the environment variable RHESIS_NOTIFY_INSTANCE of the "
						  "server, or start it with -c rhesis_notify.instance=NAME.");
		return false;
	}
	for (const char *p = name; *p; p++)
	{
		if (*p <= ' ' || *p >= 0x7f || p - name >= MAX_INSTANCE)
		{
			GUC_check_errdetail("A name has at most %d visible ASCII characters, without "
								"spaces.",
								MAX_INSTANCE);
			GUC_check_errhint("Write it as in \"production\".");
			return false;
		}
	}
	return true;
}

/* ---- Definitions ---- */

static void
DefineString(const char *name, const char *description, char **variable, char *boot,
			 GucStringCheckHook check)
{
	DefineCustomStringVariable(name, description, NULL, variable, boot, PGC_SUSET, 0, check, NULL,
							   NULL);
}

static void
DefineInt(const char *name, const char *description, int *variable, int boot, int min, int max,
		  int flags)
{
	DefineCustomIntVariable(name, description, NULL, variable, boot, min, max, PGC_SUSET, flags,
							NULL, NULL, NULL);
}

static void
DefineServerSettings(void)
{
	DefineString(
		"rhesis_notify.smtp_host",
		"SMTP server, a name or an address (environment: SMTP_HOST). Empty: mail is off and "
		"notifications wait.",
		&rhesis_smtp_host, EnvironmentDefault("SMTP_HOST", "", CheckHost), CheckHost);
	DefineInt("rhesis_notify.smtp_port",
			  "Port of the SMTP server; RFC 6409 has 587 for submission (environment: SMTP_PORT).",
			  &rhesis_smtp_port, EnvironmentPort(DEFAULT_PORT), 1, 65535, 0);
	DefineString(
		"rhesis_notify.smtp_user",
		"User for SMTP authentication, RFC 4954 (environment: SMTP_USER). Empty: no login. User "
		"and password go together.",
		&rhesis_smtp_user, EnvironmentDefault("SMTP_USER", "", CheckUser), CheckUser);
	DefineString(
		"rhesis_notify.smtp_auth",
		"Login mechanisms (RFC 4954) in the order in which they are tried, comma-separated: PLAIN, "
		"LOGIN, CRAM-MD5, DIGEST-MD5, SCRAM-SHA-1, SCRAM-SHA-256, NTLM. Empty: those that the server "
		"offers, PLAIN and LOGIN first; without TLS the strongest alone.",
		&rhesis_smtp_auth, "", CheckMechanisms);
	DefineCustomEnumVariable("rhesis_notify.smtp_tls",
							 "How the connection is encrypted: auto is implicit TLS on port 465 "
							 "and STARTTLS, required, on all others.",
							 "The value none is allowed only for loopback hosts, unless "
							 "rhesis_notify.smtp_allow_plaintext is on.",
							 &rhesis_smtp_tls, SMTP_TLS_AUTO, tls_options, PGC_SUSET, 0, NULL, NULL,
							 NULL);
	DefineCustomBoolVariable("rhesis_notify.smtp_allow_plaintext",
							 "Allows rhesis_notify.smtp_tls = none for hosts other than "
							 "loopback.",
							 NULL, &rhesis_smtp_allow_plaintext, false, PGC_SUSET, 0, NULL, NULL,
							 NULL);
	DefineString("rhesis_notify.smtp_ca_file",
				 "File with the certificates (PEM) that the SMTP server's certificate must lead "
				 "to. Empty: the system's.",
				 &rhesis_smtp_ca_file, "", NULL);
	DefineString("rhesis_notify.smtp_helo_name",
				 "The name that EHLO gives (RFC 5321, 4.1.1.1). Empty: the machine's name. Some "
				 "servers refuse a name without a dot.",
				 &rhesis_smtp_helo_name, "", CheckHost);
	DefineInt("rhesis_notify.smtp_connections",
			  "Connections to the SMTP server, at most, per worker.", &rhesis_smtp_connections, 8,
			  1, 256, 0);
	DefineInt("rhesis_notify.messages_per_connection",
			  "Mails sent over one connection, at most, before it is closed and a new one is "
			  "opened; fewer if the server has taken fewer.",
			  &rhesis_messages_per_connection, 500, 1, INT_MAX, 0);
	DefineInt("rhesis_notify.connect_timeout",
			  "Time until a connection must be open, encrypted and logged in.",
			  &rhesis_connect_timeout, 30000, 100, INT_MAX, GUC_UNIT_MS);
	DefineInt("rhesis_notify.send_timeout",
			  "Time that the server may take for each reply (RFC 5321, 4.5.3.2).",
			  &rhesis_send_timeout, 600000, 100, INT_MAX, GUC_UNIT_MS);
	DefineCustomRealVariable(
		"rhesis_notify.max_rate",
		"Mails per second, of all workers of a database together. 0: no limit.", NULL,
		&rhesis_max_rate, 0, 0, 1e6, PGC_SUSET, 0, NULL, NULL, NULL);
}

static void
DefineMailSettings(void)
{
	DefineString(
		"rhesis_notify.from_email",
		"Sender: an address, or a display name and an address in angle brackets, RFC 5322, 3.4 "
		"(environment: FROM_EMAIL). "
		"Empty: rhesis_notify.smtp_user if that is an address, else \"Rhesis AI\" "
		"<engineering@rhesis.ai>.",
		&from_email, EnvironmentDefault("FROM_EMAIL", "", CheckMailbox), CheckMailbox);
	DefineString("rhesis_notify.reply_to", "Reply-To address (RFC 5322, 3.6.2). Empty: none.",
				 &rhesis_reply_to, "", CheckMailbox);
	DefineLinkSettings();
	DefineString("rhesis_notify.recipients",
				 "Table or view with users' addresses, named with its schema. It has user_id and "
				 "email, and optionally name, organization_id, organization_name, active and "
				 "timezone. Empty: the Rhesis schema, public.\"user\" and public.organization.",
				 &rhesis_recipients, "", CheckRecipients);
	DefineString("rhesis_notify.organization_setting",
				 "Name of the application's setting that holds the current organization's id; row "
				 "security of the notifications uses it.",
				 &rhesis_organization_setting, "app.current_organization",
				 CheckOrganizationSetting);
	DefineString("rhesis_notify.placeholder_domains",
				 "Domains, comma-separated, whose addresses get no mail: their notifications "
				 "are skipped as placeholder_email.",
				 &rhesis_placeholder_domains, "placeholder.rhesis.ai", NULL);
	DefineString("rhesis_notify.redirect_all_to",
				 "For staging: every mail goes to this address, and a header has the "
				 "original one.",
				 &rhesis_redirect_all_to, "", CheckAddress);
	DefineCustomBoolVariable(
		"rhesis_notify.log_deliveries",
		"Logs a line, with address and task id, for each mail that the server accepted.", NULL,
		&rhesis_log_deliveries, true, PGC_SUSET, 0, NULL, NULL, NULL);
}

static void
DefinePolicySettings(void)
{
	DefineInt("rhesis_notify.workers",
			  "Worker processes per database; each takes one of max_worker_processes.",
			  &rhesis_workers, 1, 1, 64, 0);
	DefineInt("rhesis_notify.max_attempts",
			  "SMTP attempts per notification, at most. An error of the server itself uses "
			  "up none.",
			  &rhesis_max_attempts, 12, 1, 1000, 0);
	DefineInt("rhesis_notify.retry_delay",
			  "Time before the second attempt; it doubles with each further one.",
			  &rhesis_retry_delay, 30000, 10, INT_MAX, GUC_UNIT_MS);
	DefineInt("rhesis_notify.retry_max_delay",
			  "Time between two attempts, at most, even if the mail server asks for more.",
			  &rhesis_retry_max_delay, 4 * 3600 * 1000, 10, INT_MAX, GUC_UNIT_MS);
	DefineCustomEnumVariable("rhesis_notify.in_doubt",
							 "What to do with a mail that the server may or may not have "
							 "accepted: resend it, or hold it until retry() or cancel().",
							 NULL, &rhesis_in_doubt, IN_DOUBT_RESEND, in_doubt_options, PGC_SUSET,
							 0, NULL, NULL, NULL);
	DefineInt("rhesis_notify.expire_after",
			  "Notifications that were created longer ago than this are not mailed: they are "
			  "skipped as expired. 0: none expires.",
			  &rhesis_expire_after, 3 * SECS_PER_DAY, 0, INT_MAX, GUC_UNIT_S);
	DefineInt(
		"rhesis_notify.retention",
		"Notifications that were finished longer ago than this are removed, with their events. 0: "
		"they are kept.",
		&rhesis_retention, 30 * SECS_PER_DAY, 0, INT_MAX, GUC_UNIT_S);
}

/* The name must be known from the server's start, so the setting can be defined only then. */
static void
DefineInstance(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomStringVariable(
		"rhesis_notify.instance",
		"Name of the environment, such as production or staging, the same on every node of a "
		"cluster (environment: RHESIS_NOTIFY_INSTANCE).",
		"A database that was adopted under another name is a copy: nothing is mailed until "
		"rhesis_notify.adopt_database() is called. It is read from the environment or the command "
		"line alone.",
		&rhesis_instance, EnvironmentDefault("RHESIS_NOTIFY_INSTANCE", "", CheckInstance),
		PGC_POSTMASTER, 0, CheckInstance, NULL, NULL);
}

void
DefineSettings(void)
{
	DefineInstance();
	DefineServerSettings();
	DefinePasswordSettings();
	DefineMailSettings();
	DefinePolicySettings();
	MarkGUCPrefixReserved("rhesis_notify");
}

/* ---- Effective values ---- */

void
SettingFrom(Mailbox *from)
{
	const char *text = DEFAULT_FROM;
	const char *problem;

	if (IsSet(from_email))
		text = from_email;
	else if (IsSet(rhesis_smtp_user) && IsValidAddress(rhesis_smtp_user))
		text = rhesis_smtp_user;
	if (!ReadWrittenMailbox(text, from, &problem))
		elog(ERROR, "sender \"%s\" is not valid: %s", text, problem);
	if (*from->name == '\0')
		from->name = DEFAULT_FROM_NAME;
}

const char *
SettingFromName(void)
{
	Mailbox from;

	SettingFrom(&from);
	return from.name;
}

bool
SettingReplyTo(Mailbox *reply_to)
{
	const char *problem;

	return IsSet(rhesis_reply_to) && ReadWrittenMailbox(rhesis_reply_to, reply_to, &problem);
}

char *
SettingRedirect(void)
{
	const char *problem;

	if (!IsSet(rhesis_redirect_all_to))
		return NULL;
	return ReadWrittenAddress(rhesis_redirect_all_to, strlen(rhesis_redirect_all_to), &problem);
}
