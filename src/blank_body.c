/*
 * blank_body.c - does a mail's body show anything?
 *
 * A template whose only variable does not exist renders to nothing, or to tags around nothing: nobody wants that mail. When in
 * doubt, a body is not blank: the first letter that is shown ends the search.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "blank_body.h"

/* Characters that show nothing, as UTF-8 and as what HTML calls them. */
static const char *const invisible[] = {
	" ",
	"\t",
	"\n",
	"\r",
	"\v",
	"\f",
	"\xC2\xA0",
	"\xC2\xAD",
	"\xCD\x8F",
	"\xE1\x9A\x80",
	"\xE1\xA0\x8E",
	"\xE2\x80\x80",
	"\xE2\x80\x81",
	"\xE2\x80\x82",
	"\xE2\x80\x83",
	"\xE2\x80\x84",
	"\xE2\x80\x85",
	"\xE2\x80\x86",
	"\xE2\x80\x87",
	"\xE2\x80\x88",
	"\xE2\x80\x89",
	"\xE2\x80\x8A",
	"\xE2\x80\x8B",
	"\xE2\x80\x8C",
	"\xE2\x80\x8D",
	"\xE2\x80\x8E",
	"\xE2\x80\x8F",
	"\xE2\x80\xA8",
	"\xE2\x80\xA9",
	"\xE2\x80\xAF",
	"\xE2\x81\x9F",
	"\xE2\x81\xA0",
	"\xE3\x80\x80",
	"\xEF\xBB\xBF",
	"\xE3\x85\xA4",
	NULL,
};
static const char *const invisible_entities[] = {
	"&nbsp;", "&ensp;", "&emsp;",  "&thinsp;", "&zwnj;", "&zwj;",  "&shy;",
	"&lrm;",  "&rlm;",	"&#8203;", "&#847;",   "&#160;", "&#xa0;", "&#xA0;",
	"&#32;",  "&#10;",	"&#13;",   "&#9;",	   NULL,
};

/* Elements whose content is not shown in the mail. */
static const char *const hidden_elements[] = {"head", "style", "script", "title", NULL};

/* Tags that show something by themselves. */
static const char *const shown_tags[] = {"img",	  "svg",   "video",	 "object", "iframe",
										 "embed", "input", "canvas", NULL};

/* The length of the prefix that is in the list; 0: none is. */
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

/* The name in the list that the tag at "<" or "</" begins with; NULL: none. */
static const char *
TagName(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
	{
		int length = strlen(*list);

		if (pg_strncasecmp(name, *list, length) == 0 &&
			!((name[length] >= 'a' && name[length] <= 'z') ||
			  (name[length] >= 'A' && name[length] <= 'Z') || name[length] == '-'))
			return *list;
	}
	return NULL;
}

/* What is behind the element whose opening tag begins at p; the end of the text where it is not closed. */
static const char *
SkipElement(const char *p, const char *name)
{
	int length = strlen(name);

	while ((p = strstr(p, "</")) != NULL)
	{
		p += 2;
		if (pg_strncasecmp(p, name, length) == 0)
			break;
	}
	p = p != NULL ? strchr(p, '>') : NULL;
	return p != NULL ? p + 1 : NULL;
}

/* What is behind the comment or tag at p; NULL: nothing is. */
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

bool
TextIsBlank(const char *text)
{
	int length;

	while (*text != '\0')
	{
		length = PrefixLength(text, invisible);
		if (length == 0)
			return false;
		text += length;
	}
	return true;
}

bool
HtmlIsBlank(const char *html)
{
	const char *p = html;
	int length;

	while (p != NULL && *p != '\0')
	{
		if (BeginsTag(p))
		{
			if (TagName(p + 1, shown_tags) != NULL)
				return false;
			p = SkipTag(p);
			continue;
		}
		length = PrefixLength(p, *p == '&' ? invisible_entities : invisible);
		if (length == 0)
			return false;
		p += length;
	}
	return true;
}
