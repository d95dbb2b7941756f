/*
 * settings_password.c - the SMTP password: where it is kept and how it is read.
 *
 * The secret is never the value of the setting. The check hook moves the secret into the setting's
 * "extra", and replaces every value, even an empty one, by the same constant. So a reload sees no
 * change to log, and SHOW, pg_settings and the boot value show only the constant. A value that
 * would be stored in pg_db_role_setting, which everybody may read, or that is part of a session's
 * SQL text, is refused. The environment's value is read when it is needed, and is never a boot
 * value.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings/settings_password.h"

#include "base/compat.h"
#include "storage/fd.h"
#include "utils/guc.h"

#define HIDDEN "********"
#define MAX_PASSWORD_FILE 4096

static char *password_file;
static char *hidden_password; /* always HIDDEN */
static const char *password;  /* the extra of the value in force; "" if no password is set */

static bool
RefuseStoredPassword(GucSource source)
{
	/*
	 * Raise the error here, not in the caller, to keep the statement out of the log: it contains
	 * the secret.
	 */
	if (source == PGC_S_SESSION || source == PGC_S_TEST || source == PGC_S_INTERACTIVE)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(true), errhidecontext(true),
			 errmsg("rhesis_notify.smtp_password can only be set in the server's configuration"),
			 errdetail("Values of ALTER DATABASE and ALTER ROLE can be read by every role."),
			 errhint("Set rhesis_notify.smtp_password_file to a file with the password, set the "
					 "environment variable SMTP_PASSWORD of the server, or use ALTER SYSTEM.")));
	GUC_check_errmsg("rhesis_notify.smtp_password can only be set in the server's configuration");
	return false;
}

static bool
CheckPassword(char **newval, void **extra, GucSource source)
{
	const char *secret = *newval ? *newval : "";
	char *kept;
	char *shown;

	/*
	 * A parallel worker copies the settings of its leader, and so gets the constant as the value.
	 */
	if (strcmp(secret, HIDDEN) == 0)
		secret = "";
	if (*secret && source >= PGC_S_GLOBAL && source != PGC_S_OVERRIDE)
		return RefuseStoredPassword(source);

	kept = RhesisGucMalloc(strlen(secret) + 1);
	shown = RhesisGucMalloc(sizeof(HIDDEN));
	if (kept == NULL || shown == NULL)
		return false;
	strcpy(kept, secret);
	strcpy(shown, HIDDEN);
	if (*newval)
	{
		explicit_bzero(*newval, strlen(*newval));
		RhesisGucFree(*newval);
	}
	*newval = shown;
	*extra = kept;
	return true;
}

static void
AssignPassword(const char *newval, void *extra)
{
	password = extra;
}

static const char *
ShowPassword(void)
{
	return HIDDEN;
}

static const char *
PasswordFile(void)
{
	const char *variable;

	if (password_file != NULL && *password_file)
		return password_file;
	variable = getenv("SMTP_PASSWORD_FILE");
	return variable != NULL && *variable ? variable : NULL;
}

static const char *
PlainPassword(void)
{
	const char *variable;

	if (password != NULL && *password)
		return password;
	variable = getenv("SMTP_PASSWORD");
	return variable != NULL && *variable ? variable : NULL;
}

void
DefinePasswordSettings(void)
{
	DefineCustomStringVariable(
		"rhesis_notify.smtp_password",
		"Password for SMTP authentication (environment: SMTP_PASSWORD). It is never shown.",
		"Only the server's configuration can set it. Prefer rhesis_notify.smtp_password_file.",
		&hidden_password, "", PGC_SUSET, GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL | GUC_NO_RESET_ALL,
		CheckPassword, AssignPassword, ShowPassword);
	DefineCustomStringVariable(
		"rhesis_notify.smtp_password_file",
		"File whose first line is the password for SMTP authentication (environment: "
		"SMTP_PASSWORD_FILE); read again at each login. It takes precedence over a password "
		"that is set otherwise.",
		NULL, &password_file, "", PGC_SUSET, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}

bool
PasswordIsConfigured(void)
{
	return PasswordFile() != NULL || PlainPassword() != NULL;
}

char *
ReadSmtpPassword(char **problem)
{
	const char *path = PasswordFile();
	char buffer[MAX_PASSWORD_FILE];
	char *result;
	ssize_t length;
	int fd;

	*problem = NULL;
	if (path == NULL)
		return PlainPassword() ? pstrdup(PlainPassword()) : NULL;

	/* O_NONBLOCK: never wait for a FIFO that nobody writes to. */
	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
	{
		*problem = psprintf("could not open rhesis_notify.smtp_password_file \"%s\": %m", path);
		return NULL;
	}
	length = read(fd, buffer, sizeof(buffer) - 1);
	if (length < 0)
		*problem = psprintf("could not read rhesis_notify.smtp_password_file \"%s\": %m", path);
	CloseTransientFile(fd);
	if (length < 0)
		return NULL;

	buffer[length] = '\0';
	buffer[strcspn(buffer, "\r\n")] = '\0';
	if (*buffer == '\0')
		*problem = psprintf("rhesis_notify.smtp_password_file \"%s\" is empty", path);
	result = *problem ? NULL : pstrdup(buffer);
	explicit_bzero(buffer, sizeof(buffer));
	return result;
}

void
ForgetPassword(char *secret)
{
	if (secret == NULL)
		return;
	explicit_bzero(secret, strlen(secret));
	pfree(secret);
}
