/*
 * settings_links.h - where links in mails lead: rhesis_notify.frontend_url and allow_http_links.
 */
#ifndef RHESIS_SETTINGS_LINKS_H
#define RHESIS_SETTINGS_LINKS_H

extern void DefineLinkSettings(void);

/* What links begin with, without a final slash: https, or http where that is allowed. Empty: mails have no links. */
extern const char *FrontendUrl(void);

/*
 * Why mails have no links, in words for people; NULL: they have. was_refused: by a value that is no good, not for want of
 * one.
 */
extern const char *LinksProblem(bool *was_refused);

/* In words for people: what to do then. */
#define LINKS_ADVICE                                                                                    \
	"Set rhesis_notify.frontend_url as in https://app.example.com. For plain http in an intranet, set " \
	"rhesis_notify.allow_http_links."

/* frontend_url, where it is plain http that is not allowed; else NULL. PostgreSQL's own log says nothing of it. */
extern const char *PlainFrontendUrl(void);

#endif
