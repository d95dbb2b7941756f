
# Actions of an operator: stop and resume, retry and cancel, preview, send now, test the server.
# Also the texts in the log that people search for.
use strict;
use warnings FATAL => 'all';
use utf8;

use RhesisNotify::Cluster qw($ACME $GLOBEX $JANE $JOSE);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '1h', retry_max_delay => '1h' });

# ---- pause and resume ----

is($node->sql('SELECT rhesis_notify.pause()'), 't', 'mail can be stopped');
$node->wait_for("SELECT state = 'paused' AND paused FROM rhesis_notify.worker_status");
my $id = $node->report;
my $silent = $node->report(template => undef);
$node->restart;
$node->wait_for("SELECT state = 'paused' AND paused FROM rhesis_notify.worker_status");
is($node->notification($id)->{delivery_status}, 'pending', 'stopped, rows wait, also after a restart');
is($peer->mail_count, 0, 'and nothing is sent');
is($node->sql('SELECT rhesis_notify.resume()'), 't', 'mail can be resumed');
$node->wait_for_state($id, 'sent');
pass('then what has waited goes out');
is($node->sql('SELECT rhesis_notify.resume()'), 'f', 'a second time there is nothing to resume');

# ---- retry and cancel ----

$peer->rules({ stage => 'rcpt', action => 'reply', text => '450 4.2.0 Mailbox busy', count => 1 });
$id = $node->report;
my $row = $node->wait_for_state($id, 'deferred');
is($row->{delivery_reason}, 'smtp_temporary', 'a mail is deferred, for an hour');
is($node->sql("SELECT due_at > now() + interval '30 min' FROM rhesis_notify.delivery_status WHERE id = $id"), 't', 'delivery_status says until when');
is($node->sql("SELECT rhesis_notify.retry($id)"), 't', 'retry() does not wait for that');
$row = $node->wait_for_state($id, 'sent');
is($row->{attempts}, 1, 'its attempts begin anew');
is_deeply([ map { $_->{event} } $node->events($id) ], [qw(deferred retried)], 'and it is on record');

$peer->rules({ stage => 'rcpt', action => 'reply', text => '550 5.1.1 No such user', count => 2 });
my @failed = map { $node->report } 1 .. 2;
$node->wait_for_state($_, 'failed') for @failed;
is($node->sql("SELECT rhesis_notify.retry_failed(now() - interval '1 hour')"), 2, 'retry_failed() takes all that failed since');
$node->wait_for_state($_, 'sent') for @failed;
pass('they go out');

$peer->rules({ stage => 'rcpt', action => 'reply', text => '450 4.2.0 Mailbox busy', count => 1 });
$id = $node->report;
$node->wait_for_state($id, 'deferred');
is($node->sql("SELECT rhesis_notify.cancel($id)"), 't', 'a deferred mail can be cancelled');
is($node->notification($id)->{delivery_status}, 'cancelled', 'it is');
is($node->sql("SELECT rhesis_notify.cancel($failed[0])"), 'f', 'one that was sent can\'t be called back');

# ---- Preview a mail ----

