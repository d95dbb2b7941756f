/*
 * message_dump.c - composes messages from parts on standard input, for message_roundtrip.py.
 *
 * A request has ten fields: date, from name, from address, to name, to address, original recipient
 * ("" for none), subject, notification id, text, html. Each field is a 4-byte little-endian length
 * and that number of bytes. The answer is one such field: the message, or "problem: " and the
 * reason.
 */
#include "postgres_fe.h"

#include "arena.h"
#include "mail/message.h"

/* Reads a field and adds a NUL. Returns NULL at the end of the input. */
static char *
ReadField(size_t *length)
{
	unsigned char prefix[4];
	char *field;

	if (fread(prefix, 1, 4, stdin) != 4)
		return NULL;
	*length = prefix[0] | prefix[1] << 8 | prefix[2] << 16 | (size_t) prefix[3] << 24;
	field = palloc0(*length + 1);
	if (fread(field, 1, *length, stdin) != *length)
		return NULL;
	return field;
}

static void
WriteField(const char *data, size_t length)
{
	unsigned char prefix[4] = {length, length >> 8, length >> 16, length >> 24};

	fwrite(prefix, 1, 4, stdout);
	fwrite(data, 1, length, stdout);
	fflush(stdout);
}

int
main(void)
{
	enum
	{
		DATE,
		FROM_NAME,
		FROM,
		TO_NAME,
		TO,
		ORIGINAL,
		SUBJECT,
		ID,
		TEXT,
		HTML,
		FIELDS
	};
	char *field[FIELDS];
	size_t length[FIELDS];

	for (;;)
	{
		MessageParts parts = {0};
		StringInfoData out;
		const char *problem;

		for (int i = 0; i < FIELDS; i++)
		{
			field[i] = ReadField(&length[i]);
			if (field[i] == NULL)
				return 0;
		}
		parts.date = atoll(field[DATE]);
		parts.from = (Mailbox){field[FROM_NAME], field[FROM]};
		parts.to = (Mailbox){field[TO_NAME], field[TO]};
		parts.original_recipient = field[ORIGINAL][0] ? field[ORIGINAL] : NULL;
		parts.subject = field[SUBJECT];
		parts.notification_id = atoll(field[ID]);
		parts.message_id = MessageIdFor(parts.notification_id, 1, AddressDomain(field[FROM]));
		parts.text = field[TEXT];
		parts.text_length = length[TEXT];
		parts.html = field[HTML];
		parts.html_length = length[HTML];

		initStringInfo(&out);
		if (!ComposeMessage(&parts, &out, &problem))
			appendStringInfo(&out, "problem: %s", problem);
		WriteField(out.data, out.len);
		ArenaReset();
	}
}
