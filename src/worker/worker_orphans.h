/*
 * worker_orphans.h - takes over rows that a dead worker had claimed and that no mail server has
 * seen, and finds the row that has ended the worker.
 */
#ifndef RHESIS_WORKER_ORPHANS_H
#define RHESIS_WORKER_ORPHANS_H

#include "postgres.h"

/*
 * Makes these rows due again, in the open transaction. If a worker ended while it prepared several
 * rows, this worker prepares them one by one. If it prepared one row alone, that row counts an
 * attempt. one_by_one: changes each row in a subtransaction, and passes over rows that a trigger of
 * the application refuses to change.
 */
extern void TakeOverUnsent(bool (*epoch_is_live)(int64 epoch), bool one_by_one);

#endif
