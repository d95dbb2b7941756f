/*
 * catalog_watch.h - notices what happens to the extension and to databases' settings.
 */
#ifndef RHESIS_CATALOG_WATCH_H
#define RHESIS_CATALOG_WATCH_H

/* Install the hook; for _PG_init. */
extern void WatchCatalogs(void);

#endif
