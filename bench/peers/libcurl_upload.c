/*
 * libcurl_upload.c - libcurl's own SMTP: one upload at a time on each connection of a multi handle.
 *
 * While libcurl waits for the reply to a final dot, it blocks all transfers of the multi handle.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "libcurl.h"

typedef struct Upload
{
	CURL *easy;
	struct curl_slist *recipients;
	size_t read; /* of the message */
} Upload;

static size_t
ReadOn(char *buffer, size_t size, size_t count, void *data)
{
	Upload *upload = data;
	size_t length = options.message_length - upload->read;

	if (length > size * count)
		length = size * count;
	memcpy(buffer, options.message + upload->read, length);
	upload->read += length;
	return length;
}

static void
Prepare(Upload *upload)
{
	upload->easy = NewHandle(upload);
	Check(curl_easy_setopt(upload->easy, CURLOPT_UPLOAD, 1L));
	Check(curl_easy_setopt(upload->easy, CURLOPT_MAIL_FROM, SENDER));
	Check(curl_easy_setopt(upload->easy, CURLOPT_READFUNCTION, ReadOn));
	Check(curl_easy_setopt(upload->easy, CURLOPT_READDATA, upload));
}

/* Sends the n-th mail over a free connection. */
static void
Start(CURLM *multi, Upload *upload, int n)
{
	char recipient[RECIPIENT_SIZE];

	WriteRecipient(recipient, n);
	curl_slist_free_all(upload->recipients);
	upload->recipients = curl_slist_append(NULL, recipient);
	upload->read = 0;
	Check(curl_easy_setopt(upload->easy, CURLOPT_MAIL_RCPT, upload->recipients));
	CheckMulti(curl_multi_add_handle(multi, upload->easy));
}

/* Returns the upload of a mail that has been accepted, or NULL. */
static Upload *
NextDone(CURLM *multi)
{
	int left;
	CURLMsg *message = curl_multi_info_read(multi, &left);
	Upload *upload;

	if (message == NULL)
		return NULL;
	Check(message->data.result);
	Check(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &upload));
	CheckMulti(curl_multi_remove_handle(multi, upload->easy));
	return upload;
}

void
SendByUpload(void)
{
	CURLM *multi = NewMulti();
	Upload *uploads = calloc(options.connections, sizeof(Upload));
	int started = 0;
	int accepted = 0;
	int running;

	if (uploads == NULL)
		err(1, "calloc");
	for (; started < options.connections && started < options.count; started++)
	{
		Prepare(&uploads[started]);
		Start(multi, &uploads[started], started);
	}
	while (accepted < options.count)
	{
		Upload *upload;

		CheckMulti(curl_multi_perform(multi, &running));
		for (; (upload = NextDone(multi)) != NULL; accepted++)
		{
			if (started < options.count)
				Start(multi, upload, started++);
		}
		CheckMulti(curl_multi_poll(multi, NULL, 0, 1000, NULL));
	}
}
