/*
 * settings_links.c - where links in mails lead: rhesis_notify.frontend_url and allow_http_links.
 *
 * Whether plain http is accepted depends on allow_http_links, which may be read later. So a value
 * from postgresql.conf, the environment or ALTER DATABASE is stored as it is, and judged when it is
 * used. A statement that sets such a value is refused at once.
 */
#include "postgres.h"

#include "settings/settings_links.h"

#include "base/ascii.h"
#include "settings/settings.h"
#include "settings/settings_environment.h"
#include "tcop/pquery.h"
#include "utils/guc.h"

#define LINKS_ARE_HTTPS "Links in mails are https, and http for localhost only."

#define MAX_PORT 65535

static char *frontend_url;
static bool allow_http_links;

/*
 * Why a value was refused when no session was there to see the error; NULL: no value was refused.
 */
static const char *environment_problem;
static const char *file_problem;

bool
IsLoopbackHost(const char *host, size_t length)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "::1", "[::1]"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (strlen(names[i]) == length && BeginsAlike(names[i], host, length))
			return true;
	}
	return false;
}

/*
 * Returns the length of the host that follows a URL's scheme. An IPv6 address has brackets around
 * it.
 */
static size_t
HostLength(const char *host)
{
	size_t inside = strcspn(host, "]/?#");

	if (*host == '[' && host[inside] == ']')
		return inside + 1;
	return strcspn(host, ":/?#");
}

static bool
IsPlain(const char *url)
{
	return BeginsAlike(url, "http://", 7) && !IsLoopbackHost(url + 7, HostLength(url + 7));
}

/* Returns what is wrong with the part of the URL after the scheme; NULL if nothing is. */
static const char *
HostProblem(const char *host)
{
	size_t length = HostLength(host);
	const char *rest = host + length;
	const char *anchor = strchr(host, '#');

	if (length == 0 || (*host == '[' && (length < 4 || rest[-1] != ']')))
		return "it names no host";
	if (*rest == ':')
	{
		if (strtoul(rest + 1, NULL, 10) > MAX_PORT)
			return "its port is larger than 65535";
		rest += 1 + strspn(rest + 1, "0123456789");
	}
	if (*rest != '\0' && strchr("/?#", *rest) == NULL)
		return "what follows its host is neither a port nor a path";
	/* An application may have its pages after #/. */
	if (strchr(host, '?') || (anchor && anchor[1] != '\0' && strchr("/!", anchor[1]) == NULL))
		return "no path can follow a query or an anchor";
	return NULL;
}

/* Returns what is wrong with the URL; NULL if nothing is. */
static const char *
UrlProblem(const char *url)
{
	for (const char *p = url; *p; p++)
	{
		if (*p <= ' ' || *p >= 0x7f || strchr("\"<>\\^`{|}@", *p))
			return "it has a character that links cannot begin with";
	}
	if (BeginsAlike(url, "https://", 8))
		return HostProblem(url + 8);
	if (BeginsAlike(url, "http://", 7))
		return HostProblem(url + 7);
	return "it does not begin with https://";
}

static bool
RefuseUrl(const char *problem, GucSource source)
{
	if (source == PGC_S_DYNAMIC_DEFAULT)
		environment_problem = problem;
	else if (ActivePortal == NULL)
		file_problem = problem;
	GUC_check_errdetail("Links in mails begin with this URL, and %s.", problem);
	GUC_check_errhint("Write it as in https://app.example.com.");
	return false;
}

/* Removes the blanks and line ends that .env files and mounted secrets leave around a value. */
static void
TrimInPlace(char *text)
{
	static const char blanks[] = " \t\r\n";
	char *start = text + strspn(text, blanks);
	size_t length = strlen(start);

	while (length > 0 && strchr(blanks, start[length - 1]) != NULL)
		length--;
	memmove(text, start, length);
	text[length] = '\0';
}

/*
 * A check hook: refuses a URL that links cannot begin with. Removes blanks around the value and
 * slashes at its end, so that a path can follow it.
 */
static bool
CheckFrontendUrl(char **newval, void **extra, GucSource source)
{
	char *url = *newval ? *newval : "";
	size_t length;
	const char *problem = NULL;

	if (*url != '\0')
		TrimInPlace(url);
	length = strlen(url);
	while (length > strlen("https://") && url[length - 1] == '/')
		url[--length] = '\0';
	if (length > 0)
		problem = UrlProblem(url);
	if (problem != NULL)
		return RefuseUrl(problem, source);

	/*
	 * Refuse plain http in a statement only. Elsewhere, allow_http_links may still be read after
	 * this setting.
	 */
	if (ActivePortal != NULL && IsPlain(url) && !allow_http_links)
	{
		GUC_check_errdetail(LINKS_ARE_HTTPS);
		GUC_check_errhint("Write it as in https://app.example.com. For an intranet, set "
						  "rhesis_notify.allow_http_links first, in this session too.");
		return false;
	}
	if (ActivePortal == NULL && source != PGC_S_DYNAMIC_DEFAULT)
		file_problem = NULL;
	return true;
}

void
DefineLinkSettings(void)
{
	DefineCustomStringVariable(
		"rhesis_notify.frontend_url",
		"Where the application's pages are (environment: FRONTEND_URL): https, or http for "
		"localhost; a port and a path may follow. Links in mails begin with it. Empty: mails "
		"have no links.",
		"Other http URLs need rhesis_notify.allow_http_links.", &frontend_url,
		EnvironmentDefault("FRONTEND_URL", "", CheckFrontendUrl), PGC_SUSET, 0, CheckFrontendUrl,
		NULL, NULL);
	DefineCustomBoolVariable(
		"rhesis_notify.allow_http_links",
		"Allows plain http in rhesis_notify.frontend_url for hosts other than localhost, as "
		"in an intranet. Off: with such a URL, mails have no links.",
		NULL, &allow_http_links, false, PGC_SUSET, 0, NULL, NULL, NULL);
}

const char *
PlainFrontendUrl(void)
{
	return IsSet(frontend_url) && !allow_http_links && IsPlain(frontend_url) ? frontend_url : NULL;
}

const char *
FrontendUrl(void)
{
	return IsSet(frontend_url) && PlainFrontendUrl() == NULL ? frontend_url : "";
}

const char *
LinksProblem(bool *was_refused)
{
	*was_refused = true;
	if (*FrontendUrl() != '\0')
		return NULL;
	if (PlainFrontendUrl())
		return psprintf("rhesis_notify.frontend_url is %s, and links are https, unless "
						"rhesis_notify.allow_http_links is on",
						frontend_url);
	if (file_problem)
		return psprintf("the value of rhesis_notify.frontend_url was refused, since %s",
						file_problem);
	if (environment_problem)
		return psprintf("the environment's FRONTEND_URL was refused, since %s",
						environment_problem);
	*was_refused = false;
	return "rhesis_notify.frontend_url (environment: FRONTEND_URL) is not set";
}
