/*
 * versions.h - which versions of the SQL objects this library works with.
 */
#ifndef RHESIS_VERSIONS_H
#define RHESIS_VERSIONS_H

/* Does this library serve a database whose objects are of this version? */
extern bool ServesObjects(const char *version);

#endif /* RHESIS_VERSIONS_H */
