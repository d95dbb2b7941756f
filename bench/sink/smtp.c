/*
 * smtp.c - the server's side of SMTP: bytes in, answers out.
 *
 * It accepts every mail and throws it away. If a login is demanded, the client must log in first.
 * It checks only what shows an error of the client: the order of the commands and the login.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "smtp.h"

#define AFTER_BODY "\r\n.\r\n"
#define AFTER_BODY_LENGTH 5

SmtpOffers smtp_offers;

/* ---- Logging in ---- */

/* Decode base64 into a string of at most size bytes. Returns its length; -1: it is no base64. */
static int
Decode(const char *text, char *decoded, size_t size)
{
	int length = strlen(text);
	int count;

	if (length / 4 * 3 >= (int) size)
		return -1;
	count = EVP_DecodeBlock((unsigned char *) decoded, (const unsigned char *) text, length);
	if (count < 0)
		return -1;
	while (length > 0 && text[length - 1] == '=' && count > 0)
	{
		length--;
		count--;
	}
	decoded[count] = '\0';
	return count;
}

static bool
DecodesTo(const char *text, const char *expected)
{
	char decoded[512];

	return Decode(text, decoded, sizeof(decoded)) >= 0 && strcmp(decoded, expected) == 0;
}

/* Is this the right login? The decoded text is "authorization identity NUL user NUL password". */
static bool
IsPlainLogin(const char *text)
{
	char decoded[512];
	int count = Decode(text, decoded, sizeof(decoded));
	size_t first = count < 0 ? 0 : strlen(decoded) + 1;
	size_t second = (int) first < count ? first + strlen(decoded + first) + 1 : 0;

	return second > 0 && (int) second <= count && strcmp(decoded + first, smtp_offers.user) == 0 &&
		   strcmp(decoded + second, smtp_offers.password) == 0;
}

static void
FinishLogin(Smtp *smtp, SmtpAnswer *answer, bool right)
{
	smtp->stage = SMTP_COMMANDS;
	smtp->logged_in = right;
	answer->logged_in = right;
	answer->reply =
		right ? "235 2.7.0 Authentication successful\r\n" : "535 5.7.8 Authentication failed\r\n";
}

static void
ContinueLogin(Smtp *smtp, SmtpAnswer *answer, const char *line)
{
	if (smtp->stage == SMTP_AUTH_PLAIN)
		FinishLogin(smtp, answer, IsPlainLogin(line));
	else if (smtp->stage == SMTP_AUTH_PASSWORD)
		FinishLogin(smtp, answer, smtp->right_user && DecodesTo(line, smtp_offers.password));
	else
	{
		smtp->right_user = DecodesTo(line, smtp_offers.user);
		smtp->stage = SMTP_AUTH_PASSWORD;
		answer->reply = "334 UGFzc3dvcmQ6\r\n";
	}
}

static void
Auth(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	bool plain = strncasecmp(rest, "PLAIN", 5) == 0;
	bool login = strncasecmp(rest, "LOGIN", 5) == 0;
	bool has_answer = rest[0] != '\0' && rest[5] == ' ';

	if (smtp_offers.user == NULL || !(plain || login))
		answer->reply = "504 5.5.4 Unrecognized authentication type\r\n";
	else
	{
		smtp->stage = plain ? SMTP_AUTH_PLAIN : SMTP_AUTH_USER;
		if (has_answer)
			ContinueLogin(smtp, answer, rest + 6);
		else
			answer->reply = plain ? "334 \r\n" : "334 VXNlcm5hbWU6\r\n";
	}
}

/* ---- Commands ---- */

static void
Ehlo(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	static char reply[512];

	(void) rest;
	smtp->mailing = false;
	snprintf(reply, sizeof(reply),
			 "250-sink\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n%s%s250 "
			 "ENHANCEDSTATUSCODES\r\n",
			 smtp_offers.tls && !smtp->in_tls ? "250-STARTTLS\r\n" : "",
			 smtp_offers.user != NULL ? "250-AUTH PLAIN LOGIN\r\n" : "");
	answer->reply = reply;
}

static void
Helo(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	(void) rest;
	smtp->mailing = false;
	answer->reply = "250 sink\r\n";
}

static void
StartTls(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	(void) rest;
	if (!smtp_offers.tls || smtp->in_tls)
	{
		answer->reply = "502 5.5.1 No TLS here\r\n";
		return;
	}
	*smtp = (Smtp){.in_tls = true};
	answer->reply = "220 2.0.0 Ready to start TLS\r\n";
	answer->action = SMTP_START_TLS;
}

static void
MailFrom(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	(void) rest;
	if (smtp_offers.user != NULL && !smtp->logged_in)
		answer->reply = "530 5.7.0 Authentication required\r\n";
	else if (smtp->mailing)
		answer->reply = "503 5.5.1 Nested MAIL command\r\n";
	else
	{
		smtp->mailing = true;
		smtp->has_recipient = false;
		answer->reply = "250 2.1.0 Ok\r\n";
	}
}

static void
RcptTo(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	const char *local_part = strchr(rest, '<');
	size_t length = local_part ? strcspn(++local_part, "@>") : 0;

	if (!smtp->mailing)
		answer->reply = "503 5.5.1 MAIL first\r\n";
	else if (length == 0 || length >= KEY_SIZE)
		answer->reply = "501 5.1.3 Bad recipient\r\n";
	else
	{
		memcpy(smtp->key, local_part, length);
		smtp->key[length] = '\0';
		smtp->has_recipient = true;
		answer->reply = "250 2.1.5 Ok\r\n";
	}
}

