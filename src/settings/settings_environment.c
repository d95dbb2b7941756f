/*
 * settings_environment.c - see settings_environment.h.
 */
#include "postgres.h"

#include "settings/settings_environment.h"

char *
EnvironmentDefault(const char *variable, const char *builtin, GucStringCheckHook check)
{
	const char *value = getenv(variable);
	char *copy;
	void *extra = NULL;

	if (value == NULL || *value == '\0')
		return (char *) builtin;
	GUC_check_errdetail_string = GUC_check_errhint_string = NULL;
	copy = strdup(value);
	if (copy != NULL && check(&copy, &extra, PGC_S_DYNAMIC_DEFAULT))
		return copy;
	free(copy);
	ereport(WARNING, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					  errmsg("ignoring environment variable %s: invalid value", variable),
					  GUC_check_errdetail_string
						  ? errdetail("The value is \"%s\". %s", value, GUC_check_errdetail_string)
						  : errdetail("The value is \"%s\".", value),
					  GUC_check_errhint_string ? errhint("%s", GUC_check_errhint_string) : 0));
	return (char *) builtin;
}

int
EnvironmentPort(int builtin)
{
	const char *value = getenv("SMTP_PORT");
	char *end;
	long port;

	if (value == NULL || *value == '\0')
		return builtin;
	errno = 0;
	port = strtol(value, &end, 10);
	if (errno == 0 && *end == '\0' && port >= 1 && port <= 65535)
		return (int) port;
	ereport(WARNING, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					  errmsg("ignoring environment variable SMTP_PORT: invalid value"),
					  errdetail("The value is \"%s\".", value),
					  errhint("A port is a number from 1 to 65535.")));
	return builtin;
}
