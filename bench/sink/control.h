/*
 * control.h - the socket on which a benchmark asks for the counts.
 */
#ifndef SINK_CONTROL_H
#define SINK_CONTROL_H

/* Listen on a Unix socket at this path. */
extern void ControlListen(const char *path);

/* Answer the command "wait N" if N mails have been accepted. */
extern void ControlAnswerWaiting(void);

#endif
