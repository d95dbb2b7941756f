
# A reply about a message decides about that message. A problem of the server decides about no
# message. Each failed attempt is recorded.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster qw($ACME $JANE);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve(
	'main',
	peer => $peer,
	settings => { retry_delay => '100ms', retry_max_delay => '400ms', max_attempts => 3 });

my $people = 0;

# Creates a user of Acme. Returns the id and the address.
sub somebody
{
	my $address = sprintf 'somebody.%d@example.com', ++$people;
	return ($node->sql("INSERT INTO public.\"user\" (email, name, organization_id) VALUES ('$address', 'Some Body', '$ACME') RETURNING id"), $address);
}

# ---- Replies about a message ----

foreach my $case (
	# stage, reply, how often, then: state, reason, attempts
	[ 'rcpt', '450 4.2.0 Mailbox busy', 1, 'sent', undef, 2 ],
	[ 'rcpt', '550 5.1.1 No such user', 1, 'failed', 'smtp_permanent', 1 ],
	[ 'data', '451 4.3.0 Try later', 1, 'sent', undef, 2 ],
	[ 'data', '554 5.6.0 Not like this', 1, 'failed', 'smtp_permanent', 1 ],
	[ 'dot', '451 4.3.0 Queue file write error', 2, 'sent', undef, 3 ],
	[ 'dot', '554 5.7.0 Content rejected', 1, 'failed', 'smtp_permanent', 1 ],
	[ 'rcpt', '451 4.7.1 Greylisted', 99, 'failed', 'attempts_exhausted', 3 ],)
{
	my ($stage, $reply, $count, $state, $reason, $attempts) = @$case;
	my ($code, $enhanced) = split ' ', $reply;
	my $what = "$reply, at $stage" . ($count > 1 ? ", $count times" : '');
	my ($user, $address) = somebody();
	my $before = $peer->mail_count;
	my $log_offset = -s $node->logfile;

	$peer->rules({ stage => $stage, action => 'reply', text => $reply, count => $count, $stage eq 'data' ? () : (match => $address) });
	my $id = $node->report(user_id => $user);
	my $row = $node->wait_for_state($id, $state);
	is($row->{delivery_reason}, $reason, "$what: is $state" . ($reason ? ", $reason" : ''));
	is($row->{attempts}, $attempts, "$what: after $attempts attempts");
	is($peer->mail_count, $before + ($state eq 'sent'), "$what: " . ($state eq 'sent' ? 'it has arrived, once' : 'it has not arrived'));

	my @events = $node->events($id);
	my $failures = $state eq 'sent' ? $attempts - 1 : $attempts;
	is(scalar(@events), $failures, "$what: each failure has its event");
	is_deeply([ map { $_->{event} } @events ], [ ('deferred') x ($attempts - 1), ('failed') x ($state eq 'failed') ],
		"$what: deferred until it is decided");
	is_deeply([ map { "$_->{smtp_code} $_->{enhanced_code}" } @events ], [ ("$code $enhanced") x $failures ], "$what: with the codes");
	is_deeply([ map { $_->{reply} } @events ], [ ($reply) x $failures ], "$what: with the reply");
	my $where = { rcpt => 'at RCPT TO', data => 'at DATA', dot => 'after the end of the message' }->{$stage};
	is_deeply([ map { $_->{detail}{message} } @events ], [ ($where) x $failures ], "$what: and where in the dialogue");
	if ($state eq 'failed')
	{
		is($row->{smtp_reply}, $reply, "$what: the row has the reply");
		like($node->log($log_offset), qr/WARNING:  Failed to send task completion email to \Q$address\E: \Q$reply\E\n/, "$what: the log says so");
	}
	if ($attempts == 3)
	{
		my $waits = $node->sql("SELECT min(wait) >= 75 AND max(wait) >= 150 FROM (SELECT 1000 * EXTRACT(epoch FROM
			occurred_at - lag(occurred_at) OVER (ORDER BY id)) AS wait FROM rhesis_notify.delivery_events WHERE notification_id = $id
			UNION ALL SELECT 1000 * EXTRACT(epoch FROM finished_at - max(occurred_at)) FROM rhesis_notify.delivery_events AS e
			JOIN rhesis_notify.task_notifications AS n ON n.id = notification_id WHERE n.id = $id AND delivery_status = 'sent' GROUP BY finished_at) AS waits");
		is($waits, 't', "$what: the second wait is longer than the first");
	}
}

# One worker claims three mails together and sends them over one connection.
$node->reconfigure(smtp_connections => 1);
my ($unknown, $unknown_address) = somebody();
my $said_before = length $peer->transcript;
$peer->rules({ stage => 'rcpt', action => 'reply', text => '550 5.1.1 No such user', match => $unknown_address });
$node->sql('SELECT rhesis_notify.pause()');
my @ids = map { $node->report(user_id => $_) } $JANE, $unknown, $JANE;
$node->sql('SELECT rhesis_notify.resume()');
$node->wait_for_state($ids[$_], [qw(sent failed sent)]->[$_]) foreach 0 .. 2;
like(substr($peer->transcript, $said_before), qr/^(\d+) S 550 5\.1\.1 No such user\n(?:.*\n)*?\1 C RSET\n(?:.*\n)*?\1 C MAIL/m,
	'a refused recipient costs a RSET, not the connection');
$node->reconfigure(smtp_connections => 4);

# ---- A problem of one message does not affect others ----

