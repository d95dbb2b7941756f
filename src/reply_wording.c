/*
 * reply_wording.c - what the text of a server's reply says, where its codes do not say it.
 *
 * Knows words, not policy: which wording means what is in outcome.c.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <ctype.h>

#include "reply_wording.h"

/* Where the phrase begins in the text, in any case; NULL: nowhere. */
static const char *
FindPhrase(const char *text, const char *phrase, size_t length)
{
	for (; *text; text++)
	{
		if (pg_strncasecmp(text, phrase, length) == 0)
			return text;
	}
	return NULL;
}

bool
HasWording(const char *text, const char *phrases)
{
	while (*phrases)
	{
		size_t length = strcspn(phrases, "|");

		if (FindPhrase(text, phrases, length) != NULL)
			return true;
		phrases += length + (phrases[length] == '|');
	}
	return false;
}

/* Can this be a part of an address or a domain, so that what stands next to it is not the whole? */
static bool
IsAddressChar(char c)
{
	return c != '\0' && (isalnum((unsigned char) c) || strchr("@.-_+\"", c) != NULL);
}

/* Does the text contain this name, and not only as a part of a longer one? */
static bool
NamesExactly(const char *text, const char *name)
{
	size_t length = strlen(name);
	const char *at = text;

	while (length > 0 && (at = FindPhrase(at, name, length)) != NULL)
	{
		const char *behind = at + length;

		if (*behind == '.' && !IsAddressChar(behind[1]))
			behind++; /* the end of a sentence */
		if ((at == text || !IsAddressChar(at[-1])) && !IsAddressChar(*behind))
			return true;
		at++;
	}
	return false;
}

bool
NamesSender(const char *text, const char *sender)
{
	const char *at;

	if (sender == NULL)
		return false;
	at = strrchr(sender, '@');
	return NamesExactly(text, sender) || (at != NULL && NamesExactly(text, at + 1));
}

static bool
IsDigit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads digits; what would overflow stays at a large number. */
static int
ReadNumber(const char **p)
{
	int number = 0;

	for (; IsDigit(**p); (*p)++)
		number = Min(number * 10 + (**p - '0'), MAX_NAMED_DELAY);
	return number;
}

/* The seconds in the unit that a text begins with; 0 if it begins with none. */
static int
UnitSeconds(const char *text)
{
	static const struct
	{
		const char *names;
		int seconds;
	} units[] = {
		{" s sec secs second seconds ", 1},
		{" m min mins minute minutes ", 60},
		{" h hr hrs hour hours ", 3600},
	};
	char word[16];
	size_t length = 0;

	word[length++] = ' ';
	while (length < sizeof(word) - 2 && isalpha((unsigned char) *text))
		word[length++] = *text++;
	word[length++] = ' ';
	for (int i = 0; length > 2 && i < (int) lengthof(units); i++)
	{
		if (FindPhrase(units[i].names, word, length) != NULL)
			return units[i].seconds;
	}
	return 0;
}

/* Reads "300 seconds", "5min" or "00:05:00"; 0 if the text begins with nothing of the kind. */
static int
ReadDuration(const char *text)
{
	int number;

	if (!IsDigit(*text))
		return 0;
	number = ReadNumber(&text);
	if (text[0] == ':' && IsDigit(text[1]) && IsDigit(text[2]) && text[3] == ':' &&
		IsDigit(text[4]) && IsDigit(text[5]))
		return Min(number * 3600.0 + atoi(text + 1) * 60 + atoi(text + 4), MAX_NAMED_DELAY);
	while (*text == ' ')
		text++;
	return Min((double) number * UnitSeconds(text), MAX_NAMED_DELAY);
}

int
NamedDelaySeconds(const char *text)
{
	static const char *const verbs[] = {"again",	"retry",	  "wait",	"come back",
										"greylist", "be enabled", "delayed"};
	static const char *const before[] = {"in ", "after ", "for ", "wait "};
	const char *from = NULL;

	for (int i = 0; i < (int) lengthof(verbs); i++)
	{
		const char *verb = FindPhrase(text, verbs[i], strlen(verbs[i]));

		if (verb != NULL && (from == NULL || verb < from))
			from = verb;
	}
	for (; from != NULL && *from; from++)
	{
		for (int i = 0; i < (int) lengthof(before); i++)
		{
			size_t length = strlen(before[i]);

			if (pg_strncasecmp(from, before[i], length) == 0 && ReadDuration(from + length) > 0)
				return ReadDuration(from + length);
		}
	}
	return 0;
}
