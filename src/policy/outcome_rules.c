/*
 * outcome_rules.c - the rules: what each reply of a mail server means
 *
 * The rules are tried in order. For each rule, test/unit/outcome_test.c has a test with a reply
 * that the rule is for. test/unit/replies.tsv has replies with the address of their documentation.
 *
 * Two principles decide the doubtful cases. First, a server's problem is not a message's problem.
 * If every other message would get the reply too, the message is returned to the queue and uses no
 * attempt, and nothing is sent to the server for a while. Second, one bad row harms one row. If the
 * message itself may have caused the reply, the attempt counts.
 *
 * A server repeats addresses in its replies, and users choose their addresses. So every phrase
 * below has a space or a colon, which no mailbox's name has, and HasWording() skips words with an
 * @.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "policy/outcome_rules.h"

/* Kinds of events */
#define REPLY BIT(SMTP_EVENT_REPLY)
#define LOST BIT(SMTP_EVENT_CONNECTION_LOST)
#define TIMEOUT BIT(SMTP_EVENT_TIMEOUT)
#define GARBAGE BIT(SMTP_EVENT_GARBAGE)
#define ABORTED BIT(SMTP_EVENT_ABORTED)
#define BROKEN (LOST | TIMEOUT | GARBAGE)

/* Stages */
#define ANYWHERE (~0u)
#define SETUP                                                                    \
	(BIT(SMTP_STAGE_CONNECT) | BIT(SMTP_STAGE_GREETING) | BIT(SMTP_STAGE_EHLO) | \
	 BIT(SMTP_STAGE_STARTTLS) | BIT(SMTP_STAGE_TLS) | BIT(SMTP_STAGE_AUTH))
#define TLS (BIT(SMTP_STAGE_STARTTLS) | BIT(SMTP_STAGE_TLS))
#define AUTH BIT(SMTP_STAGE_AUTH)
#define EHLO BIT(SMTP_STAGE_EHLO)
#define MAIL BIT(SMTP_STAGE_MAIL)
#define RCPT BIT(SMTP_STAGE_RCPT)
#define DATA BIT(SMTP_STAGE_DATA)
#define FINAL_DOT BIT(SMTP_STAGE_FINAL_DOT)
#define ENVELOPE (MAIL | RCPT | DATA)
#define DIALOGUE (ENVELOPE | BIT(SMTP_STAGE_BODY) | FINAL_DOT)
#define ABOUT_RECIPIENT (RCPT | DATA | BIT(SMTP_STAGE_BODY) | FINAL_DOT)

/* The start of a range of codes that leaves out 421, which is about the connection. */
#define NOT_421 422

/*
 * Seconds to wait after a limit for the day or the hour is reached. Asking each minute does not
 * help.
 */
#define LONG_LIMIT (15 * 60)

/* What the rule decides */
#define DEFERRED OUTCOME_SCOPE_ADDRESS, OUTCOME_DEFER, "smtp_temporary", 0, NULL, false
#define REFUSED OUTCOME_SCOPE_ADDRESS, OUTCOME_FAIL, "smtp_permanent", 0, NULL, false
#define MESSAGE_DEFERRED OUTCOME_SCOPE_MESSAGE, OUTCOME_DEFER, "smtp_temporary", 0, NULL, false
#define MESSAGE_REFUSED OUTCOME_SCOPE_MESSAGE, OUTCOME_FAIL, "smtp_permanent", 0, NULL, false
#define QUOTA(seconds) OUTCOME_SCOPE_QUOTA, OUTCOME_RETURN, "quota", seconds, HINT_QUOTA, false
#define ACCOUNT(hint) OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "auth", 0, hint, false
#define NEEDS_TLS OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "tls", 0, HINT_TLS, false
#define ANOTHER_CONNECTION(is_full) \
	OUTCOME_SCOPE_CONNECTION, OUTCOME_RETRY_FRESH, "connection", 0, NULL, is_full
#define CONNECTION OUTCOME_SCOPE_CONNECTION, OUTCOME_RETURN, "connection", 0, NULL, false
#define SERVER(reason) OUTCOME_SCOPE_SERVER, OUTCOME_RETURN, reason, 0, NULL, false

/* The next step for a person */
#define HINT_QUOTA                                                                               \
	"The account's limit is reached: raise it with the provider, or set rhesis_notify.max_rate " \
	"to what it allows."
#define HINT_HELO                                                                            \
	"Set rhesis_notify.smtp_helo_name to a name with a dot that name servers know, such as " \
	"this machine's public name."
#define HINT_CLIENT                                                                          \
	"The mail server refuses this machine's address: ask its operator to accept it, or log " \
	"in with rhesis_notify.smtp_user and a password."
#define HINT_SENDER                                                    \
	"Verify the sender's domain or address with the provider, or set " \
	"rhesis_notify.from_email to one that is verified and that the user may send as."
#define HINT_LOGIN                                                                          \
	"Check rhesis_notify.smtp_user and the password; SendGrid's user is \"apikey\", Gmail " \
	"wants an app password, SES has SMTP credentials of its own."
#define HINT_PROVIDER "The provider has stopped this account: its console or support says why."
#define HINT_RELAY                                                                   \
	"The server takes mail for other domains only from those it knows: log in with " \
	"rhesis_notify.smtp_user and a password, or ask its operator to accept this machine."
#define HINT_IMPLICIT_TLS                                                                         \
	"The server takes the connection and does not greet: if this port speaks TLS from the first " \
	"byte, as Amazon SES does on 2465, set rhesis_notify.smtp_tls to implicit."
#define HINT_TLS \
	"Set rhesis_notify.smtp_tls to auto or starttls: the mail server demands encryption."

/* ---- Words that servers share ---- */