static void
Data(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	(void) rest;
	if (!smtp->mailing || !smtp->has_recipient)
	{
		answer->reply = "503 5.5.1 RCPT first\r\n";
		return;
	}
	smtp->stage = SMTP_BODY_START;
	smtp->body_bytes = 0;
	answer->reply = "354 End data with <CR><LF>.<CR><LF>\r\n";
}

static void
Rset(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	(void) rest;
	smtp->mailing = false;
	answer->reply = "250 2.0.0 Ok\r\n";
}

static void
Noop(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	(void) smtp;
	(void) rest;
	answer->reply = "250 2.0.0 Ok\r\n";
}

static void
Quit(Smtp *smtp, SmtpAnswer *answer, const char *rest)
{
	(void) smtp;
	(void) rest;
	answer->reply = "221 2.0.0 Bye\r\n";
	answer->action = SMTP_END;
}

typedef struct Command
{
	const char *name;
	void (*run)(Smtp *smtp, SmtpAnswer *answer, const char *rest);
} Command;

static const Command commands[] = {
	{"MAIL FROM:", MailFrom}, {"RCPT TO:", RcptTo}, {"DATA", Data}, {"RSET", Rset},
	{"EHLO", Ehlo},			  {"HELO", Helo},		{"AUTH", Auth}, {"STARTTLS", StartTls},
	{"NOOP", Noop},			  {"QUIT", Quit},
};

/* The line ends with a NUL instead of its CRLF. */
static void
RunCommand(Smtp *smtp, SmtpAnswer *answer, const char *line)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
	{
		size_t length = strlen(commands[i].name);

		if (strncasecmp(line, commands[i].name, length) == 0)
		{
			const char *rest = line + length;

			commands[i].run(smtp, answer, rest + strspn(rest, " "));
			return;
		}
	}
	answer->reply = "500 5.5.2 Unrecognized command\r\n";
}

/* ---- Bytes ---- */

/* Take one line, if it is complete. Returns how many bytes were used. */
static size_t
TakeLine(Smtp *smtp, SmtpAnswer *answer, const char *bytes, size_t length)
{
	const char *end = memchr(bytes, '\n', length);
	size_t used = end ? (size_t) (end - bytes) + 1 : 0;
	size_t size = end ? used - 1 : 0;
	char line[SMTP_LINE_LIMIT];

	if (used > SMTP_LINE_LIMIT || (end == NULL && length >= SMTP_LINE_LIMIT))
	{
		answer->reply = "500 5.5.2 Line too long\r\n";
		answer->action = SMTP_END;
		return length;
	}
	if (end == NULL)
		return 0;
	if (size > 0 && bytes[size - 1] == '\r')
		size--;
	memcpy(line, bytes, size);
	line[size] = '\0';
	if (smtp->stage == SMTP_COMMANDS)
		RunCommand(smtp, answer, line);
	else
		ContinueLogin(smtp, answer, line);
	return used;
}

static void
FinishBody(Smtp *smtp, SmtpAnswer *answer)
{
	smtp->stage = SMTP_COMMANDS;
	smtp->mailing = false;
	answer->accepted_mail = true;
	answer->reply = "250 2.0.0 Ok: queued as 4F2A\r\n";
}

/* A body without any line ends with the dot alone. Returns how many bytes were used. */
static size_t
TakeBodyStart(Smtp *smtp, SmtpAnswer *answer, const char *bytes, size_t length)
{
	const char *dot = &AFTER_BODY[2];

	if (length < 3)
		return 0;
	smtp->stage = SMTP_BODY;
	if (memcmp(bytes, dot, 3) != 0)
		return 0;
	FinishBody(smtp, answer);
	return 3;
}

/*
 * Take the body up to its end. If the end has not come, leave the bytes that may be the beginning
 * of the end. Returns how many bytes were used.
 */
static size_t
TakeBody(Smtp *smtp, SmtpAnswer *answer, const char *bytes, size_t length)
{
	const char *end = memmem(bytes, length, AFTER_BODY, AFTER_BODY_LENGTH);
	size_t used = length < AFTER_BODY_LENGTH ? 0 : length - (AFTER_BODY_LENGTH - 1);

	if (end != NULL)
		used = end - bytes + AFTER_BODY_LENGTH;
	smtp->body_bytes += used;
	if (end != NULL)
		FinishBody(smtp, answer);
	return used;
}

size_t
SmtpTake(Smtp *smtp, const char *bytes, size_t length, SmtpAnswer *answer)
{
	size_t used = 0;

	*answer = (SmtpAnswer){0};
	for (;;)
	{
		SmtpStage before = smtp->stage;
		size_t more;

		if (before == SMTP_BODY)
			more = TakeBody(smtp, answer, bytes + used, length - used);
		else if (before == SMTP_BODY_START)
			more = TakeBodyStart(smtp, answer, bytes + used, length - used);
		else
			more = TakeLine(smtp, answer, bytes + used, length - used);
		used += more;

		if (answer->reply != NULL || (more == 0 && smtp->stage == before))
			return used;
	}
}
