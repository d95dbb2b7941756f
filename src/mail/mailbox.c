/*
 * mailbox.c - mail addresses: which ones we send to, and "Name" <address> as settings write them.
 *
 * An address that is valid here can follow RCPT TO, and stand in a header, as it is: it has no byte
 * that could end the command, the line or the address. Never accept more than mailbox.h says.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "mail/mailbox.h"

#define MAX_ADDRESS 254
#define MAX_LOCAL_PART 64
#define MAX_LABEL 63

/* RFC 5322 atext: the characters, besides dots, that a local part may have without quotes. */
static bool
IsAtomChar(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		   (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static const char *
DotAtomProblem(const char *start, const char *end)
{
	bool after_dot = true;

	for (const char *p = start; p < end; p++)
	{
		if (*p == '.' && after_dot)
			return "a dot begins the part before the @ or follows another dot";
		if (*p != '.' && !IsAtomChar((unsigned char) *p))
			return "a character is not allowed without quotes";
		after_dot = (*p == '.');
	}
	return after_dot ? "the part before the @ is empty or ends with a dot" : NULL;
}

/*
 * Returns true if the text from start to end, which is between quotes, is one quoted string. A
 * backslash makes the next character an ordinary one.
 */
static bool
QuotesMatch(const char *start, const char *end)
{
	for (const char *p = start; p < end; p++)
	{
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == '"' || *p == '\\')
			return false;
	}
	return true;
}

static const char *
LocalPartProblem(const char *start, const char *end)
{
	if (end - start > MAX_LOCAL_PART)
		return "the part before the @ is longer than 64 bytes";
	if (end - start >= 2 && start[0] == '"' && end[-1] == '"')
	{
		if (end - start == 2)
			return "the part before the @ is empty";
		return QuotesMatch(start + 1, end - 1) ? NULL : "the quotes before the @ do not match";
	}
	return DotAtomProblem(start, end);
}

static const char *
DomainProblem(const char *domain)
{
	const char *label = domain;
	bool all_digits = true;

	for (const char *p = domain;; p++)
	{
		if (*p == '.' || *p == '\0')
		{
			if (p == label)
				return "the domain is empty or has an empty label";
			if (p - label > MAX_LABEL)
				return "a label of the domain is longer than 63 bytes";
			if (label[0] == '-' || p[-1] == '-')
				return "a label of the domain begins or ends with a hyphen";
			if (*p == '\0')
				return all_digits ? "the last label of the domain is a number" : NULL;
			label = p + 1;
			all_digits = true;
		}
		else if (!(*p >= '0' && *p <= '9'))
		{
			if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '-'))
				return "the domain has a character other than letters, digits, hyphens and dots";
			all_digits = false;
		}
	}
}

const char *
AddressProblem(const char *address)
{
	const char *at;
	const char *problem;

	if (strnlen(address, MAX_ADDRESS + 1) > MAX_ADDRESS)
		return "it is longer than 254 bytes";
	if (strpbrk(address, "<>") != NULL)
		return "it has an angle bracket";
	if (strchr(address, '@') != strrchr(address, '@') && strpbrk(address, ",;") != NULL &&
		address[0] != '"')
		return "it is more than one address";
	for (const char *p = address; *p; p++)
	{
		if (IS_HIGHBIT_SET(*p))
			return "it has a character beyond ASCII";
		if (*p <= ' ' || *p == '\x7F')
			return "it has a space or a control character";
	}
	if (strstr(address, "=?") != NULL)
		return "it looks like an encoded word";
	at = strrchr(address, '@');
	if (at == NULL)
		return "it has no @";
	problem = LocalPartProblem(address, at);
	return problem != NULL ? problem : DomainProblem(at + 1);
}

bool
IsValidAddress(const char *address)
{
	return AddressProblem(address) == NULL;
}

bool
IsValidDomain(const char *domain)
{
	return strnlen(domain, MAX_ADDRESS + 1) <= MAX_ADDRESS && DomainProblem(domain) == NULL;
}

const char *
AddressDomain(const char *address)
{
	const char *at = strrchr(address, '@');

	return at != NULL ? at + 1 : address;
}

static bool
IsBlank(char c)
{
	return c == ' ' || c == '\t';
}

/* Removes the blanks at both ends. */
static void
Trim(const char **start, const char **end)
{
	while (*start < *end && IsBlank(**start))
		(*start)++;
	while (*end > *start && IsBlank((*end)[-1]))
		(*end)--;
}

/* Returns the display name before an address, a quoted string or words; NULL if it is neither. */
static char *
ReadDisplayName(const char *start, const char *end)
{
	bool quoted;
	char *name;
	char *to;

	Trim(&start, &end);
	quoted = (start < end && *start == '"');
	if (quoted)
	{
		if (end - start < 2 || end[-1] != '"' || !QuotesMatch(start + 1, end - 1))
			return NULL;
		start++;
		end--;
	}

	name = to = palloc(end - start + 1);
	for (const char *p = start; p < end; p++)
	{
		if (!quoted && *p == '<')
			return NULL;
		if (quoted && *p == '\\' && p + 1 < end)
			p++;
		*to++ = *p;
	}
	*to = '\0';
	return name;
}

bool
SplitMailbox(const char *text, Mailbox *mailbox, const char **problem)
{
	const char *start = text;
	const char *end = text + strlen(text);
	const char *open;
	char *name;
	char *address;

	Trim(&start, &end);
	for (const char *p = start; p < end; p++)
	{
		if ((unsigned char) *p < ' ' || *p == '\x7F')
		{
			*problem = "it has a control character";
			return false;
		}
	}

	/* An address has no angle bracket, so the last '<' in the text begins the address. */
	open = end;
	if (end > start && end[-1] == '>')
	{
		while (open > start && *open != '<')
			open--;
		if (*open != '<')
		{
			*problem = "an angle bracket is closed but not opened";
			return false;
		}
		address = pnstrdup(open + 1, end - open - 2);
		name = ReadDisplayName(start, open);
	}
	else
	{
		address = pnstrdup(start, end - start);
		name = pstrdup("");
	}

	*problem = name == NULL ? "the name is not quoted as it should be" : NULL;
	if (*problem != NULL)
		return false;
	mailbox->name = name;
	mailbox->address = address;
	return true;
}

bool
ParseMailbox(const char *text, Mailbox *mailbox, const char **problem)
{
	Mailbox split;

	if (!SplitMailbox(text, &split, problem))
		return false;
	*problem = AddressProblem(split.address);
	if (*problem != NULL)
		return false;
	*mailbox = split;
	return true;
}