/* Exim, Stalwart, Amazon SES, OpenSMTPD, Yahoo; the codes in letters are those of 163.com */
#define WORDS_OF_A_FULL_CONNECTION                                                    \
	"messages .. per connection|messages .. per session|messages .. this connection|" \
	"messages .. this session|messages .. in one session|"                            \
	"messages .. in one connection|message .. per connection|message .. per session|" \
	"mails .. per connection|mails .. per session|emails .. per connection|"          \
	"emails .. per session|mails .. this connection|mails .. this session|"           \
	"transactions .. per connection|recipients .. in one session|"                    \
	"recipients .. for one session|transactions .. per session|"                      \
	"transactions .. this connection|transactions .. this session|"                   \
	"connection message limit|session message limit|too many messages sent|"          \
	"message threshold exceeded|mi:dmc|rp:drc"

#define WORDS_OF_A_FULL_MAILBOX                                                     \
	"over quota|mailbox full|mailbox .. full|mailbox .. quota|mailbox .. exceeded|" \
	"mailbox .. limit|inbox .. full|user's quota|user's disk quota|"                \
	"recipient's mailbox|recipient .. quota|quota exceeded (|disk quota|"           \
	"storage quota|exceeded storage|exceeded his|exceeded its storage|"             \
	"not enough storage space in the mailbox|user has too many messages"

#define WORDS_OF_A_RATE                                                              \
	"this hour|hourly limit|hourly quota|daily limit|daily quota|daily sending|"     \
	"sending limit|send limit|sending quota|sending rate|send rate|submission rate|" \
	"rate limit|emails per hour|messages per hour|mails per hour|emails per day|"    \
	"messages per day|mails per day|emails per second|messages per second|"          \
	"emails per minute|messages per minute|mails per minute|limit .. per hour|"      \
	"limit .. per day|limit .. per minute|message limit|monthly limit|"              \
	"exceeded .. per hour|exceeded .. per day|exceeded .. per minute|"               \
	"too many recipients from|too many messages|too many emails|too many mails|"     \
	"sending too fast|sending too many|slow down|unusual sending activity|"          \
	"unexpected volume|messages sent per|ratelimit .. exceeded|recipients per hour|" \
	"recipients per day|message count quota|sender quota|sender's quota|"            \
	"sender frequency limited|exceeded permitted limits|domain frequency limited|"   \
	"messaging limit|relay quota|allowed number of relays|daily email limit|"        \
	"hourly email limit|monthly email limit|daily outgoing|hourly outgoing|"         \
	"outgoing limit|outgoing message limit|outgoing messages .. limit|sender rate|"  \
	"how many messages can be sent|you have exceeded .. limit|"                      \
	"you have exceeded .. quota|exceeded your .. limit|exceeded your .. quota|"      \
	"reached your .. limit|reached your .. quota"

#define WORDS_OF_A_STOPPED_ACCOUNT                                                     \
	"sending paused|your account .. suspended|your account .. disabled|"               \
	"your account .. blocked|your account .. restricted|your account .. inactive|"     \
	"your account .. not active|your account .. activated|smtp account .. activated|"  \
	"smtp account .. suspended|smtp account .. disabled|your account .. under review|" \
	"activate your|bad outbound sender|sending suspended for this account|"            \
	"mail sending denied|[abuse] sender blocked|account outbounds disabled|"           \
	"outgoing mail from|outgoing mail suspension|"                                     \
	"sending for this account is disabled|your account has not been approved|"         \
	"sending account has been banned|main account unavailable|email outgoing blocked"

#define WORDS_OF_NO_RELAY                                                        \
	"relay access denied|relaying denied|relay not permitted|relay not allowed|" \
	"unable to relay|relaying not allowed|relay denied|not permitted to relay|"  \
	"allowed rcpthosts|open relay not"

