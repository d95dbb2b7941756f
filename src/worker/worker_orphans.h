/*
 * worker_orphans.h - what a worker that is gone had claimed and handed to no mail server, and the row that has ended it.
 */
#ifndef RHESIS_WORKER_ORPHANS_H
#define RHESIS_WORKER_ORPHANS_H

#include "postgres.h"

/*
 * Give such rows back to the queue, in the open transaction. If a worker ended while it prepared several rows, this one prepares them
 * singly; a row that was prepared alone counts an attempt. Singly: row by row, around what an app's triggers refuse.
 */
extern void TakeOverUnsent(bool (*epoch_is_live)(int64 epoch), bool singly);

#endif