my ($refused, $refused_address) = somebody();
$peer->rules({ stage => 'rcpt', action => 'reply', text => '450 4.2.0 Mailbox busy', match => $refused_address });
my $waiting = $node->report(user_id => $refused);
my $passing = $node->report;
$node->wait_for_state($passing, 'sent');
pass('a mail behind one that is deferred goes out');
$node->wait_for_state($waiting, 'failed');

# A provider refuses one recipient with words and a code that could also be about the account.
$peer->rules({ stage => 'data', action => 'reply', count => 1, then => 'close',
	text => '421 Domain sandbox1.mailgun.org is not allowed to send: Sandbox subdomains are for test purposes only. '
	  . 'Please add your own domain or add the address to authorized recipients' });
$refused = $node->report;
is($node->wait_for_state($refused, 'failed')->{delivery_reason}, 'smtp_permanent', 'a recipient that a sandbox does not allow: its mail fails');
is($node->worker('backing_off_until'), '', '... and the others do not wait');
$peer->rules;
$node->wait_for_state($node->report, 'sent');

# ---- Problems of the server ----

sub costs_nothing
{
	my ($what, $bring, $mend, $error) = @_;
	my ($user) = somebody();

	$bring->();
	my $id = $node->report(user_id => $user);
	ok(eval { $node->wait_for("SELECT state = 'backing off' AND last_error ~ '$error' AND backing_off_until IS NOT NULL AND attempts = 0
			AND delivery_status <> 'failed' FROM rhesis_notify.worker_status, rhesis_notify.task_notifications WHERE id = $id"); 1 },
		"$what: the mail waits, it costs no attempt, and worker_status shows until when the server is left alone") or diag($@);
	$mend->();
	my $row = $node->wait_for_state($id, 'sent');
	is($row->{attempts}, 1, "$what: then it goes out, with its first attempt");
	is_deeply([ $node->events($id) ], [], "$what: nothing has happened to it");
	return;
}

my $well = sub { $peer->rules };
costs_nothing('a refused connection', sub { $peer->stop }, sub { $peer->start_again }, 'connect|refused');
costs_nothing('421 as the greeting', sub { $peer->stop; $peer->start_again;
	$peer->rules({ stage => 'greeting', action => 'reply', text => '421 4.3.2 Shutting down', then => 'close' }) }, $well, '421');
costs_nothing('421 for MAIL', sub { $peer->rules({ stage => 'mail', action => 'reply', text => '421 4.7.0 Not now', then => 'close' }) }, $well, '421');
costs_nothing('421 for RCPT', sub { $peer->rules({ stage => 'rcpt', action => 'reply', text => '421 4.7.0 Not now', then => 'close' }) }, $well, '421');
costs_nothing('a reset connection', sub { $peer->stop; $peer->start_again;
	$peer->rules({ stage => 'connect', action => 'close' }) }, $well, '.');
costs_nothing('garbage for a greeting', sub { $peer->stop; $peer->start_again;
	$peer->rules({ stage => 'greeting', action => 'garbage' }) }, $well, '.');

# These replies to RCPT and to the final dot are about the account, although most refusals at these
# stages are about the mail.
foreach my $case (
	[ 'rcpt', '504 5.5.2 <pod-7f>: Helo command rejected: need fully-qualified hostname', 'smtp_helo_name' ],
	[ 'rcpt', '554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied', "machine's address" ],
	[ 'dot', '554 5.2.252 SendAsDenied; a@b.example not allowed to send as c@b.example', 'from_email' ],)
{
	my ($stage, $reply, $hint) = @$case;
	my $log_offset = -s $node->logfile;

	costs_nothing($reply, sub { $peer->rules({ stage => $stage, action => 'reply', text => $reply }) }, $well, substr($reply, 0, 9));
	like($node->log($log_offset), qr/WARNING:  SMTP server .* is in trouble: \Q$reply\E\n(?:.*\n){0,2}.*HINT:  .*$hint/, "$reply: and a hint says what to do");
}

# If a server does not reply, connect_timeout ends the wait.
$node->reconfigure(connect_timeout => '2s');
costs_nothing('a server that never greets', sub { $peer->stop; $peer->start_again;
	$peer->rules({ stage => 'greeting', action => 'silence' }) }, $well, '.');
# These limits are long enough for a reply on a busy machine.
$node->reconfigure(connect_timeout => '60s', send_timeout => '10s');

# ---- In the middle of a message ----

$peer->rules({ stage => 'data', action => 'close', count => 1 });
my $id = $node->report;
my $row = $node->wait_for_state($id, 'sent');
is($row->{attempts}, 2, 'a connection lost at DATA costs an attempt: the message may be why');
is(($node->events($id))[0]{event}, 'deferred', 'and is on record');

$peer->rules({ stage => 'rcpt', action => 'silence', count => 1 });
$id = $node->report;
$row = $node->wait_for_state($id, 'sent');
is($row->{attempts}, 2, 'so does a server that falls silent');

# ---- A server that answers 354 although it refused the recipient ----

my $odd_peer = RhesisNotify::Peer->start(data_without_recipient => 1);
$node->reconfigure(RhesisNotify::Cluster::peer_settings($odd_peer));
$odd_peer->rules({ stage => 'rcpt', action => 'reply', text => '550 5.1.1 No such user', count => 1 });
$id = $node->report;
$row = $node->wait_for_state($id, 'failed');
is($row->{smtp_reply}, '550 5.1.1 No such user', 'the refusal counts, whatever is said to DATA');
$node->wait_for_state($node->report, 'sent');
is($odd_peer->mail_count, 1, 'and the next mail is the only one');

$node->stop;
done_testing();
