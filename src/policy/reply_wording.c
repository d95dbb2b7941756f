/*
 * reply_wording.c - reads the text of a reply whose codes do not say enough
 *
 * The rules in outcome_rules.c say which words mean what.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "base/ascii.h"
#include "policy/reply_wording.h"

/* A ".." in a phrase stands for up to this many words. */
#define MOST_WORDS_BETWEEN 5

/*
 * Returns where the first length bytes of wanted begin in the text, in upper or lower case; NULL if
 * they are not there.
 */
static const char *
FindText(const char *text, const char *wanted, size_t length)
{
	for (; *text; text++)
	{
		if (BeginsAlike(text, wanted, length))
			return text;
	}
	return NULL;
}

/* Returns the length in bytes of the blank that the text begins with; 0 if it begins with none. */
static size_t
BlankLength(const char *text)
{
	if (*text == ' ' || *text == '\t')
		return 1;
	return text[0] == '\xC2' && text[1] == '\xA0' ? 2 : 0;
}

static const char *
SkipBlanks(const char *text)
{
	while (BlankLength(text) > 0)
		text += BlankLength(text);
	return text;
}

static const char *
SkipWord(const char *text)
{
	while (*text && BlankLength(text) == 0)
		text++;
	return text;
}

/*
 * Matches the phrase at the start of the text. Returns the end of the match; NULL if it does not
 * match. A space of the phrase matches any number of blanks, a hyphen ("fully-qualified") or an
 * underscore. *blanks is set to true if the match has a blank.
 */
static const char *
MatchPhrase(const char *text, const char *phrase, const char *phrase_end, bool *blanks)
{
	while (phrase < phrase_end)
	{
		if (phrase_end - phrase > 3 && strncmp(phrase, " .. ", 4) == 0)
		{
			/* "recipient .." does not match "recipients". */
			if (IsAsciiLetter(*text))
				return NULL;
			text = SkipBlanks(text);
			for (int words = 0; *text && words <= MOST_WORDS_BETWEEN; words++)
			{
				bool ignored;
				const char *end = MatchPhrase(text, phrase + 4, phrase_end, &ignored);

				*blanks = true;
				if (end != NULL)
					return end;
				text = SkipBlanks(SkipWord(text));
			}
			return NULL;
		}
		if (*phrase == ' ' && BlankLength(text) > 0)
		{
			text = SkipBlanks(text);
			*blanks = true;
		}
		else if (*phrase == ' ' ? (*text == '-' || *text == '_') : AsciiLower(*text) == *phrase)
			text++;
		else
			return NULL;
		phrase++;
	}
	return text;
}

/* Returns true if the words of the text from start to end have a part of an address. */
static bool
TouchesAddress(const char *text, const char *start, const char *end)
{
	while (start > text && start[-1] != ' ')
		start--;
	for (; start < end || (*start && *start != ' '); start++)
	{
		if (*start == '@' || *start == '<')
			return true;
	}
	return false;
}

static bool
HasPhrase(const char *text, const char *text_end, const char *phrase, const char *phrase_end)
{
	bool spaced = memchr(phrase, ' ', phrase_end - phrase) != NULL;

	for (const char *at = text; at < text_end; at++)
	{
		bool blanks = false;
		const char *end;

		/* This is fast: most places differ in the first letter. */
		if (AsciiLower(*at) != *phrase)
			continue;
		end = MatchPhrase(at, phrase, phrase_end, &blanks);
		if (end != NULL && end <= text_end && blanks == spaced && !TouchesAddress(text, at, end))
			return true;
	}
	return false;
}

/*
 * Returns where the server begins to quote another server; the end of the text if it quotes
 * nothing. The quoted words are about one recipient.
 */
static const char *
OwnWordsEnd(const char *text)
{
	static const char *const quotes[] = {
		" said:", " replied:", " responded:", "response:", "remote server returned"};
	const char *end = text + strlen(text);

	for (int i = 0; i < (int) lengthof(quotes); i++)
	{
		const char *quote = FindText(text, quotes[i], strlen(quotes[i]));

		if (quote != NULL)
			end = Min(end, quote);
	}
	return end;
}

bool
HasWording(const char *text, const char *phrases)
{
	const char *text_end = OwnWordsEnd(text);

	while (*phrases)
	{
		const char *phrase_end = phrases + strcspn(phrases, "|");

		if (HasPhrase(text, text_end, phrases, phrase_end))
			return true;
		phrases = phrase_end + (*phrase_end == '|');
	}
	return false;
}

/* Returns true if c can be a part of an address or a domain. */
static bool
IsAddressChar(char c)
{
	return c != '\0' && (IsAsciiLetter(c) || IsAsciiDigit(c) || strchr("@.-_+\"", c) != NULL);
}

/* Returns true if the text has this name as a whole, not only as a part of a longer name. */
static bool
NamesExactly(const char *text, const char *name)
{
	size_t length = strlen(name);
	const char *at = text;

	while (length > 0 && (at = FindText(at, name, length)) != NULL)
	{
		const char *after = at + length;

		if (*after == '.' && !IsAddressChar(after[1]))
			after++; /* the end of a sentence */
		if ((at == text || !IsAddressChar(at[-1])) && !IsAddressChar(*after))
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

/*
 * Reads digits from *p on, and moves *p after them. A number that is too large becomes
 * MAX_NAMED_DELAY.
 */
static int
ReadNumber(const char **p)
{
	int number = 0;

	for (; IsAsciiDigit(**p); (*p)++)
		number = Min(number * 10 + (**p - '0'), MAX_NAMED_DELAY);
	return number;
}

/* Returns the seconds in the unit that the text begins with; 0 if it begins with none. */
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
	while (length < sizeof(word) - 2 && IsAsciiLetter(*text))
		word[length++] = *text++;
	word[length++] = ' ';
	for (int i = 0; length > 2 && i < (int) lengthof(units); i++)
	{
		if (FindText(units[i].names, word, length) != NULL)
			return units[i].seconds;
	}
	return 0;
}

/*
 * Returns the seconds of "300 seconds", "5min" or "00:05:00"; 0 if the text begins with no
 * duration.
 */
static int
ReadDuration(const char *text)
{
	int number;

	if (!IsAsciiDigit(*text))
		return 0;
	number = ReadNumber(&text);
	if (text[0] == ':' && IsAsciiDigit(text[1]) && IsAsciiDigit(text[2]) && text[3] == ':' &&
		IsAsciiDigit(text[4]) && IsAsciiDigit(text[5]))
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
		const char *verb = FindText(text, verbs[i], strlen(verbs[i]));

		if (verb != NULL && (from == NULL || verb < from))
			from = verb;
	}
	for (; from != NULL && *from; from++)
	{
		for (int i = 0; i < (int) lengthof(before); i++)
		{
			size_t length = strlen(before[i]);

			if (BeginsAlike(from, before[i], length) && ReadDuration(from + length) > 0)
				return ReadDuration(from + length);
		}
	}
	return 0;
}
