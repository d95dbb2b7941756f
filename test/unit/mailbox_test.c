/* mailbox_test.c - valid addresses, and their form in a setting. */
#include "postgres_fe.h"

#include "arena.h"
#include "lib/stringinfo.h"
#include "mail/mailbox.h"
#include "tap.h"

static char *
Repeat(const char *piece, int count)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < count; i++)
		appendStringInfoString(&text, piece);
	return text.data;
}

/* Returns the input on one line, as the name of its test. */
static char *
Label(const char *input)
{
	char *label = psprintf("\"%s\"", input);

	for (char *p = label; *p; p++)
	{
		if ((unsigned char) *p < ' ' || *p == '\x7F')
			*p = '~';
	}
	return label;
}

static void
CheckValid(void)
{
	static const char *const valid[] = {
		"jane@example.com",
		"j@x",
		"root@localhost",
		"jane.doe+tag=1@mail.example.co.uk",
		"!#$%&'*+-=/?^_`{|}~@example.com",
		"O'Brien@example.com",
		"\"jane\"@example.com",
		"\"jane..doe\"@example.com",
		"\"a@b\"@example.com",
		"\"a\\\"b\\\\c\"@example.com",
		"jane@1.example.com",
		"jane@3com.com",
		"jane@xn--bcher-kva.example",
		"jane@a-b.example",
	};

	for (int i = 0; i < (int) lengthof(valid); i++)
		is_str(AddressProblem(valid[i]), NULL, Label(valid[i]));
}

static void
CheckInvalid(void)
{
	static const char *const invalid[][2] = {
		{"", "it has no @"},
		{"jane", "it has no @"},
		{"@", "the part before the @ is empty or ends with a dot"},
		{"@example.com", "the part before the @ is empty or ends with a dot"},
		{"jane.@example.com", "the part before the @ is empty or ends with a dot"},
		{".jane@example.com", "a dot begins the part before the @ or follows another dot"},
		{"jane..doe@example.com", "a dot begins the part before the @ or follows another dot"},
		{"jane@doe@example.com", "a character is not allowed without quotes"},
		{"jane,joe@example.com", "a character is not allowed without quotes"},
		{"jane(comment)@example.com", "a character is not allowed without quotes"},
		{"jane\"x\"@example.com", "a character is not allowed without quotes"},
		{"\"@example.com", "a character is not allowed without quotes"},
		{"\"\"@example.com", "the part before the @ is empty"},
		{"\"a\"b\"@example.com", "the quotes before the @ do not match"},
		{"\"a\\\"@example.com", "the quotes before the @ do not match"},
		{"jane@", "the domain is empty or has an empty label"},
		{"jane@.example.com", "the domain is empty or has an empty label"},
		{"jane@example..com", "the domain is empty or has an empty label"},
		{"jane@example.com.", "the domain is empty or has an empty label"},
		{"jane@-example.com", "a label of the domain begins or ends with a hyphen"},
		{"jane@example-.com", "a label of the domain begins or ends with a hyphen"},
		{"jane@exa_mple.com",
		 "the domain has a character other than letters, digits, hyphens and dots"},
		{"jane@[192.0.2.1]",
		 "the domain has a character other than letters, digits, hyphens and dots"},
		{"jane@[IPv6:::1]",
		 "the domain has a character other than letters, digits, hyphens and dots"},
		{"jane@192.0.2.1", "the last label of the domain is a number"},
		{"jane@127", "the last label of the domain is a number"},
		{"jane doe@example.com", "it has a space or a control character"},
		{" jane@example.com", "it has a space or a control character"},
		{"jane@example.com\n", "it has a space or a control character"},
		{"jane@example.com\r\nRCPT TO:<x@example.org>", "it has an angle bracket"},
		{"jane@example.com\r\nBcc: x@example.org", "it has a space or a control character"},
		{"\"a b\"@example.com", "it has a space or a control character"},
		{"\"a\tb\"@example.com", "it has a space or a control character"},
		{"jane@example.com\x7F", "it has a space or a control character"},
		{"<jane@example.com>", "it has an angle bracket"},
		{"jane@example.com>", "it has an angle bracket"},
		{"\"a>b\"@example.com", "it has an angle bracket"},
		{"=?utf-8?q?x=40evil.example=3e?=@example.com", "it looks like an encoded word"},
		{"j\xC3\xBCrgen@example.com", "it has a character beyond ASCII"},
		{"jane@b\xC3\xBC"
		 "cher.example",
		 "it has a character beyond ASCII"},
		{"jane@example\xFF.com", "it has a character beyond ASCII"},
	};

	for (int i = 0; i < (int) lengthof(invalid); i++)
		is_str(AddressProblem(invalid[i][0]), invalid[i][1], Label(invalid[i][0]));
}

