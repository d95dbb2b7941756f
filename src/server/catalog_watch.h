/*
 * catalog_watch.h - notices when the extension comes or goes, and when settings of a database
 * change.
 */
#ifndef RHESIS_CATALOG_WATCH_H
#define RHESIS_CATALOG_WATCH_H

/* Install the hook; for _PG_init. */
extern void WatchCatalogs(void);

#endif
