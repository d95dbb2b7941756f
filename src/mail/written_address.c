/*
 * written_address.c - turns an address as people wrote it into the one that mail goes to: trimmed,
 * its domain in ASCII.
 *
 * This file must never find an address in a text that has something else in it, and never change an
 * address into another one. So it trims only the ends of the text, and AddressProblem() judges the
 * result.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <curl/curl.h>
#include <locale.h>

#include "base/ascii.h"
#include "base/compat.h"
#include "base/utf8.h"
#include "mail/mailbox.h"
#include "mail/written_address.h"

/*
 * A longer text is not an address. The limit is above that for addresses, because a domain can be
 * longer in UTF-8 than in its IDNA form.
 */
#define MAX_WRITTEN 1024

#define SMTPUTF8_PROBLEM \
	"the part before the @ has a character beyond ASCII, which needs SMTPUTF8: it is not supported"
#define NO_IDN_PROBLEM \
	"the domain has a character beyond ASCII, and this libcurl was built without IDN: write it as xn--..."
#define IDN_PROBLEM "the domain has a character beyond ASCII and no IDNA form"
#define ENCODING_PROBLEM "it has bytes that are no character"

/* Returns how many bytes of blanks the text begins with. */
static size_t
BlanksAtStart(const char *text, const char *end)
{
	const char *p = text;

	while (p < end)
	{
		int length = Utf8CharLength(p, end);

		if (length == 0 || !IsBlankCharacter(utf8_to_unicode((const unsigned char *) p)))
			break;
		p += length;
	}
	return p - text;
}

/* Returns where the blanks at the end of the text begin. */
static const char *
BlanksAtEnd(const char *text, const char *end)
{
	while (end > text)
	{
		const char *last = end - 1;

		while (last > text && ((unsigned char) *last & 0xC0) == 0x80)
			last--;
		if (BlanksAtStart(last, end) != (size_t) (end - last))
			break;
		end = last;
	}
	return end;
}

bool
IsOnlyBlanks(const char *text, size_t length)
{
	return BlanksAtStart(text, text + length) == length;
}

static bool
IsAscii(const char *text, const char *end)
{
	while (text < end && !IS_HIGHBIT_SET(*text))
		text++;
	return text == end;
}

/*
 * Returns what is wrong with the domain, or NULL. libcurl must get only valid UTF-8 without
 * delimiters of a URL.
 */
static const char *
WrittenDomainProblem(const char *domain, const char *end)
{
	while (domain < end)
	{
		int length = Utf8CharLength(domain, end);

		if (length == 0)
			return ENCODING_PROBLEM;
		if (length == 1 && !IsAsciiLetter(*domain) && !IsAsciiDigit(*domain) && *domain != '-' &&
			*domain != '.')
			return "the domain has a character other than letters, digits, hyphens and dots";
		domain += length;
	}
	return NULL;
}

/* Returns the domain's ASCII form, for curl_free(); NULL if libcurl has none. */
static char *
AskLibcurl(const char *domain)
{
	char *ascii = NULL;
#ifdef CURLU_PUNYCODE
	CURLU *url = curl_url();

	if (url == NULL)
		return NULL;
	if (curl_url_set(url, CURLUPART_HOST, domain, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_HOST, &ascii, CURLU_PUNYCODE) != CURLUE_OK)
	{
		/* libcurl 7.88 returns the name unchanged if it has no IDNA form. */
		curl_free(ascii);
		ascii = NULL;
	}
	curl_url_cleanup(url);
#endif
	return ascii;
}

/*
 * As AskLibcurl(), but in a UTF-8 locale: libcurl and libidn2 take text to be in the locale's
 * encoding. Sets this thread's locale during the call, whatever the database's encoding is. Returns
 * NULL also if the system has no UTF-8 locale.
 */
static char *
AskLibcurlInUtf8(const char *domain)
{
	static const char *const names[] = {"C.UTF-8", "C.utf8", "en_US.UTF-8"};
	locale_t utf8 = (locale_t) 0;
	locale_t before;
	char *ascii;

	for (int i = 0; i < (int) lengthof(names) && utf8 == (locale_t) 0; i++)
		utf8 = newlocale(LC_CTYPE_MASK, names[i], (locale_t) 0);
	if (utf8 == (locale_t) 0)
		return NULL;
	before = uselocale(utf8);
	ascii = AskLibcurl(domain);
	uselocale(before);
	freelocale(utf8);
	return ascii;
}

static bool
KnowsIdn(void)
{
#ifdef CURLU_PUNYCODE
	return (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_IDN) != 0;
#else
	return false;
#endif
}

char *
DomainInAscii(const char *domain, size_t length, const char **problem)
{
	const char *end = domain + length;
	char *ascii;
	char *result;

	*problem = NULL;
	if (IsAscii(domain, end))
		return pnstrdup(domain, length);
	*problem =
		length > MAX_WRITTEN ? "it is longer than 254 bytes" : WrittenDomainProblem(domain, end);
	if (*problem == NULL && !KnowsIdn())
		*problem = NO_IDN_PROBLEM;
	if (*problem != NULL)
		return NULL;

	result = pnstrdup(domain, length);
	ascii = AskLibcurlInUtf8(result);
	if (ascii == NULL || !IsAscii(ascii, ascii + strlen(ascii)))
	{
		curl_free(ascii);
		*problem = IDN_PROBLEM;
		return NULL;
	}
	result = pstrdup(ascii);
	curl_free(ascii);
	return result;
}

/* Returns where the domain begins, after the last '@'; NULL if there is none. */
static const char *
FindDomain(const char *text, const char *end)
{
	while (end > text && end[-1] != '@')
		end--;
	return end > text ? end : NULL;
}

char *
ReadWrittenAddress(const char *text, size_t length, const char **problem)
{
	const char *end = text + length;
	const char *domain;
	char *ascii_domain;
	char *address;

	text += BlanksAtStart(text, end);
	end = BlanksAtEnd(text, end);
	domain = FindDomain(text, end);
	if (domain == NULL)
		address = pnstrdup(text, end - text);
	else if (!IsAscii(text, domain))
	{
		*problem = SMTPUTF8_PROBLEM;
		return NULL;
	}
	else
	{
		ascii_domain = DomainInAscii(domain, end - domain, problem);
		if (ascii_domain == NULL)
			return NULL;
		address = psprintf("%.*s%s", (int) Min(domain - text, MAX_WRITTEN), text, ascii_domain);
	}
	*problem = domain != NULL || end > text ? AddressProblem(address) : "it is empty";
	return *problem == NULL ? address : NULL;
}

bool
ReadWrittenMailbox(const char *text, Mailbox *mailbox, const char **problem)
{
	if (!SplitMailbox(text, mailbox, problem))
		return false;
	mailbox->address = ReadWrittenAddress(mailbox->address, strlen(mailbox->address), problem);
	return mailbox->address != NULL;
}
