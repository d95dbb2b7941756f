/*
 * versions.h - which versions of the SQL objects this library works with.
 */
#ifndef RHESIS_VERSIONS_H
#define RHESIS_VERSIONS_H

/* Returns true if this library serves a database whose SQL objects are of this version. */
extern bool ServesObjects(const char *version);

#endif /* RHESIS_VERSIONS_H */
