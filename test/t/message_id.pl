
# All attempts of a notification have the same Message-ID, and no other notification has it, even in
# another queue.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '100ms', retry_max_delay => '100ms' });
my $pattern = qr/^<rhesis-notify\.1\.[0-9a-f]{16}\@rhesis\.example>$/;

sub only_mail
{
	my ($what, $id) = @_;

	is($id, 1, "$what: the notification has the first number");
	my $row = $node->wait_for_state($id, 'sent');
	RhesisNotify::Peer::wait_until(sub { grep { $_->raw_header('Message-ID') eq $row->{message_id} } $peer->mails }, 'the mail is there');
	like($row->{message_id}, $pattern, "$what: its Message-ID");
	return $row->{message_id};
}

# ---- A queue whose ids start again ----

my %seen;
$seen{ only_mail('the first queue', $node->report(task_id => 'one')) }++;
$node->sql('TRUNCATE rhesis_notify.task_notifications RESTART IDENTITY CASCADE');
$seen{ only_mail('after TRUNCATE, another task', $node->report(task_id => 'two')) }++;
$node->sql('TRUNCATE rhesis_notify.task_notifications RESTART IDENTITY CASCADE');
$seen{ only_mail('after TRUNCATE, a task of the same id', $node->report(task_id => 'one')) }++;
$node->sql('DROP EXTENSION rhesis_notify');
$node->sql('CREATE EXTENSION rhesis_notify');
$seen{ only_mail('after DROP and CREATE EXTENSION', $node->report(task_id => 'one')) }++;
is_deeply([ sort { $a <=> $b } values %seen ], [ 1, 1, 1, 1 ], 'each has its own');
is_deeply([ sort map { $_->raw_header('Message-ID') } $peer->mails ], [ sort keys %seen ], 'which is that of its mail');

# ---- The attempts of one notification ----

$node->reconfigure(retry_delay => '1h', retry_max_delay => '1h');
$peer->rules({ stage => 'rcpt', action => 'reply', text => '450 4.2.0 Mailbox busy' });
my $id = $node->report;
$node->wait_for("SELECT attempts > 0 FROM rhesis_notify.task_notifications WHERE id = $id");
my $message_id = $node->notification($id)->{message_id};
like($message_id, qr/^<rhesis-notify\.$id\./, 'an attempt that failed has left its Message-ID');
$peer->rules;
$node->sql("UPDATE rhesis_notify.task_notifications SET created_at = created_at - interval '10 seconds', task_id = 'renamed', next_attempt_at = now() WHERE id = $id;
	SELECT rhesis_notify.wake_workers()");
is($node->wait_for_state($id, 'sent')->{message_id}, $message_id, 'the next one has it too, although the row was changed');
is(($peer->mails)[-1]->raw_header('Message-ID'), $message_id, 'in the mail');

# ---- A value that somebody wrote into the column ----

$node->sql('SELECT rhesis_notify.pause()');
my %written = (theirs => '<theirs@elsewhere.example>', none => '<no-at-sign>', two => '<a@b@c>', line => "<a\@b>\nBcc: x\@y");
my %ids = map { $_ => $node->report } keys %written;
$node->sql('UPDATE rhesis_notify.task_notifications SET message_id = ' . RhesisNotify::Cluster::literal($written{$_}) . " WHERE id = $ids{$_}") foreach keys %written;
$node->sql('SELECT rhesis_notify.resume()');
foreach my $what (sort keys %written)
{
	my $row = $node->wait_for_state($ids{$what}, 'sent');
	$what eq 'theirs'
	  ? is($row->{message_id}, $written{$what}, 'one that is a Message-ID stays')
	  : like($row->{message_id}, qr/^<rhesis-notify\.$ids{$what}\./, "$what: one that is none is replaced");
}

# ---- Mails that are not in the queue ----

my $mails = $peer->mail_count;
$node->sql(q{SELECT rhesis_notify.send_task_completion_email('jane@example.com', 'Jane', 'Export', 'one', 'success')}) foreach 1 .. 2;
my ($one, $two) = map { $_->raw_header('Message-ID') } ($peer->mails)[ $mails, $mails + 1 ];
like($_, qr/^<rhesis-notify\.-\d+\.[0-9a-f]{16}\@rhesis\.example>$/, 'send_task_completion_email() makes a Message-ID') foreach ($one, $two);
isnt($one, $two, 'another one for each mail');

$node->stop;
done_testing();
