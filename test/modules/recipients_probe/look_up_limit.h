/*
 * look_up_limit.h - makes a setting of the constant that limits the time of a look-up.
 *
 * The Makefile includes it before all else.
 */
#ifndef RHESIS_LOOK_UP_LIMIT_H
#define RHESIS_LOOK_UP_LIMIT_H

#define LOOK_UP_LIMIT_MS recipients_probe_look_up_limit

extern int recipients_probe_look_up_limit;

#endif
