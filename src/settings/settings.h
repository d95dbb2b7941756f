/*
 * settings.h - every setting of rhesis_notify, with its default from the server's environment.
 *
 * The password is kept apart, in settings_password.h.
 */
#ifndef RHESIS_SETTINGS_H
#define RHESIS_SETTINGS_H

#include "mail/mailbox.h"
#include "utils/guc.h"

typedef enum InDoubtPolicy
{
	IN_DOUBT_RESEND,
	IN_DOUBT_HOLD
} InDoubtPolicy;

extern char *rhesis_smtp_host;
extern int rhesis_smtp_port;
extern char *rhesis_smtp_user;
extern char *rhesis_smtp_ca_file;
extern char *rhesis_smtp_helo_name;
extern char *rhesis_smtp_auth; /* empty: the mechanisms that the server offers */
extern char *rhesis_reply_to;
extern char *rhesis_recipients;			  /* empty: the Rhesis schema */
extern char *rhesis_organization_setting; /* name of the application's tenant setting */
extern char *rhesis_placeholder_domains;  /* comma-separated */
extern char *rhesis_redirect_all_to;
extern char *rhesis_instance; /* NULL if the library was not preloaded */
extern int rhesis_smtp_tls;	  /* SmtpTls */
extern bool rhesis_smtp_allow_plaintext;
extern int rhesis_workers;
extern int rhesis_smtp_connections;
extern int rhesis_messages_per_connection;
extern double rhesis_max_rate;
extern int rhesis_max_attempts;
extern int rhesis_retry_delay;	   /* ms */
extern int rhesis_retry_max_delay; /* ms */
extern int rhesis_connect_timeout; /* ms */
extern int rhesis_send_timeout;	   /* ms */
extern int rhesis_in_doubt;		   /* InDoubtPolicy */
extern int rhesis_expire_after;	   /* seconds; 0: never */
extern int rhesis_retention;	   /* seconds; 0: notifications are kept */
extern bool rhesis_log_deliveries;

extern void DefineSettings(void);

static inline bool
IsSet(const char *setting)
{
	return setting != NULL && *setting != '\0';
}

/*
 * Sets *from to the sender of mails: from_email, else smtp_user if that is an address, else the
 * built-in sender. The display name is never empty.
 */
extern void SettingFrom(Mailbox *from);
/* Returns the display name of that sender. */
extern const char *SettingFromName(void);

/* Sets *reply_to to the Reply-To address. Returns false if none is set. */
extern bool SettingReplyTo(Mailbox *reply_to);

/*
 * Returns the address that redirect_all_to sends every mail to, palloc'd; NULL if mails go to their
 * recipients.
 */
extern char *SettingRedirect(void);

#endif
