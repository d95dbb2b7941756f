/* blank_body_test.c - the bodies of mails that show nothing. */
#include "postgres_fe.h"

#include "arena.h"
#include "mail/blank_body.h"
#include "tap.h"

static void
CheckHtml(void)
{
	static const char *const blank[] = {
		"",
		" \r\n\t",
		"<p></p>",
		"<p>&nbsp;</p>",
		"<p>\xC2\xA0&zwnj;</p>",
		"<!-- text -->",
		"<!--",
		"<p",
		"<style>p { color: red }</style>",
		"<!DOCTYPE html><html><head><title>x</title></head><body></body></html>",
		"<TITLE>x</TITLE>",
		"<script>x",
		"<br/>",
		"<a href=\"x\"></a>",
		"<?xml?>",
		"&#8203;&#x200B;&#x200b;&#X200C;&ensp;&hairsp;&ZeroWidthSpace;",
		"&#160;&#xA0;&#32;&#9;",
		"\xE2\xA0\x80\xE3\x85\xA4\xE2\x80\xAE\xE1\x85\x9F",
		"<template>x</template>",
	};
	static const char *const shown[] = {
		"x",
		"<p>0</p>",
		"<img src=x>",
		"<IMG>",
		"a < b",
		"<",
		"<3",
		"&amp;",
		"&nbsp",
		"&#65;",
		"&#x41;",
		"&#;",
		"&#x;",
		"&#160",
		"&#99999999999999999999;",
		"&#-160;",
		"&",
		"<header>x</header>",
		"<title>a</title>b",
		"<!-- a -->b",
		"<style></style>.",
		"<svg></svg>",
		"\xE2\x80",
		"\xF0\x9F\x8E\x89",
		"{{x}}",
		"<headline>x",
	};

	for (int i = 0; i < (int) lengthof(blank); i++)
		ok(HtmlIsBlank(blank[i]), "HTML %d is blank", i);
	for (int i = 0; i < (int) lengthof(shown); i++)
		ok(!HtmlIsBlank(shown[i]), "HTML %d shows something", i);
}

static void
CheckText(void)
{
	ok(TextIsBlank(""), "no text");
	ok(TextIsBlank(" \n\xC2\xA0\xE2\x80\x8B\xEF\xBB\xBF\r\t"), "white space of all kinds");
	ok(!TextIsBlank("\n."), "a full stop");
	ok(!TextIsBlank("&nbsp;"), "an entity is text there");
	ok(!TextIsBlank("\xE2"), "half a character");
}

/* Each source has a place that it hides, and then one that it shows. */
static void
CheckPlaces(void)
{
	static const char *const sources[] = {
		"<header class='{{hidden}}'>{{shown}}</header>",
		"<head><title>{{hidden}}</title>{{shown}}</head>",
		"<head lang='x'><style>{{hidden}}</style></head>{{shown}}",
		"<headline {{hidden}}>{{shown}}",
		"<!-- {{hidden}} --><p>{{shown}}</p>",
		"<STYLE>{{hidden}}</STYLE>{{shown}}",
	};

	for (int i = 0; i < (int) lengthof(sources); i++)
	{
		ok(HtmlHidesPlace(sources[i], strstr(sources[i], "{{hidden")), "HTML %d hides a place", i);
		ok(!HtmlHidesPlace(sources[i], strstr(sources[i], "{{shown")), "HTML %d shows a place", i);
	}
}

int
main(void)
{
	CheckHtml();
	CheckPlaces();
	CheckText();
	ArenaReset();
	return done_testing();
}
