/*
 * settings_links.h - where links in mails lead: rhesis_notify.frontend_url and allow_http_links.
 */
#ifndef RHESIS_SETTINGS_LINKS_H
#define RHESIS_SETTINGS_LINKS_H

extern void DefineLinkSettings(void);

/* Returns true if the host, the first length bytes at host, is this machine. */
extern bool IsLoopbackHost(const char *host, size_t length);

/* Returns the URL that links begin with, without a final slash. Empty: mails have no links. */
extern const char *FrontendUrl(void);

/*
 * Returns, in words for people, why mails have no links; NULL if they have. Sets *was_refused to
 * true if a value was refused, and to false if no value was set.
 */
extern const char *LinksProblem(bool *was_refused);

/* In words for people: what to do if mails have no links. */
#define LINKS_ADVICE                                                                                    \
	"Set rhesis_notify.frontend_url as in https://app.example.com. For plain http in an intranet, set " \
	"rhesis_notify.allow_http_links."

/*
 * Returns frontend_url if it is plain http and that is not allowed; else NULL. PostgreSQL logs
 * nothing in this case, because the check hook has accepted the value.
 */
extern const char *PlainFrontendUrl(void);

#endif
