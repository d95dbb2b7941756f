
# If and only if the transaction of a finished task commits, its row becomes one mail in the mailbox
# of the owner. SQL shows the outcome of each mail.
use strict;
use warnings FATAL => 'all';
use utf8;

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($ACME $GLOBEX $JANE $JOSE);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { 'server.max_prepared_transactions' => 5 });

# ---- One mail, from the row to the network ----

my $id = $node->report(
	task_id => '12345678-1234-5678-9012-123456789012',
	task_name => 'app.tasks.Execute Test Configuration',
	started_at => '2024-01-15 14:27:40+00',
	completed_at => '2024-01-15 14:30:25+00',
	result => '{"test_run_id": "abcd1234", "secret_result": "not for mails"}');
my $row = $node->wait_for_state($id, 'sent');
my ($mail) = $peer->wait_for_mails(1);
my $envelope = $mail->envelope;

is($envelope->{from}, 'noreply@rhesis.example', 'the envelope has the sender');
is_deeply($envelope->{to}, ['jane@example.com'], 'the envelope has the owner and nobody else');
like($envelope->{tls}, qr/^TLSv1\.[23]$/, 'the mail went over TLS');
is($envelope->{user}, 'mailer', 'the mail went behind a login');
like($peer->transcript, qr/ C STARTTLS\n.* C EHLO.* C AUTH /s, 'encryption came before the login');

like($mail->header('From'), qr/^"?Rhesis AI"? <noreply\@rhesis\.example>$/, 'From has the sender with its name');
like($mail->header('To'), qr/^"?Jane Doe"? <jane\@example\.com>$/, 'To has the owner with its name');
is($mail->header('Subject'), 'Task Completed: app.tasks.Execute Test Configuration - Success', 'Subject');
like($mail->raw_header('Date'), qr/^\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$/, 'Date is RFC 5322\'s');
is($mail->raw_header('MIME-Version'), '1.0', 'MIME-Version');
is($mail->raw_header('Auto-Submitted'), 'auto-generated', 'Auto-Submitted keeps holiday notes away');
is($mail->raw_header('X-Auto-Response-Suppress'), 'All', 'and X-Auto-Response-Suppress those of Exchange');
is($mail->raw_header('X-Notification-ID'), $id, 'X-Notification-ID is the row\'s id');
is($mail->raw_header('Reply-To'), '', 'no Reply-To where none is set');
like($mail->raw_header('Message-ID'), qr/^<[^<>\@\s]+\@rhesis\.example>$/, 'Message-ID is in the sender\'s domain');
is_deeply([ $mail->types ], [ 'text/plain', 'text/html' ], 'text first, then HTML');
unlike($mail->raw, qr/[^\r]\n|\r[^\n]/, 'each line ends in CR LF');
is_deeply([ grep { length > 998 } split /\r\n/, $mail->raw ], [], 'no line is longer than RFC 5322 allows');

foreach my $part ([ text => $mail->text ], [ HTML => $mail->html_as_seen ])
{
	my ($name, $content) = @$part;

	like($content, qr/✅ Task Completed/, "$name: the heading");
	like($content, qr/Hello Jane Doe,/, "$name: the greeting by name");
	like($content, qr/Your task has completed with status: SUCCESS/, "$name: the status");
	like($content, qr/Execute Test Configuration/, "$name: the task's name");
	like($content, qr/12345678-1234-5678-9012-123456789012/, "$name: the task's id");
	like($content, qr/2024-01-15 14:30:25 UTC/, "$name: when it was completed");
	like($content, qr/2m 45s/, "$name: how long it took");
	like($content, qr/abcd1234/, "$name: the test run");
	like($content, qr/Best regards,.*Rhesis AI Team/s, "$name: the end");
	unlike($content, qr/not for mails|secret_result/, "$name: nothing of the result that the template does not name");
	unlike($content, qr/\{\{|\}\}/, "$name: no tag is left");
}

