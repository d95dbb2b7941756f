/* written_address_test.c - an address as people write it, and the address that the mail goes to. */
#include "postgres_fe.h"

#include "arena.h"
#include "mail/mailbox.h"
#include "mail/written_address.h"
#include "tap.h"

typedef struct Case
{
	const char *written;
	const char *expected; /* NULL: none */
	const char *problem;  /* a part of the expected problem */
} Case;

static const Case cases[] = {
	{"jane@example.com", "jane@example.com", NULL},
	{"Jane@Example.COM", "Jane@Example.COM", NULL},

	/* Blanks around it */
	{" jane@example.com", "jane@example.com", NULL},
	{"jane@example.com ", "jane@example.com", NULL},
	{"\tjane@example.com\r\n", "jane@example.com", NULL},
	{"\xC2\xA0jane@example.com\xC2\xA0", "jane@example.com", NULL},
	{"\xE2\x80\x83jane@example.com\xE3\x80\x80", "jane@example.com", NULL},
	{"\xEF\xBB\xBFjane@example.com\xE2\x80\x8B", "jane@example.com", NULL},
	{"\xE2\x80\xAAjane@example.com\xE2\x80\xAC", "jane@example.com", NULL},
	{"\xE2\x80\x8Fjane@example.com\xE2\x80\x8E", "jane@example.com", NULL},
	{"\xE2\x81\xA8jane@example.com\xE2\x81\xA9", "jane@example.com", NULL},
	{"\xC2\xADjane@example.com\xD8\x9C", "jane@example.com", NULL},
	{"\xC2\xA0 \t\xE2\x80\xA8jane@example.com\n\xC2\x85\v\f", "jane@example.com", NULL},

	/* ... and inside it */
	{"jane doe@example.com", NULL, "space"},
	{"jane@exam ple.com", NULL, "space"},
	{"jane@example.com\nbcc: all@example.com", NULL, "space"},
	{"jane@example.com\r\nRCPT TO:<eve@example.com>", NULL, "angle bracket"},
	{"jane@example.com, eve@example.com", NULL, "more than one"},
	{"jane\xC2\xA0@example.com", NULL, "SMTPUTF8"},
	{"\x01jane@example.com", NULL, "control character"},
	{"jane@example.com\x01", NULL, "control character"},

	/* Domains beyond ASCII */
	{"jane@ex\xC3\xA4mple.de", "jane@xn--exmple-cua.de", NULL},
	{"jane@EX\xC3\x84MPLE.de", "jane@xn--exmple-cua.de", NULL},
	{"jane@exa\xCC\x88mple.de", "jane@xn--exmple-cua.de", NULL},
	{" jane@b\xC3\xBC"
	 "cher.example ",
	 "jane@xn--bcher-kva.example", NULL},
	{"jane@stra\xC3\x9F"
	 "e.de",
	 "jane@xn--strae-oqa.de", NULL},
	{"jane@\xE4\xBE\x8B\xE5\xAD\x90.\xE6\xB5\x8B\xE8\xAF\x95", "jane@xn--fsqu00a.xn--0zwm56d",
	 NULL},
	{"jane@\xE4\xBE\x8B\xE5\xAD\x90\xE3\x80\x82\xE6\xB5\x8B\xE8\xAF\x95",
	 "jane@xn--fsqu00a.xn--0zwm56d", NULL},
	{"jane@xn--exmple-cua.de", "jane@xn--exmple-cua.de", NULL},
	{"jane@ex\xC3\xA4mple", "jane@xn--exmple-cua", NULL},
	{"jane@\xF0\x9F\x98\x80.example", "jane@xn--e28h.example", NULL},
	{"jane@ex\xD0\xB0mple.com", "jane@xn--exmple-4nf.com", NULL},
	{"jane@xn--exmple-cua.\xC3\xA4.de", "jane@xn--exmple-cua.xn--4ca.de", NULL},
	{"jane@ex\xC3\xA4mple.de.", NULL, "empty label"},
	{"jane@\xC3\xA4"
	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.de",
	 NULL, NULL},
	{"jane\xEF\xBC\xA0"
	 "example.com",
	 NULL, "beyond ASCII"},
	{"mailto:jane@example.com", NULL, "quotes"},
	{"jane@example.com;eve@example.com", NULL, "more than one"},
	{"jane@example.com,eve@example.com", NULL, "more than one"},
	{"\"jane\"@example.com", "\"jane\"@example.com", NULL},
	{"\"jane doe\"@example.com", NULL, "space"},
	{"\"jane@example.com\"", NULL, NULL},
	{"jane@ex\xC3\xA4mple..de", NULL, NULL},
	{"jane@ex\xC3\xA4mple/path", NULL, "letters, digits"},
	{"jane@ex\xC3\xA4mple:25", NULL, "letters, digits"},
	{"jane@[\xC3\xA4]", NULL, "letters, digits"},
	{"jane@ex\xC3\xA4 mple.de", NULL, "letters, digits"},
	{"jane@ex\xE2\x80\xAEmple.de", NULL, "IDNA"},
	{"jane@ex\xE4mple.de", NULL, "no character"},
	{"jane@ex\xC3", NULL, "no character"},

	/* The problem of an address */
	{"", NULL, "empty"},
	{" \t", NULL, "empty"},
	{"jane", NULL, "no @"},
	{"jane.example.com", NULL, "no @"},
	{"j\xC3\xA4ne@example.com", NULL, "SMTPUTF8"},
	{"\xE4\xBE\x8B@example.com", NULL, "SMTPUTF8"},
	{"jane@", NULL, "empty"},
	{"@example.com", NULL, "before the @ is empty"},
	{"jane@@example.com", NULL, "not allowed"},
	{"jane@example..com", NULL, "empty label"},
	{"jane@.example.com", NULL, "empty label"},
	{"jane@example.com.", NULL, "empty label"},
	{"<jane@example.com>", NULL, "angle bracket"},
	{"Jane <jane@example.com>", NULL, "angle bracket"},
	{"=?utf-8?q?jane?=@example.com", NULL, "encoded word"},
};

