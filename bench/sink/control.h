/*
 * control.h - the socket on which a benchmark asks what the sink has seen.
 */
#ifndef SINK_CONTROL_H
#define SINK_CONTROL_H

/* Listen on a Unix socket at this path. */
extern void ControlListen(const char *path);

/* Answer those who wait for a number of mails that has been reached. */
extern void ControlAnswerWaiting(void);

#endif