like($mail->text, qr{View Results:?\s+https://app\.rhesis\.example/test-runs/abcd1234\n}, 'text: the link to the results');
like($mail->html, qr{<a [^>]*href="https://app\.rhesis\.example/test-runs/abcd1234"[^>]*>(?:<[^a][^>]*>)*View Results}, 'HTML: the button');

# ---- The views ----

is($row->{message_id}, $mail->raw_header('Message-ID'), 'the row has the Message-ID');
is($row->{recipient_email}, 'jane@example.com', 'the row has the address');
is($row->{smtp_reply}, '250 2.0.0 Ok: queued as 0001', 'the row has the server\'s reply');
is($row->{attempts}, 1, 'it took one attempt');
is($row->{delivery_reason}, undef, 'there is no reason to give');
is($row->{claimed_by}, undef, 'nobody holds the row');
isnt($row->{finished_at}, undef, 'it is finished');
is($node->sql("SELECT count(*) FROM rhesis_notify.delivery_events WHERE notification_id = $id"), 0, 'a success needs no event');
is($node->sql("SELECT recipient || ' ' || state FROM rhesis_notify.delivery_status WHERE id = $id"),
	'jane@example.com sent', 'delivery_status shows it');
is($node->sql("SELECT notifications FROM rhesis_notify.queue_status WHERE state = 'sent'"), 1, 'queue_status counts it');
is($node->worker('sent'), 1, 'worker_status counts it');
ok($node->log_contains('LOG:  Task completion email sent successfully to jane@example.com for task 12345678-1234-5678-9012-123456789012'),
	'the log says so');

# ---- A failed task ----

$id = $node->report(status => 'failed', user_id => $JOSE, error_message => "out of memory <at> line 1 & 2\nin export");
$node->wait_for_state($id, 'sent');
$mail = ($peer->wait_for_mails(2))[1];
is($mail->header('To') =~ s/"//gr, 'José Núñez <jose@example.com>', 'a name beyond ASCII arrives');
unlike($mail->raw, qr/[^\x00-\x7f]/, 'and only ASCII is on the wire');
like($mail->header('Subject'), qr/ - Failed$/, 'the subject says that it failed');
like($mail->text, qr/❌ Task Failed/, 'the text does');
like($mail->html_as_seen, qr/❌ Task Failed/, 'the HTML does');
like($mail->text, qr/out of memory <at> line 1 & 2\n\s*in export/, 'the text has the error as it is');
like($mail->html, qr/out of memory &lt;at&gt; line 1 &amp; 2/, 'the HTML has it escaped');

# ---- Only if the transaction commits ----

my $before = $peer->mail_count;
$node->sql('BEGIN; ' . RhesisNotify::Cluster::insert_of(task_id => 'rolled back') . '; ROLLBACK');
$node->sql('BEGIN; SAVEPOINT s; ' . RhesisNotify::Cluster::insert_of(task_id => 'taken back') . '; ROLLBACK TO s; '
	  . RhesisNotify::Cluster::insert_of(task_id => 'kept') . '; COMMIT');
$peer->wait_for_mails($before + 1);

like($node->sql_error(RhesisNotify::Cluster::insert_of(task_id => 'kept')), qr/duplicate key value violates unique constraint/,
	'a task that reports twice is told');
is($node->sql("SELECT rhesis_notify.task_completed('kept', 'app.tasks.export', 'success', user_id => '$JANE') IS NULL"),
	't', 'task_completed() ignores it');

# PREPARE TRANSACTION wakes no worker. After COMMIT PREPARED the row is mailed.
$node->sql('BEGIN; ' . RhesisNotify::Cluster::insert_of(task_id => 'prepared') . "; PREPARE TRANSACTION 'p'");
$node->sql("COMMIT PREPARED 'p'");
$node->report(task_id => 'after the prepared one');
$node->wait_for("SELECT count(*) = 2 FROM rhesis_notify.task_notifications WHERE task_id ~ 'prepared' AND delivery_status = 'sent'");
pass('a prepared transaction\'s row is mailed');

# ---- COPY, many rows, and their order ----

$node->sql(qq{COPY rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, template) FROM STDIN;
copy 1\tapp.copied\tsuccess\t$JANE\t$ACME\ttask_completion
copy 2\tapp.copied\tfailed\t$JANE\t$ACME\ttask_completion
\\.
});
$node->wait_for("SELECT count(*) = 2 FROM rhesis_notify.task_notifications WHERE task_name = 'app.copied' AND delivery_status = 'sent'");
pass('rows of COPY are mailed');

is($peer->mail_count, $before + 1 + 2 + 2, 'what was rolled back or reported twice sent no mail');
is($node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id IN ('rolled back', 'taken back')"), 0,
	'what was rolled back is not there');
my %seen;
$seen{ $_->raw_header('Message-ID') }++ foreach $peer->mails;
is_deeply([ grep { $seen{$_} > 1 } keys %seen ], [], 'each mail has a Message-ID of its own');

# ---- With and without PIPELINING ----

my $slow_peer = RhesisNotify::Peer->start(no_pipelining => 1);
$node->reconfigure(RhesisNotify::Cluster::peer_settings($slow_peer));
$node->report_many(20, task_name => 'app.unpipelined');
is(scalar(() = $slow_peer->wait_for_mails(20)), 20, 'a server without PIPELINING gets its mails');
is($node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE delivery_status <> 'sent'"), 0, 'nothing is left');

$node->stop;
done_testing();