static void
CheckLengths(void)
{
	char *label = Repeat("l", 63);
	char *domain = psprintf("%s.%s.%s.%s", label, label, label, "example");

	ok(IsValidAddress(psprintf("%s@example.com", Repeat("x", 64))), "64 bytes before the @");
	is_str(AddressProblem(psprintf("%s@example.com", Repeat("x", 65))),
		   "the part before the @ is longer than 64 bytes", "65 are too many");
	ok(IsValidAddress(psprintf("x@%s.com", label)), "a label of 63 bytes");
	is_str(AddressProblem(psprintf("x@l%s.com", label)),
		   "a label of the domain is longer than 63 bytes", "64 are too many");
	ok(IsValidAddress(psprintf("%s@%s", Repeat("x", 253 - strlen(domain)), domain)), "254 in all");
	is_str(AddressProblem(psprintf("%s@%s", Repeat("x", 254 - strlen(domain)), domain)),
		   "it is longer than 254 bytes", "255 are too many");
	is_str(AddressProblem(Repeat("x", 100000)), "it is longer than 254 bytes", "100 kB are, too");
	ok(IsValidDomain("example.com") && !IsValidDomain("example.com\r\n") && !IsValidDomain(""),
	   "domains by themselves");
	is_str(AddressDomain("\"a@b\"@example.com"), "example.com", "the domain of an address");
}

/* Reads a mailbox. Returns it as name|address, or the problem. */
static const char *
Parsed(const char *text)
{
	Mailbox mailbox;
	const char *problem;

	if (!ParseMailbox(text, &mailbox, &problem))
		return problem;
	return psprintf("%s|%s", mailbox.name, mailbox.address);
}

static void
CheckMailboxes(void)
{
	static const char *const mailboxes[][2] = {
		{"\"Rhesis AI\" <engineering@rhesis.ai>", "Rhesis AI|engineering@rhesis.ai"},
		{"Rhesis AI <engineering@rhesis.ai>", "Rhesis AI|engineering@rhesis.ai"},
		{"engineering@rhesis.ai", "|engineering@rhesis.ai"},
		{"  engineering@rhesis.ai\t", "|engineering@rhesis.ai"},
		{"<engineering@rhesis.ai>", "|engineering@rhesis.ai"},
		{"\"\" <a@b>", "|a@b"},
		{"  Rhesis  AI<a@b>  ", "Rhesis  AI|a@b"},
		{"\"Say \\\"hi\\\" \\\\ bye\" <a@b>", "Say \"hi\" \\ bye|a@b"},
		{"\"a <b@c>\" <d@e>", "a <b@c>|d@e"},
		{"O'Brien, Jane <a@b>", "O'Brien, Jane|a@b"},
		{"J\xC3\xBCrgen <a@b>", "J\xC3\xBCrgen|a@b"},
		{"\"a@b\" <\"c@d\"@e>", "a@b|\"c@d\"@e"},
		{"", "it has no @"},
		{"Rhesis AI", "it has a space or a control character"},
		{"a@b, c@d", "it is more than one address"},
		{"Rhesis <a@b> x", "it has an angle bracket"},
		{"Rhesis a@b>", "an angle bracket is closed but not opened"},
		{"Rhesis <a@b", "it has an angle bracket"},
		{"Rhesis <>", "it has no @"},
		{">", "an angle bracket is closed but not opened"},
		{"a <b@c> <d@e>", "the name is not quoted as it should be"},
		{"\"a\" b\" <a@b>", "the name is not quoted as it should be"},
		{"\"a <a@b>", "the name is not quoted as it should be"},
		{"\" <a@b>", "the name is not quoted as it should be"},
		{"\"a\\\" <a@b>", "the name is not quoted as it should be"},
		{"a\r\nBcc: x@y <a@b>", "it has a control character"},
		{"a\x7F <a@b>", "it has a control character"},
	};

	for (int i = 0; i < (int) lengthof(mailboxes); i++)
		is_str(Parsed(mailboxes[i][0]), mailboxes[i][1], Label(mailboxes[i][0]));
}

int
main(void)
{
	CheckValid();
	CheckInvalid();
	CheckLengths();
	CheckMailboxes();
	ArenaReset();
	return done_testing();
}