$node->sql('SELECT rhesis_notify.pause()');
$id = $node->report(user_id => $JOSE, result => '{"test_run_id": "r 1/2"}');
my $before = $peer->mail_count;
is($node->sql("SELECT subject FROM rhesis_notify.preview($id)"), 'Task Completed: app.tasks.export - Success', 'preview() shows the subject');
is($node->sql("SELECT recipient_email FROM rhesis_notify.preview($id)"), 'jose@example.com', 'to whom it goes');
my $preview_text = $node->sql("SELECT text FROM rhesis_notify.preview($id)");
utf8::decode($preview_text);
like($preview_text, qr{Hello José Núñez,.*https://app\.rhesis\.example/test-runs/r%201%2F2}s, 'and what it says');
is($node->sql("SELECT reason FROM rhesis_notify.preview($silent)"), 'silent_task', 'or why there is none');
is($node->notification($id)->{delivery_status}, 'pending', 'the mail is where it was');
is($peer->mail_count, $before, 'and nothing is sent');
$node->sql('SELECT rhesis_notify.resume()');
$node->wait_for_state($id, 'sent');
is(($peer->mails)[-1]->text =~ s/\s+//gr, $preview_text =~ s/\s+//gr, 'what is sent is what preview() showed');

# ---- email_notification_test() and send_task_completion_email() ----

$id = $node->sql("SET app.current_organization = '$ACME'; SELECT rhesis_notify.email_notification_test(user_id => '$JANE')") =~ s/\D//gr;
$node->wait_for_state($id, 'sent');
is(($peer->mails)[-1]->header('Subject'), 'Task Completed: Email Notification Test - Success', 'email_notification_test() sends a test mail');

my $log_offset = -s $node->logfile;
is( $node->sql(
		q{SELECT rhesis_notify.send_task_completion_email('test@example.com', 'Test User', 'Test Task', 'test-123', 'success',
		execution_time => '2m 45s', test_run_id => 'r1', frontend_url => 'https://other.example')}),
	't', 'send_task_completion_email() says true when the mail was accepted');
my $mail = ($peer->mails)[-1];
is_deeply($mail->envelope->{to}, ['test@example.com'], 'it went to the address given');
is($mail->header('Subject'), 'Task Completed: Test Task - Success', 'with its subject');
like($mail->text, qr{Hello Test User,.*https://other\.example/test-runs/r1\n.*test-123.*2m 45s}s, 'and all that was given');
like($node->log($log_offset), qr/LOG:  Task completion email sent successfully to test\@example\.com for task test-123\n/, 'the log says so');
is($node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id = 'test-123'"), 0, 'the queue has no row of it');

sub warning_of
{
	my ($query) = @_;
	my ($output, $message);
	$node->psql('postgres', $query, stdout => \$output, stderr => \$message);
	return ($output, $message);
}
$peer->rules({ stage => 'rcpt', action => 'reply', text => '550 5.1.1 No such user', count => 1 });
my ($result, $warning) = warning_of(q{SELECT rhesis_notify.send_task_completion_email('gone@example.com', NULL, 'T', '1', 'failed')});
is($result, 'f', 'and false when it was not');
like($warning, qr/WARNING:  Failed to send task completion email to gone\@example\.com: 550 5\.1\.1 No such user\n/, 'with the reason as a warning');
($result, $warning) = warning_of(qq{SELECT rhesis_notify.send_task_completion_email(E'a\@example.com\\r\\nBcc: b\@example.com', NULL, 'T', '1', 'failed')});
is($result, 'f', 'an address that is none gets nothing');
like($warning, qr/WARNING:  Failed to send .*address is not valid/, 'and is said');

# A session that runs send_task_completion_email() can be cancelled while the mail server is silent.
$peer->rules({ stage => 'mail', action => 'silence' });
($result, $warning) = warning_of(q{SET statement_timeout = '500ms'; SELECT rhesis_notify.send_task_completion_email('test@example.com', NULL, 'T', '1', 'failed')});
like($warning, qr/canceling statement due to statement timeout/, 'a session that waits for a silent server can be cancelled');
$peer->rules;

# ---- check_smtp ----

my $steps = $node->sql("SELECT string_agg(step || ' ' || ok, ', ') FROM rhesis_notify.check_smtp()");
is($steps, 'settings true, name lookup true, connect true, TLS true, authentication true, MAIL FROM true, RCPT TO true', 'check_smtp() goes step by step');
$before = $peer->mail_count;
# The peer may read the last command only after check_smtp() has returned, so wait for it.
$peer->wait_for_transcript(qr/ C MAIL FROM:<noreply\@rhesis\.example>[^\n]*\n\d+ S 250[^\n]*\n\d+ C RCPT TO:<noreply\@rhesis\.example>\n\d+ S 250[^\n]*\n\d+ C RSET/);
pass('up to RCPT TO, its own address, and sends nothing');
unlike($peer->transcript, qr/C RCPT TO:<noreply\@rhesis\.example>\n(?:.*\n)?.*C DATA/, '... no mail');
is($node->sql("SET rhesis_notify.smtp_helo_name = 'pod-7f'; SELECT ok, detail FROM rhesis_notify.check_smtp() WHERE step = 'connect'") =~ s/^SET\n//r =~ s/port \d+/port N/r,
	't|port N, EHLO pod-7f. Some servers refuse a name without a dot: then set rhesis_notify.smtp_helo_name', 'a name without a dot is warned of');
like($node->sql("SET rhesis_notify.smtp_helo_name = 'app.example.com'; SELECT ok, detail FROM rhesis_notify.check_smtp() WHERE step = 'connect'"), qr/^t\|port \d+, EHLO app\.example\.com$/m,
	'... one with a dot is not');

foreach my $case (
	# the problem, how to cause it, the step that fails, the hint
	[ 'a wrong password', [ password => 'another' ], [], 'authentication', qr/535.*Check rhesis_notify\.smtp_user and the password/s ],
	[ 'no STARTTLS', [ no_starttls => 1 ], [], 'TLS', qr/STARTTLS.*smtp_tls to none/ ],
	[ 'a foreign certificate', [ certificate => 'self-signed' ], [], 'TLS', qr/certificate/ ],
	[ 'a sender that is refused', [], [ { stage => 'mail', action => 'reply', text => '550 5.7.1 Sender not verified' } ], 'MAIL FROM', qr/550 5\.7\.1 Sender not verified.*Verify the sender/s ],
	[ 'a name that is refused after RCPT', [], [ { stage => 'rcpt', action => 'reply', text => '504 5.5.2 <pod>: Helo command rejected: need fully-qualified hostname' } ], 'RCPT TO', qr/smtp_helo_name/ ],
	[ 'a server that does not relay', [], [ { stage => 'rcpt', action => 'reply', text => '554 5.7.1 <noreply@rhesis.example>: Relay access denied' } ], 'RCPT TO', qr/smtp_user/ ],
	[ 'a server that does not relay, for now', [], [ { stage => 'rcpt', action => 'reply', text => '454 4.7.1 <noreply@rhesis.example>: Relay access denied' } ], 'RCPT TO', qr/smtp_user/ ],
	[ 'a reply that ends its sentence', [], [ { stage => 'mail', action => 'reply', text => '550 Who are you?' } ], 'MAIL FROM', qr/550 Who are you\? Verify the sender/ ],
	[ 'a quota', [], [ { stage => 'rcpt', action => 'reply', text => '452 4.5.3 Daily message limit exceeded' } ], 'RCPT TO', qr/max_rate/ ],
	[ 'a server that never greets', [], [ { stage => 'greeting', action => 'silence' } ], 'connect', qr/smtp_tls to implicit/ ],
	[ 'implicit TLS on another port', [ implicit_tls => 1 ], [], 'connect', qr/smtp_tls to implicit/ ],
	[ 'a login that is not offered', [ mechanisms => 'XOAUTH2' ], [], 'authentication', qr/smtp_auth/ ],
	[ 'a greeting that sends us away', [], [ { stage => 'greeting', action => 'reply', text => '554 5.3.2 No service here' } ], 'connect', qr/554/ ],)
{
	my ($what, $options, $rules, $step, $hint) = @$case;
	my $bad_peer = RhesisNotify::Peer->start(@$options);
	my $port = $bad_peer->port;
	my $check = "SET rhesis_notify.connect_timeout = '3s'; SET rhesis_notify.smtp_port = $port";

	$bad_peer->rules(@$rules);
	my $failed = $node->sql("$check; SELECT step || ': ' || detail FROM rhesis_notify.check_smtp() WHERE NOT ok") =~ s/^SET\n//gmr;
	like($failed, qr/^\Q$step\E: /, "check_smtp(): $what is found at the step $step");
	like($failed, $hint, "$what: it says what to do");
	unlike($failed, qr/\n/, "$what: no step comes behind the one that failed");
	unlike($failed, qr/[.!?]\./, "$what: each sentence ends once");
	$bad_peer->stop;
}

# The sender's address need not be a mailbox, so a reply about that address is no failure.
foreach my $reply ('550 5.1.1 <noreply@rhesis.example>: Recipient address rejected: User unknown', '450 4.7.1 Greylisted', '552 5.2.2 Mailbox full')
{
	my $picky = RhesisNotify::Peer->start;

	$picky->rules({ stage => 'rcpt', action => 'reply', text => $reply });
	like($node->sql('SET rhesis_notify.smtp_port = ' . $picky->port . "; SELECT bool_and(ok), string_agg(detail, ' ') FROM rhesis_notify.check_smtp()"),
		qr/^t\|.*\Q$reply\E\. That is about this address alone/m, "check_smtp(): $reply is no failure");
	$picky->stop;
}

# A server offers a login mechanism that cannot succeed there. The next mechanism is tried.
my $odd = RhesisNotify::Peer->start(mechanisms => 'CRAM-MD5 PLAIN LOGIN', refuse_mechanisms => 'CRAM-MD5 PLAIN');
like($node->sql('SET rhesis_notify.smtp_port = ' . $odd->port . "; SELECT ok, detail FROM rhesis_notify.check_smtp() WHERE step = 'authentication'"), qr/^t\|as \S+, LOGIN$/m,
	'check_smtp(): a login is tried by each mechanism, and it says which one succeeded');
like($node->sql('SET rhesis_notify.smtp_port = ' . $odd->port . "; SET rhesis_notify.smtp_auth = 'cram-md5'; SELECT ok, detail FROM rhesis_notify.check_smtp() WHERE step = 'authentication'"),
	qr/^f\|535 /m, '... smtp_auth says by which');
$odd->stop;
my $closed = RhesisNotify::Peer->start;
$closed->stop;
like($node->sql('SET rhesis_notify.smtp_port = ' . $closed->port . "; SELECT step || ': ' || detail FROM rhesis_notify.check_smtp() WHERE NOT ok"),
	qr/connect: .*Check rhesis_notify\.smtp_port/, 'a closed port is found at the step connect');
like($node->sql("SET rhesis_notify.smtp_host = 'no-such-host.invalid'; SELECT step || ': ' || detail FROM rhesis_notify.check_smtp() WHERE NOT ok"),
	qr/name lookup: .*spelling/, 'a name that does not exist is found at the step name lookup');
like($node->sql("SET rhesis_notify.smtp_host = ''; SELECT step || ': ' || detail FROM rhesis_notify.check_smtp() WHERE NOT ok"),
	qr/settings: .*SMTP_HOST/, 'a setting that is missing at the step settings');

# ---- Staging: all mails to one address ----

$node->reconfigure(redirect_all_to => 'staging@example.com', reply_to => 'Support <support@rhesis.example>');
$id = $node->report;
$row = $node->wait_for_state($id, 'sent');
$mail = ($peer->mails)[-1];
is_deeply($mail->envelope->{to}, ['staging@example.com'], 'redirect_all_to has every mail');
like($mail->raw, qr/^X-[\w-]*Original[\w-]*: jane\@example\.com\r$/mi, 'and a header says whose it was');
like($mail->raw_header('Reply-To'), qr/<support\@rhesis\.example>/, 'reply_to is in the mail');
$node->reconfigure(redirect_all_to => '');

# ---- Privileges ----

$node->sql("CREATE ROLE task LOGIN; CREATE ROLE operator LOGIN; SELECT rhesis_notify.grant_to('task'); SELECT rhesis_notify.grant_to('operator', 'operator')");
$id = $node->sql("SET ROLE task; SELECT rhesis_notify.task_completed('by a task', 'collect_results', 'success', user_id => '$JANE', organization_id => '$ACME')") =~ s/\D//gr;
$node->wait_for_state($id, 'sent');
is(($peer->mails)[-1]->header('Subject') =~ /Test Execution/ ? 1 : 0, 1, 'a task\'s role reports; a registered name is mailed with its template');
foreach my $forbidden (
	'SELECT rhesis_notify.pause()', "SELECT rhesis_notify.retry($id)", "SELECT rhesis_notify.cancel($id)", 'SELECT * FROM rhesis_notify.check_smtp()',
	"SELECT rhesis_notify.preview($id)", "UPDATE rhesis_notify.task_notifications SET delivery_status = 'pending'",
	"INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, recipient_email) VALUES ('x', 'x', 'success', 'victim\@example.com')",
	"SELECT rhesis_notify.send_task_completion_email('a\@example.com', 'x', 'x', 'x', 'success')",
	"SET rhesis_notify.smtp_host = 'evil.example'")
{
	like($node->sql_error("SET ROLE task; $forbidden"), qr/permission denied/, 'a task\'s role may not: ' . $forbidden =~ s/\s*\(.*//r);
}
is($node->sql("SET ROLE operator; SELECT rhesis_notify.pause() AND rhesis_notify.resume()") =~ s/^SET\n//r, 't', 'an operator\'s role works the queue');

$node->stop;
done_testing();
