/*
 * blank_body.c - tells whether a mail's body shows anything.
 *
 * A template whose only variable does not exist renders to nothing, or to tags with nothing in
 * them. Nobody wants that mail. When in doubt, a body is not blank. The first letter that is shown
 * ends the search.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <ctype.h>

#include "base/utf8.h"
#include "mail/blank_body.h"

/* Entities in HTML that show nothing. EntityLength() knows their numeric forms. */
static const char *const invisible_entities[] = {
	"&nbsp;",
	"&ensp;",
	"&emsp;",
	"&emsp13;",
	"&emsp14;",
	"&numsp;",
	"&puncsp;",
	"&thinsp;",
	"&hairsp;",
	"&zwnj;",
	"&zwj;",
	"&shy;",
	"&lrm;",
	"&rlm;",
	"&ZeroWidthSpace;",
	"&NonBreakingSpace;",
	"&NoBreak;",
	"&Tab;",
	"&NewLine;",
	NULL,
};

/* Elements whose content is not shown in the mail. */
static const char *const hidden_elements[] = {"head", "style", "script", "title", "template", NULL};

/* A layout may have its content in the head, outside of the elements in it that are hidden. */
static const char *const head_element[] = {"head", NULL};

/* Tags that show something by themselves. */
static const char *const shown_tags[] = {"img",	  "svg",   "video",	 "object", "iframe",
										 "embed", "input", "canvas", NULL};

/* Returns the length of the entry in the list that the text begins with; 0 if there is none. */
static int
PrefixLength(const char *text, const char *const *list)
{
	for (; *list != NULL; list++)
	{
		int length = strlen(*list);

		if (strncmp(text, *list, length) == 0)
			return length;
	}
	return 0;
}

/*
 * Returns the entry in the list that is the tag's name, which begins at name; NULL if there is
 * none.
 */
static const char *
TagName(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
	{
		int length;

		/* The bit makes a letter lower case. This cheap test excludes most names. */
		if ((name[0] | 0x20) != (*list)[0])
			continue;
		length = strlen(*list);
		if (pg_strncasecmp(name, *list, length) == 0 &&
			!((name[length] >= 'a' && name[length] <= 'z') ||
			  (name[length] >= 'A' && name[length] <= 'Z') || name[length] == '-'))
			return *list;
	}
	return NULL;
}

/*
 * Returns the end of the element whose opening tag, of this name, begins at p; NULL if it is not
 * closed.
 */
static const char *
SkipElement(const char *p, const char *name)
{
	int length = strlen(name);

	while ((p = strchr(p + 1, '<')) != NULL)
	{
		if (p[1] == '/' && pg_strncasecmp(p + 2, name, length) == 0)
			break;
	}
	p = p != NULL ? strchr(p, '>') : NULL;
	return p != NULL ? p + 1 : NULL;
}

/*
 * Returns the end of the comment or tag at p; NULL if it is not closed. An element whose content is
 * not shown is skipped whole.
 */
static const char *
SkipTag(const char *p)
{
	const char *hidden;
	const char *end;

	if (strncmp(p, "<!--", 4) == 0)
	{
		end = strstr(p + 4, "-->");
		return end != NULL ? end + 3 : NULL;
	}
	hidden = TagName(p + 1, hidden_elements);
	if (hidden != NULL)
		return SkipElement(p, hidden);
	end = strchr(p, '>');
	return end != NULL ? end + 1 : NULL;
}

static bool
BeginsTag(const char *p)
{
	return p[0] == '<' && (p[1] == '/' || p[1] == '!' || p[1] == '?' ||
						   (p[1] >= 'a' && p[1] <= 'z') || (p[1] >= 'A' && p[1] <= 'Z'));
}

/*
 * Returns the length of the character at p if it shows nothing; 0 if it shows something or is not
 * valid UTF-8.
 */
static int
BlankLength(const char *p, const char *end)
{
	int length = Utf8CharLength(p, end);

	return length > 0 && IsBlankCharacter(utf8_to_unicode((const unsigned char *) p)) ? length : 0;
}

/* Returns the length of the entity at p (such as &zwnj; or &#8203;) if it shows nothing; else 0. */
static int
EntityLength(const char *p)
{
	bool is_hex = p[1] == '#' && (p[2] == 'x' || p[2] == 'X');
	const char *digits = p + (is_hex ? 3 : 2);
	char *end;
	unsigned long code;

	if (p[1] != '#')
		return PrefixLength(p, invisible_entities);
	if (!(is_hex ? isxdigit((unsigned char) *digits) : isdigit((unsigned char) *digits)))
		return 0;
	code = strtoul(digits, &end, is_hex ? 16 : 10);
	return *end == ';' && code <= 0x10FFFF && IsBlankCharacter((pg_wchar) code) ? end + 1 - p : 0;
}

bool
TextIsBlank(const char *text)
{
	const char *end = text + strlen(text);

	while (text < end)
	{
		int length = BlankLength(text, end);

		if (length == 0)
			return false;
		text += length;
	}
	return true;
}

bool
HtmlIsBlank(const char *html)
{
	const char *end = html + strlen(html);
	const char *p = html;

	while (p != NULL && *p != '\0')
	{
		int length;

		if (BeginsTag(p))
		{
			if (TagName(p + 1, shown_tags) != NULL)
				return false;
			p = SkipTag(p);
			continue;
		}
		length = *p == '&' ? EntityLength(p) : BlankLength(p, end);
		if (length == 0)
			return false;
		p += length;
	}
	return true;
}

bool
HtmlHidesPlace(const char *html, const char *place)
{
	const char *p = html;

	while (p < place)
	{
		if (strncmp(p, "{{", 2) == 0)
			p = strstr(p, "}}");
		else if (BeginsTag(p) && TagName(p + 1, head_element) == NULL)
			p = SkipTag(p);
		else
			p++;
		if (p == NULL || p > place)
			return true;
	}
	return false;
}
