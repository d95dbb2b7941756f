/*
 * rhesis_notify.c - load-time wiring.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;