static void
CheckCase(const Case *c)
{
	const char *problem = NULL;
	char *address = ReadWrittenAddress(c->written, strlen(c->written), &problem);
	char name[120];

	snprintf(name, sizeof(name), "\"%s\"", c->written);
	for (char *p = name; *p; p++)
		if ((unsigned char) *p < ' ')
			*p = '~';
	is_str(address, c->expected, name);
	if (c->expected == NULL)
		ok(problem != NULL && (c->problem == NULL || strstr(problem, c->problem) != NULL),
		   "... because %s", problem ? problem : "(of nothing)");
	else
		ok(IsValidAddress(address), "... which is valid");
}

/* Checks that a long text is refused, and not cut. */
static void
CheckLengths(void)
{
	char text[3000];
	const char *problem;

	memset(text, 'a', sizeof(text));
	memcpy(text + 2000, "@ex\xC3\xA4mple.de", sizeof("@ex\xC3\xA4mple.de"));
	is_str(ReadWrittenAddress(text, strlen(text), &problem), NULL, "a long part before the @");
	memset(text, 'a', sizeof(text));
	memcpy(text, "jane@\xC3\xA4", 7);
	text[2500] = '\0';
	is_str(ReadWrittenAddress(text, strlen(text), &problem), NULL, "a long domain");
	is_str(problem, "it is longer than 254 bytes", "... says so");
}

static void
CheckMailboxes(void)
{
	Mailbox mailbox;
	const char *problem;

	ok(ReadWrittenMailbox("\"Rhesis\" <noreply@ex\xC3\xA4mple.de>", &mailbox, &problem) &&
		   strcmp(mailbox.address, "noreply@xn--exmple-cua.de") == 0 &&
		   strcmp(mailbox.name, "Rhesis") == 0,
	   "a setting's domain may be beyond ASCII");
	ok(!ReadWrittenMailbox("Rhesis <n\xC3\xB6@example.com>", &mailbox, &problem) &&
		   strstr(problem, "SMTPUTF8") != NULL,
	   "... the part before the @ may not");
	ok(IsOnlyBlanks(" \t\xC2\xA0\n", 5) && IsOnlyBlanks("", 0) && !IsOnlyBlanks(" x", 2),
	   "blanks are told from text");
}

int
main(void)
{
	for (int i = 0; i < (int) lengthof(cases); i++)
		CheckCase(&cases[i]);
	CheckLengths();
	CheckMailboxes();
	return done_testing();
}
