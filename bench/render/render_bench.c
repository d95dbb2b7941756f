/*
 * render_bench.c - measures how long it takes to render a mail and to compose its message.
 *
 *   render_bench DIRECTORY MAIL SECONDS [show]
 *
 * Reads the templates DIRECTORY/MAIL.{subject,html,txt}, the partials DIRECTORY/layout.{html,txt}
 * and the variables DIRECTORY/MAIL.json. Prints microseconds per mail for rendering alone, and for
 * rendering and composing. With "show" it prints subject, HTML, text and message instead, with a
 * NUL between them.
 */
#include "postgres_fe.h"

#include <time.h>

#include "sample_mail.h"

#define MAILS_PER_LOOK 200 /* the clock is read after this number of mails */

/* Returns the processor time, because other programs may use the machine as well. */
static double
Now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Returns microseconds per mail, measured over that number of seconds. Both are processor time. */
static double
Measure(SampleMail *mail, SampleBuffers *buffers, bool compose, double seconds)
{
	double start = Now();
	double end;
	int64 mails = 0;

	do
	{
		for (int i = 0; i < MAILS_PER_LOOK; i++)
		{
			RenderSampleMail(mail, buffers);
			if (compose)
				ComposeSampleMail(++mails, buffers);
			else
				mails++;
		}
		end = Now();
	} while (end - start < seconds);
	return (end - start) / mails * 1e6;
}

int
main(int argc, char **argv)
{
	SampleMail mail;
	SampleBuffers buffers;
	double seconds;

	if (argc < 4)
		Die("usage: render_bench DIRECTORY MAIL SECONDS [show]");
	seconds = atof(argv[3]);
	ReadSampleMail(&mail, argv[1], argv[2]);
	InitSampleBuffers(&buffers);

	RenderSampleMail(&mail, &buffers);
	ComposeSampleMail(1, &buffers);
	if (argc > 4)
	{
		printf("%s%c%s%c%s%c%s", buffers.subject.data, 0, buffers.html.data, 0, buffers.text.data,
			   0, buffers.message.data);
		return 0;
	}
	Measure(&mail, &buffers, true, seconds / 4);
	printf("%.3f\n", Measure(&mail, &buffers, false, seconds));
	printf("%.3f\n", Measure(&mail, &buffers, true, seconds));
	return 0;
}