const Rule outcome_rules[] = {
	/* ---- The end of a message ---- */

	/* 250 2.0.0 Ok: queued as 4F2A */
	{REPLY, FINAL_DOT, 200, 299, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_MESSAGE, OUTCOME_SENT, NULL, 0, NULL, false},

	/* The server had the whole message and did not reply. It may have accepted it. */
	{BROKEN | ABORTED, ANYWHERE, 0, 0, NULL, NULL, IF_DOT_WRITTEN, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_IN_DOUBT, "in_doubt", 0, NULL, false},

	/* The worker cut the connection. */
	{ABORTED, ANYWHERE, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_MESSAGE, OUTCOME_RETURN, "interrupted", 0, NULL, false},

	/* ---- The size of the message ---- */

	/* Postfix: 552 5.3.4 Message size exceeds fixed limit. Also if the reply is to RCPT. */
	{REPLY, DIALOGUE, 500, 599, "5.3.4", NULL, 0, MESSAGE_REFUSED},

	/* ---- The quota, in words that often are about a recipient or a size ---- */

	/*
	 * Mailgun: 421 Domain example.com is not allowed to send: recipient limit exceeded, try again
	 * after Sun, 05 Oct 2025 19:22:44 UTC. 554 Your account is on probation and domains are limited
	 * to 100 messages / hour. Account will be enabled in 341 seconds. IONOS: 450-Requested mail
	 * action not taken: mailbox unavailable, Mail send limit exceeded. policyd: 450 4.7.1
	 * <jane@example.com>: Recipient address rejected: Policy rejection; Message count quota
	 * exceeded. iRedAPD: 554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Quota exceeded (number
	 * of mails in total). mox: 451 4.7.1 max number of messages (1000) over past 24h reached.
	 * 163.com, about the mails of the sender in 15 minutes: 451 MI:SFQ. Mailtrap, at the login: 535
	 * 5.7.0 Monthly messages limit reached. Courier: 500 Number of messages exceeded administrative
	 * limit.
	 */
	{REPLY, ANYWHERE, 400, 599, NULL,
	 "send: recipient limit exceeded|send: request limit exceeded|send: bytes limit exceeded|"
	 "messages / hour|mail send limit exceeded|policy rejection; message count quota|"
	 "policy rejection; message cumulative size quota|quota exceeded (number of mails|"
	 "throttling quota exceeded|recipient address rejected: you have exceeded|"
	 "recipient address rejected: you have reached|"
	 "quota exceeded (accumulated message size|over past 24h|monthly messages limit|"
	 "over message quota|not enough sending quota|number of messages exceeded|"
	 "account reached its .. limit|account reached its .. quota|"
	 "sending too many emails too fast|"
	 "mi:sfq|mi:stc|rp:qrc|rp:trc|hl:ifc",
	 0, QUOTA(LONG_LIMIT)},

	/*
	 * Haraka, at MAIL: 550 Message too big! This limit is about the message, not about the account.
	 */
	{REPLY, DIALOGUE, 500, 599, NULL,
	 "message size|message too big|message too large|message is too large|message is too big|"
	 "message exceeds|message exceeded|message length",
	 0, MESSAGE_REFUSED},

	/*
	 * Replies of policy servers about the login and about this machine. Postfix puts its own words
	 * before theirs. iRedAPD: 554 5.7.1 <jane@example.com>: Recipient address rejected: SMTP AUTH
	 * is required for users under this sender domain. Recipient address rejected: Blacklisted
	 * reverse DNS name of server IP address.
	 */
	{REPLY, RCPT, 400, 599, NULL, "recipient address rejected: smtp auth is required", 0,
	 ACCOUNT(HINT_LOGIN)},
	{REPLY, RCPT, 400, 599, NULL,
	 "recipient address rejected: blacklisted reverse dns|"
	 "recipient address rejected: server ip address",
	 0, ACCOUNT(HINT_CLIENT)},

	/* ---- One recipient, with words or a code that often are about an account ---- */

	/*
	 * Postfix: 450 4.7.1 <jane@example.com>: Recipient address rejected: Greylisted. Policy servers
	 * add words of all kinds after it. Postfix also quotes here what another server said about the
	 * address.
	 */
	{REPLY, RCPT, 400, 499, NULL, "recipient address rejected|unavailable; recipient address", 0,
	 DEFERRED},
	{REPLY, RCPT, 500, 599, NULL, "recipient address rejected|unavailable; recipient address", 0,
	 REFUSED},

	/*
	 * Google: 421 4.7.0 TLS required for RCPT domain, closing connection. IP not in whitelist for …
	 */
	{REPLY, ABOUT_RECIPIENT, 400, 499, NULL,
	 "for rcpt domain|receiving mail too quickly|receiving mail at a rate|"
	 "recipient thread limit|recipient rate limit|recipient .. exceeded|recipient has exceeded|"
	 "exceeded their message rate|concurrent deliveries for user|deferred due to excessive volume",
	 0, DEFERRED},

	/*
	 * Mailgun: 421 Domain … is not allowed to send: Sandbox subdomains are for test purposes only.
	 * Please add your own domain or add the address to authorized recipients. Resend: 550 You can
	 * only send testing emails to your own email address. MailerSend: 450 Trial accounts can only
	 * send emails to the administrator's email. Postmark: 406 While your account is pending
	 * approval, all recipient addresses must share the same domain as the 'From' address. Other
	 * recipients are accepted.
	 */
	{REPLY, DIALOGUE, 400, 599, NULL,
	 "to authorized recipients|only send testing emails to|can only send emails to|"
	 "all recipient addresses must",
	 0, REFUSED},

	/*
	 * Microsoft 365, about the limit of one recipient by the hour: 554 5.2.122 The recipient has
	 * exceeded their limit …
	 */
	{REPLY, ABOUT_RECIPIENT, 500, 599, "5.2.121", NULL, 0, DEFERRED},
	{REPLY, ABOUT_RECIPIENT, 500, 599, "5.2.122", NULL, 0, DEFERRED},

	/*
	 * hMailServer: 421 Recipient not in route list. This 421 is about the recipient, so the attempt
	 * counts.
	 */
	{REPLY, RCPT, 421, 421, "4.1.1", NULL, 0, DEFERRED},
	{REPLY, RCPT, 421, 421, NULL,
	 "recipient not in|user unknown|unknown user|no such user|mailbox unavailable", 0, DEFERRED},

	/*
	 * 450 4.7.1 <mail.example.com[192.0.2.1]>: Client host rejected: Greylisted. At RCPT this reply
	 * is about the recipient.
	 */
	{REPLY, RCPT, 400, 499, NULL,
	 "rejected: greylist|been greylisted|greylisted for|greylisted, please|greylisting in", 0,
	 DEFERRED},

	/*
	 * Microsoft 365, about the list of a recipient: 550 5.7.513 … blocked by example.org using
	 * Customer Block list
	 */
	{REPLY, ABOUT_RECIPIENT, 500, 599, NULL, "using customer block list|blacklisted by recipient",
	 0, REFUSED},

	/*
	 * Google, about one message, with a code that is for connections: 421 4.7.0 This message is
	 * suspicious due to the nature of the content. 421 4.7.28 … exceeded its quota for sending
	 * messages with the same Message-ID.
	 */
	{REPLY, FINAL_DOT, 421, 499, NULL, "nature of the content|messages with the same message", 0,
	 MESSAGE_DEFERRED},

	/*
	 * Exchange, about a group that takes no mail from outside: 550 5.7.1 RESOLVER.RST.AuthRequired;
	 * … Microsoft 365: 550 5.7.133 Sender not authenticated for group. 5.7.136 Sender was not
	 * authenticated.
	 */
	{REPLY, RCPT | FINAL_DOT, 500, 599, NULL, "authrequired; authentication required", 0, REFUSED},
	{REPLY, RCPT | FINAL_DOT, 500, 599, NULL,
	 "formailbox; authentication required|forgroup; authentication required|"
	 "authenticated by organization|authenticated for group|authenticated for mailbox|"
	 "authenticated for public folder",
	 0, REFUSED},
	{REPLY, RCPT | FINAL_DOT, 500, 599, "5.7.136", NULL, 0, REFUSED},

	/* ---- This connection takes no more messages ---- */

	/*
	 * Stalwart: 452 4.4.5 Maximum number of messages per session exceeded. Exim: 421 too many
	 * messages in this connection. Amazon SES: 421 Connection closed by server. Maximum message
	 * count per session reached.
	 */
	{REPLY, DIALOGUE, 400, 599, NULL, WORDS_OF_A_FULL_CONNECTION, IF_REUSED,
	 ANOTHER_CONNECTION(true)},

	/*
	 * Postfix counts the errors of all mails on a connection: 421 4.7.0 … Error: too many errors.
	 * Stalwart: 452 4.7.28 … Session exceeded transfer quota. Google: 421 4.7.0 Connection expired,
	 * try reconnecting.
	 */
	{REPLY, DIALOGUE, 400, 599, NULL,
	 "too many errors|too many failures|too many syntax|too many unrecognized|"
	 "too many bad commands|too many non|too many rcpt|too many invalid commands|"
	 "session exceeded transfer|session open for too long|connection expired|"
	 "too many transactions|allowable connection time|bad smtp command limit|"
	 "please re authenticate",
	 IF_REUSED, ANOTHER_CONNECTION(false)},

	/* ---- The account's quota: too fast, or too much ---- */

	/*
	 * Amazon SES: 454 Throttling failure: Daily message quota exceeded. SendGrid, at the login or
	 * later: 451 Authentication failed: Maximum credits exceeded.
	 */
	{REPLY, ANYWHERE, 400, 599, NULL,
	 "daily message quota|maximum credits exceeded|insufficient credit|not enough credit|"
	 "out of credits",
	 0, QUOTA(LONG_LIMIT)},

	/*
	 * Amazon SES: 454 Throttling failure: Maximum sending rate exceeded. Google: 450 4.2.1 Peak
	 * SMTP relay limit exceeded for customer. Microsoft 365: 432 4.3.2 STOREDRV.ClientSubmit;
	 * sender thread limit exceeded.
	 */
	{REPLY, ANYWHERE, 400, 499, NULL,
	 "throttling failure|maximum sending rate|smtp relay limit exceeded|sender thread limit", 0,
	 QUOTA(0)},

	/*
	 * Google: 550 5.4.5 Daily user sending limit exceeded. 550 5.7.1 Email quota exceeded.
	 * Microsoft 365: 554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException;
	 * Failed to process message. These limits end with the day, so these 5xx are temporary.
	 */
	{REPLY, ANYWHERE, 400, 599, NULL,
	 "sending limit exceeded|sending quota exceeded|email quota exceeded|"
	 "exception:submissionquota|submissionquotaexceededexception; failed|"
	 "submission quota|exception:quotaexceeded|reached your daily limit|tenant has exceeded",
	 0, QUOTA(LONG_LIMIT)},
	{REPLY, ANYWHERE, 500, 599, NULL, "smtp relay limit exceeded", 0, QUOTA(LONG_LIMIT)},

	/*
	 * RFC 3463: x.4.5 is congestion, which is temporary. Google uses it for the limits of an
	 * account.
	 */
	{REPLY, DIALOGUE, 500, 599, "5.4.5", NULL, 0, QUOTA(LONG_LIMIT)},

	/* ---- The account: a person has to change something ---- */

	/*
	 * Microsoft 365: 554 5.2.252 SendAsDenied; a@b.example not allowed to send as c@b.example. 554
	 * 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed
	 * to process message. 550 5.7.60 SMTP; Client does not have permissions to send as this sender.
	 */
	{REPLY, DIALOGUE, 500, 599, "5.2.252", NULL, 0, ACCOUNT(HINT_SENDER)},
	{REPLY, DIALOGUE, 400, 599, NULL,
	 "allowed to send as|permission to send as|permissions to send as|permitted to send as|"
	 "exception:sendasdenied|exceptionsendasdenied; failed|submission.exception:",
	 0, ACCOUNT(HINT_SENDER)},

	/* ---- The recipient's mailbox ---- */

	/*
	 * Google: 450 4.2.1 The user you are trying to contact is receiving mail at a rate that
	 * prevents additional messages from being delivered. 452 4.2.2 The email account that you tried
	 * to reach is over quota. With x.2.x, words about rates and quotas are about the mailbox of the
	 * recipient.
	 */
	{REPLY, DIALOGUE, NOT_421, 499, "4.2.", NULL, 0, DEFERRED},
	{REPLY, ABOUT_RECIPIENT, 500, 599, "5.2.", NULL, 0, REFUSED},

	/*
	 * Replies about the recipient's mailbox without such a code. Exim: 552 mailbox is full. 452
	 * user's quota exceeded.
	 */
	{REPLY, ABOUT_RECIPIENT, NOT_421, 499, NULL, WORDS_OF_A_FULL_MAILBOX, 0, DEFERRED},
	{REPLY, ABOUT_RECIPIENT, 500, 599, NULL, WORDS_OF_A_FULL_MAILBOX, 0, REFUSED},

	/* ---- Too many connections ---- */

	/* Postfix: 450 4.7.0 Error: too many connections. 450 too frequent connects from 192.0.2.1 */
	{REPLY, ANYWHERE, 400, 599, NULL,
	 "too many connections|too many concurrent|too many sessions|too frequent connects|"
	 "too many smtp sessions|too many errors from|trop de connexions|outbound thread limit|"
	 "too many simultaneous|connections limit|connection limit|connection rate|"
	 "connection frequency limited|ip frequency limited",
	 0, CONNECTION},

	/* ---- The quota, in words that many servers use ---- */

	/*
	 * Google: 421 4.7.0 Our system has detected an unusual rate of unsolicited mail. 421 4.7.0 Try
	 * again later, closing connection. Postfix: 450 4.7.1 Error: too much mail from 192.0.2.1.
	 * SendGrid's table: 452 Too many recipients received this hour. Others: 451 4.7.1 Rate limit
	 * exceeded, slow down.
	 */
	{REPLY, ANYWHERE, 400, 499, NULL,
	 "unusual rate|unusual amount of unsolicited|try again later, closing connection|too much mail|"
	 "access denied, please try again later|" WORDS_OF_A_RATE,
	 0, QUOTA(0)},

	/* RFC 5248: x.7.28 is a flood of mail. */
	{REPLY, ANYWHERE, 400, 499, "4.7.28", NULL, 0, QUOTA(0)},

	/* cPanel: 550 Domain example.com has exceeded the max emails per hour (150/150) allowed. */
	{REPLY, ANYWHERE, 500, 599, NULL, "unusual rate|unusual amount of unsolicited|" WORDS_OF_A_RATE,
	 0, QUOTA(LONG_LIMIT)},

	/* ---- A connection that was kept open and had ended ---- */

	/* Postfix, after a client was idle: 421 4.4.2 mail.example.com Error: timeout exceeded */
	{REPLY, MAIL, 421, 421, NULL, NULL, IF_REUSED, ANOTHER_CONNECTION(false)},

	/*
	 * Amazon SES, in the same case: 451 4.4.2 Timeout waiting for data from client. Google: Timeout
	 * - closing …
	 */
	{REPLY, MAIL, 400, 499, "4.4.2", NULL, IF_REUSED, ANOTHER_CONNECTION(false)},
	{REPLY, MAIL, 400, 499, NULL, "timeout waiting|timeout - closing|timed out", IF_REUSED,
	 ANOTHER_CONNECTION(false)},
	{LOST | TIMEOUT, MAIL, 0, 0, NULL, NULL, IF_REUSED, ANOTHER_CONNECTION(false)},

	/* ---- TLS and the login ---- */

	/*
	 * Google, Amazon SES: 530 5.7.0 Must issue a STARTTLS command first. Courier: 400 STARTTLS is
	 * required first. maddy: 550 5.7.1 TLS conversation required. Yandex: 530 5.7.7 Email sending
	 * without SSL/TLS encryption is not allowed. Google: 550 5.7.29 Gmail requires all bulk email
	 * senders to use TLS/SSL for SMTP connections.
	 */
	{REPLY, ANYWHERE, 400, 599, NULL,
	 "must issue a starttls|must issue starttls|starttls first|"
	 "starttls is required|starttls required|requires encryption|use of tls required|"
	 "not sent over tls|tls conversation required|without ssl/tls encryption|"
	 "to use tls/ssl",
	 0, NEEDS_TLS},

	/*
	 * RFC 4954: 538 5.7.11 Encryption required for requested authentication mechanism. RFC 5248:
	 * 523 5.7.10 Encryption needed. Dovecot: 530 5.7.0 TLS required. hMailServer: 530 A
	 * SSL/TLS-connection is required.
	 */
	{REPLY, ANYWHERE, 500, 599, "5.7.10", NULL, 0, NEEDS_TLS},
	{REPLY, ANYWHERE, 500, 599, "5.7.11", NULL, 0, NEEDS_TLS},
	{REPLY, ANYWHERE, 530, 538, NULL, "tls required|tls connection is required|encryption required",
	 0, NEEDS_TLS},

	/* Postfix: 454 4.7.0 TLS not available due to local problem */
	{REPLY, TLS, NOT_421, 599, NULL, NULL, 0, SERVER("tls")},

	/*
	 * Postfix: 454 4.7.0 Temporary authentication failure: Connection lost to authentication
	 * server. Google: 454 4.7.0 Too many login attempts, please try again later. 535 5.7.8 Username
	 * and Password not accepted. 534 5.7.9 Application-specific password required. Amazon SES: 535
	 * Authentication Credentials Invalid. Microsoft: 535 5.7.139 Authentication unsuccessful.
	 */
	{REPLY, AUTH, NOT_421, 599, NULL, NULL, 0, ACCOUNT(HINT_LOGIN)},

	/*
	 * RFC 5248: x.7.8 is about the credentials, x.7.9 about the mechanism, and 525 about a disabled
	 * account. After the final dot, x.7.9 is about the message. Yahoo: 554 5.7.9 Message not
	 * accepted for policy reasons.
	 */
	{REPLY, DIALOGUE, 500, 599, "5.7.8", NULL, 0, ACCOUNT(HINT_LOGIN)},
	{REPLY, ENVELOPE, 500, 599, "5.7.9", NULL, 0, ACCOUNT(HINT_LOGIN)},
	{REPLY, DIALOGUE, 525, 525, "5.7.13", NULL, 0, ACCOUNT(HINT_PROVIDER)},

	/* Amazon SES, Google: 530 5.7.0 Authentication Required. Mailgun: 535 Authentication failed */
	{REPLY, ANYWHERE, 530, 538, NULL, NULL, 0, ACCOUNT(HINT_LOGIN)},

	/*
	 * Haraka: 550 Authentication required. Stalwart: 503 5.5.1 You must authenticate first.
	 * Sendmail: 550 5.7.1 Relaying denied. Proper authentication required. cPanel: 550 Please turn
	 * on SMTP Authentication in your mail client. SMTP2GO: 550 Relay access denied - please
	 * authenticate. Google: 550-5.7.0 Mail relay denied.
	 */
	{REPLY, DIALOGUE, 500, 599, NULL,
	 "authentication required|authentication is required|authenticate first|smtp auth is required|"
	 "auth required|must authenticate|must be authenticated|not authenticated|"
	 "turn on smtp authentication|without authentication|login required|"
	 "unauthenticated senders not allowed|credentials for relay|mail relay denied|"
	 "please authenticate|authentification requise|authentication turned on|not subscribed to ses|"
	 "requires authentication when|and auth first|failed to authenticate|"
	 "api key is invalid|invalid api key",
	 0, ACCOUNT(HINT_LOGIN)},
	{BIT(SMTP_EVENT_NO_AUTH) | BIT(SMTP_EVENT_LOGIN_FAILED), ANYWHERE, 0, 0, NULL, NULL, 0,
	 ACCOUNT(HINT_LOGIN)},
	{BIT(SMTP_EVENT_NO_STARTTLS) | BIT(SMTP_EVENT_CERTIFICATE) | BIT(SMTP_EVENT_CA_FILE), ANYWHERE,
	 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "tls", 0, NULL, false},

	/* ---- The name and the address of this machine ---- */

	/*
	 * Postfix, at RCPT by default (smtpd_delay_reject): 504 5.5.2 <pod-7f>: Helo command rejected:
	 * need fully-qualified hostname. 450 4.7.1 <pod-7f>: Helo command rejected: Host not found.
	 * Haraka: 550 HELO denied. Stalwart: 550 5.5.0 Invalid EHLO domain.
	 */
	{REPLY, DIALOGUE, 400, 599, NULL,
	 "helo command rejected|ehlo command rejected|helo command .. blocked|bad helo|bad ehlo|"
	 "invalid helo|invalid ehlo|helo name|ehlo name|helo denied|ehlo denied|ehlo domain|"
	 "helo hostname|helo host|helo argument|helo rejected|invalid ehlo/helo|"
	 "invalid helo/ehlo|in helo|in ehlo|helo domain is listed|helohost error|lookup on helo|"
	 "mi:nhd",
	 0, ACCOUNT(HINT_HELO)},
	{REPLY, EHLO, NOT_421, 599, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_SERVER, OUTCOME_RETURN, "connection", 0, HINT_HELO, false},

	/*
	 * Postfix, at RCPT: 554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied. 450
	 * 4.7.25 Client host rejected: cannot find your hostname. 554 5.7.1 Service unavailable; Client
	 * host [192.0.2.1] blocked using zen.spamhaus.org. Brevo: 525 5.7.1 Unauthorized IP address.
	 * Microsoft 365: 550 5.7.708 Service unavailable. Access denied, traffic not accepted from this
	 * IP. Google: 550 5.7.25 The IP address sending this message does not have a PTR record setup.
	 * GMX: 550 <…>: IP address is block listed.
	 */
	{REPLY, DIALOGUE, NOT_421, 599, NULL,
	 "client host rejected|client host .. blocked|cannot find your hostname|"
	 "cannot find your reverse hostname|unauthorized ip address|unauthorized ip|"
	 "traffic not accepted from|banned sending ip|banned sender|reverse dns|rdns lookup|"
	 "ip address .. not allowed|ip address .. not authorized|ip address .. blocked|"
	 "ip .. not allowed to send|your ip .. blocked|your ip .. blacklisted|"
	 "client .. blocked using|ip address is block listed|bad dns ptr|is on our block list|"
	 "connections not accepted from|connections will not be accepted from|"
	 "not have a ptr record|not authorized to send email directly|"
	 "blocked - see https://support.proofpoint|blocked - see https://ipcheck.proofpoint|"
	 "https://www.spamhaus.org/query/ip/|http://www.spamhaus.org/query/ip/|"
	 "https://www.spamhaus.org/query/bl?ip=|http://www.spamhaus.org/query/bl?ip=|"
	 "listed at zen.spamhaus.org|listed at spamhaus|listed in zen.spamhaus.org|"
	 "your ip .. listed by|sending ip .. listed on|ip blacklisted by|ip .. is blacklisted|"
	 "is in an rbl|found in dns blacklist|client address .. blocked|connecting host .. listed|"
	 "address was rejected by the|your server ip address|mta's poor reputation|"
	 "ask your postmaster for help|host network not allowed|ip temporarily blacklisted|"
	 "in a black list at|ptr record|invalid rdns|hosts with dynamic ip|from dynamic ip|"
	 "sender ip address rejected|bad sender ip|sender ip reverse lookup|forward dns entry|"
	 "your ip address is listed|ip address is listed at|from your ip|by your ip|"
	 "rejecting open proxy|your network is .. blacklisted|not allowed to connect|"
	 "smtp server of your isp|email blocked by|rejected based on blacklist|multi blacklist|"
	 "no access from mail server|not accepting connections|"
	 "access denied. ip name lookup failed|ipv6 sending guidelines|dnsbl:attrbl|"
	 "ct ip reputation|ip is rejected, smtp auth|remote ip check|suspected spam ip",
	 0, ACCOUNT(HINT_CLIENT)},

	/*
	 * Postfix, by its check_sasl_access and check_ccert_access: 554 5.7.1 <app>: SASL login name
	 * rejected: Access denied. 554 5.7.1 <…>: Client certificate rejected: Access denied.
	 */
	{REPLY, DIALOGUE, 400, 599, NULL, "sasl login name rejected", 0, ACCOUNT(HINT_PROVIDER)},
	{REPLY, DIALOGUE, 400, 599, NULL, "client certificate rejected", 0, ACCOUNT(HINT_CLIENT)},

	/*
	 * RFC 7372: reverse DNS validation failed. maddy: 550 5.7.25 rDNS name does not match source
	 * hostname
	 */
	{REPLY, DIALOGUE, NOT_421, 499, "4.7.25", NULL, 0, ACCOUNT(HINT_CLIENT)},
	{REPLY, DIALOGUE, 500, 599, "5.7.25", NULL, 0, ACCOUNT(HINT_CLIENT)},

	/* ---- The sender ---- */

	/*
	 * SendGrid: 550 The from address does not match a verified Sender Identity. 403 You are not
	 * authorized to send from that email address. Mailgun: 421 Domain sandbox1.mailgun.org is not
	 * allowed to send: Please activate your Mailgun account. Resend: 450 The example.com domain is
	 * not verified. Zoho: 553 Relaying disallowed as noreply@example.com. Stalwart: 501 5.5.4 You
	 * are not allowed to send from this address. MailerSend: 450 The from.email domain must be
	 * verified. iCloud: 550 5.7.0 From address is not one of your addresses. QQ: 501 mail from
	 * address must be same as authorization user. Yahoo: 553 From: address not verified. Apache
	 * James, at RCPT: 503 5.7.1 Incorrect Authentication for Specified Email Address. mox: 451
	 * 4.3.0 domain of smtp mail from is temporarily disabled. 163.com, if the envelope and the
	 * header differ: 554 DT:SUM.
	 */
	{REPLY, DIALOGUE, 400, 599, NULL,
	 "a verified sender identity|authorized to send from|allowed to send from|"
	 "permitted to send from|is not allowed to send:|domain is not verified|"
	 "relaying disallowed as|sender signature|from address .. not verified|"
	 "from address .. not authorized|from address .. not authorised|"
	 "from address .. not allowed|unregistered domains|unregistered domain|"
	 "validate the sender|validate your sender|authorised to send from|"
	 "authorized to send mail as|allowed to send mail from|sender domain not verified|"
	 "domain must be verified|domain is not associated with|same as authorization user|"
	 "header address rejected|not allowed in header|is not one of your addresses|"
	 "must belong to authenticated user|mailfrom domain is listed|sending from domain|"
	 "may not use \"from:\" address|unconfigured sending domain|"
	 "authorized to send emails from|authorized to send mail|authorized to send as|"
	 "allowed to relay emails|sender domain does not have|sender is not valid|"
	 "sender not valid|mail from invalid|not local sender over smtp|"
	 "must equal authorized user|my badmailfrom list|from: address not verified|"
	 "incorrect authentication for specified|unauthorized use of sender address|"
	 "domain of smtp mail from|domain of message from header|dt:sum",
	 0, ACCOUNT(HINT_SENDER)},

	/*
	 * Amazon SES: 554 Message rejected: Email address is not verified. The following identities
	 * failed the check in region US-EAST-1: sender@example.com. 554 Access denied: User `arn:…' is
	 * not authorized to perform `ses:SendRawEmail' on resource `arn:…:identity/example.com'. In its
	 * sandbox SES uses the same words about a recipient. Then the reply is about this message
	 * alone.
	 */
	{REPLY, ANYWHERE, 500, 599, NULL, "address is not verified|is not authorized to perform",
	 IF_NAMES_SENDER, ACCOUNT(HINT_SENDER)},

	/*
	 * Postfix: 553 5.7.1 <noreply@example.com>: Sender address rejected: not owned by user app. 450
	 * 4.1.8 <noreply@example.com>: Sender address rejected: Domain not found. Postfix checks the
	 * sender only after it has accepted the recipient. Exim: 550 Sender verify failed.
	 */
	{REPLY, ENVELOPE, 400, 599, NULL,
	 "sender address rejected|unavailable; sender address|sender verify failed|"
	 "sender verify defer|complete sender verify|unroutable sender|invalid sender|"
	 "domain of sender address|emetteur invalide",
	 0, ACCOUNT(HINT_SENDER)},

	/*
	 * Stalwart: 550 5.7.1 Sender address not allowed. At RCPT such words can come from a filter of
	 * the recipient.
	 */
	{REPLY, MAIL, 500, 599, NULL,
	 "sender address not allowed|sender rejected|sender denied|sender not allowed|"
	 "sender is not allowed|sender not verified|sender is not verified|invalid mail from|"
	 "sender address must contain",
	 0, ACCOUNT(HINT_SENDER)},

	/*
	 * 550 5.7.1 Sender not verified. Exchange: 501 5.1.7 Invalid address. 553 5.1.8 Domain does not
	 * exist
	 */
	{REPLY, MAIL, 500, 599, "5.7.", NULL, 0, ACCOUNT(HINT_SENDER)},
	{REPLY, MAIL, 500, 599, "5.1.", NULL, 0, ACCOUNT(HINT_SENDER)},

	/*
	 * Sendmail: 451 4.1.8 Domain of sender address … does not resolve. RFC 3463: both codes are
	 * about the sender.
	 */
	{REPLY, DIALOGUE, 400, 499, "4.1.7", NULL, 0, ACCOUNT(HINT_SENDER)},
	{REPLY, DIALOGUE, 400, 499, "4.1.8", NULL, 0, ACCOUNT(HINT_SENDER)},
	{REPLY, DIALOGUE, 500, 599, "5.1.7", NULL, 0, ACCOUNT(HINT_SENDER)},
	{REPLY, DIALOGUE, 500, 599, "5.1.8", NULL, 0, ACCOUNT(HINT_SENDER)},

	/* ---- The provider has stopped the account ---- */

	/*
	 * Amazon SES: 454 Sending paused for this account. Mailjet: 550 Your account has been
	 * suspended. Brevo: 502 5.7.0 Your SMTP account is not yet activated.
	 */
	{REPLY, DIALOGUE, 400, 599, NULL, WORDS_OF_A_STOPPED_ACCOUNT, 0, ACCOUNT(HINT_PROVIDER)},

	/*
	 * At MAIL the server does not know the recipient yet, and every mail has this sender. IONOS:
	 * 550 Requested action not taken: mailbox unavailable, Sender address is not allowed. Courier:
	 * 517-Domain does not exist. Size and characters are about this mail, and so are the other
	 * enhanced codes.
	 */
	{REPLY, MAIL, 552, 552, NULL, NULL, 0, MESSAGE_REFUSED},
	{REPLY, MAIL, 555, 555, NULL, NULL, 0, MESSAGE_REFUSED},
	{REPLY, MAIL, 510, 599, "5.", NULL, 0, MESSAGE_REFUSED},
	{REPLY, MAIL, 510, 599, NULL, NULL, 0, ACCOUNT(HINT_SENDER)},

	/* ---- A dialogue out of step ---- */

	/*
	 * Postfix: 503 5.5.1 Error: nested MAIL command. Sendmail: 503 5.0.0 Polite people say HELO
	 * first. A new connection begins with EHLO again. postscreen, at RCPT: 550 5.5.1 Protocol
	 * error.
	 */
	{REPLY, ENVELOPE, 500, 503, NULL,
	 "helo/ehlo first|ehlo/helo first|say mail first|sequence error", IF_REUSED,
	 ANOTHER_CONNECTION(false)},
	{REPLY, ENVELOPE, 503, 503, NULL, NULL, IF_REUSED, ANOTHER_CONNECTION(false)},
	{REPLY, MAIL, 503, 503, NULL, NULL, 0, CONNECTION},
	{REPLY, RCPT | DATA, 503, 503, NULL, NULL, 0, DEFERRED},
	{REPLY, RCPT, 500, 599, "5.5.1", "protocol error", 0, CONNECTION},

	/* ---- The connection ---- */

	/*
	 * Amazon SES: 421 Too many concurrent SMTP connections. Google: 421 4.3.0 Temporary System
	 * Problem. Try again later. 421 4.4.5 Server busy, try again later.
	 */
	{REPLY, ANYWHERE, 421, 421, NULL, NULL, 0, CONNECTION},

	/* 453 4.3.2 System not accepting network messages. Microsoft 365: 451 4.7.500 Server busy. */
	{REPLY, ANYWHERE, 400, 499, "4.3.2", NULL, 0, CONNECTION},
	{REPLY, ANYWHERE, 400, 499, NULL, "server busy|server is busy", 0, CONNECTION},

	/* ---- The server ---- */

	/*
	 * Postfix: 452 4.3.1 Insufficient system storage. Exim: 452 Space shortage, please try later.
	 * Microsoft 365, to MAIL: 451 4.7.0 Temporary server error. maddy: 451 4.4.5 High load, try
	 * again later.
	 */
	{REPLY, MAIL | DATA, 400, 499, "4.3.1", NULL, 0, SERVER("smtp_temporary")},
	{REPLY, MAIL, 400, 499, NULL, "high load|temporary server error", 0, SERVER("smtp_temporary")},
	{REPLY, DIALOGUE, 400, 499, NULL,
	 "insufficient system|space shortage|insufficient disk space|mail system full|"
	 "server configuration error",
	 0, SERVER("smtp_temporary")},

	/* 554 5.3.2 mail.example.com: no SMTP service here */
	{REPLY, SETUP, 400, 599, NULL, NULL, 0, SERVER("connection")},

	{BIT(SMTP_EVENT_DNS) | BIT(SMTP_EVENT_REFUSED), ANYWHERE, 0, 0, NULL, NULL, 0,
	 SERVER("connection")},
	{BIT(SMTP_EVENT_TLS_FAILED), ANYWHERE, 0, 0, NULL, NULL, 0, SERVER("tls")},
	{TIMEOUT, BIT(SMTP_STAGE_GREETING), 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_SERVER, OUTCOME_RETURN, "timeout", 0, HINT_IMPLICIT_TLS, false},
	{TIMEOUT, SETUP | MAIL, 0, 0, NULL, NULL, 0, SERVER("timeout")},
	{LOST | GARBAGE, SETUP | MAIL, 0, 0, NULL, NULL, 0, CONNECTION},

	/* ---- The message itself: its recipient, its content ---- */

	/*
	 * Postfix: 554 5.7.1 <jane@example.com>: Relay access denied; since 2.10 by default 454 4.7.1.
	 * A server may relay to some domains only, so the reply is about this mail alone.
	 */
	{REPLY, RCPT, 400, 499, NULL, WORDS_OF_NO_RELAY, 0, /* => */
	 OUTCOME_SCOPE_ADDRESS, OUTCOME_DEFER, "smtp_temporary", 0, HINT_RELAY, false},

	/* Exim: 451 <jane@example.com>: Cannot resolve … at this time */
	{REPLY, RCPT, 400, 499, NULL, NULL, 0, DEFERRED},

	{REPLY, RCPT, 500, 599, NULL, WORDS_OF_NO_RELAY, 0, /* => */
	 OUTCOME_SCOPE_ADDRESS, OUTCOME_FAIL, "smtp_permanent", 0, HINT_RELAY, false},

	/* Postfix: 550 5.1.1 <jane@example.com>: Recipient address rejected: User unknown */
	{REPLY, RCPT, 500, 599, NULL, NULL, 0, REFUSED},

	/* Google, after the dot: 550 5.1.1 The email account … does not exist */
	{REPLY, ANYWHERE, 500, 599, "5.1.", NULL, 0, REFUSED},

	/* Postfix: 451 4.3.0 Error: queue file write error. All other 4xx count an attempt. */
	{REPLY, ANYWHERE, 400, 499, NULL, NULL, 0, MESSAGE_DEFERRED},

	/* Postfix: 554 5.6.0 Message content rejected. All other 5xx are about this message alone. */
	{REPLY, ANYWHERE, 500, 599, NULL, NULL, 0, MESSAGE_REFUSED},

	/*
	 * The dialogue broke in the middle of a message. The message itself may be the cause and break
	 * every connection, so the attempt counts.
	 */
	{TIMEOUT, ANYWHERE, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_DEFER, "timeout", 0, NULL, false},
	{LOST | GARBAGE, ANYWHERE, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_DEFER, "connection", 0, NULL, false},
};

const int outcome_rule_count = lengthof(outcome_rules);
