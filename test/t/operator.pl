# Operator functions are safe at any moment, also beside a working worker: no mail is lost, sent
# twice, or sent after it was cancelled. The functions report the truth. An operator who keeps a
# transaction open stops no other mail.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;

my $peer = RhesisNotify::Peer->start(accept_delay => 10);
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '1h', max_attempts => 2 });
my $at_work = q{SELECT in_flight > 0 FROM rhesis_notify.worker_status};
my $nothing_due = q{SELECT count(*) = 0 FROM rhesis_notify.task_notifications WHERE delivery_status IN ('pending', 'sending')};

# Returns the number of mails of each notification.
sub mails_by_notification
{
	my %count;
	$count{ $_->raw_header('X-Notification-ID') }++ foreach $peer->mails;
	return %count;
}

sub ids
{
	my ($condition) = @_;
	return split /\n/, $node->sql("SELECT id FROM rhesis_notify.task_notifications WHERE $condition ORDER BY id");
}

# ---- cancel() while mails are sent ----

$peer->rules({ stage => 'mail', after => 100, action => 'hold' });
$node->report_many(400, task_name => 'app.cancelled');
$node->wait_for($at_work);
my $said_yes = $node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE rhesis_notify.cancel(id)});
$peer->rules;
$node->wait_for($nothing_due);
my %mails = mails_by_notification();
my @cancelled = ids(q{delivery_status = 'cancelled'});
my @sent = ids(q{delivery_status = 'sent'});
cmp_ok($said_yes, '>', 0, "cancel() of everything stops $said_yes mails");
is(scalar(@cancelled), $said_yes, 'as many as it says');
is_deeply([ grep { $mails{$_} } @cancelled ], [], 'none of them is mailed');
is_deeply([ grep { ($mails{$_} // 0) != 1 } @sent ], [], 'each other one is, once');
is(@cancelled + @sent, 400, 'nothing is lost');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.delivery_events WHERE event = 'cancelled'}), $said_yes, 'each has its event');

# ---- retry() and retry_failed() while mails are sent ----

$peer->rules({ stage => 'rcpt', action => 'reply', text => '550 5.1.1 No such user', count => 100 });
$node->report_many(300, task_name => 'app.retried');
$node->wait_for(q{SELECT count(*) >= 50 FROM rhesis_notify.task_notifications WHERE delivery_status = 'failed'});
my @sessions = map { RhesisNotify::Session->start($node) } 1 .. 2;
my $retried = 0;
foreach my $round (1 .. 5)
{
	$_->begin(q{SELECT rhesis_notify.retry_failed(now() - interval '1 hour')}) foreach @sessions;
	$retried += $_->result foreach @sessions;
}
$node->wait_for($nothing_due);
$retried += $node->sql(q{SELECT rhesis_notify.retry_failed(now() - interval '1 hour')});
$node->wait_for($nothing_due);
$_->quit foreach @sessions;
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name = 'app.retried' AND delivery_status = 'sent'}), 300,
	'what failed is sent when it is retried, by two operators at once');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.delivery_events WHERE event = 'retried'}), $retried, "retry_failed() counts what it retries: $retried");
%mails = mails_by_notification();
is_deeply([ grep { ($mails{$_} // 0) != 1 } ids(q{task_name = 'app.retried'}) ], [], 'each is mailed once');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE rhesis_notify.retry(id)}), $said_yes,
	'retry() of everything takes up what was cancelled, and nothing that was sent');
$node->wait_for($nothing_due);

# ---- pause() and resume() while mails are sent ----

my $before = $peer->mail_count;
$node->report_many(400, task_name => 'app.paused');
foreach my $round (1 .. 5)
{
	my $enough = $before + $round * 40;
	$peer->wait_for_mails($enough);
	is($node->sql('SELECT rhesis_notify.pause()'), 't', "pause $round");
	$node->wait_for(q{SELECT state = 'paused' AND paused AND in_flight = 0 FROM rhesis_notify.worker_status});
	my $count = $peer->mail_count;
	is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE delivery_status = 'sending'}), 0, 'what is on the wire goes out, the rest is given back');
	is($node->sql('SELECT rhesis_notify.pause()'), 'f', 'a second pause says that there is one');
	$node->sql(q{SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status}) if $round == 3;
	$node->wait_for(q{SELECT state = 'paused' FROM rhesis_notify.worker_status});
	is($peer->mail_count, $count, 'nothing is sent meanwhile' . ($round == 3 ? ', by a new worker neither' : ''));
	is($node->sql('SELECT rhesis_notify.resume()'), 't', 'resume');
}
$node->wait_for($nothing_due);
is($peer->mail_count, $before + 400, 'in the end each mail was sent once');

# ---- purge() while mails are sent ----

$before = $peer->mail_count;
my $rows = $node->sql('SELECT count(*) FROM rhesis_notify.task_notifications');
$node->report_many(400, task_name => 'app.purged');
my $removed = 0;
foreach my $enough (map { $before + $_ * 50 } 1 .. 6)
{
	$peer->wait_for_mails($enough);
	$removed += $node->sql(q{SELECT rhesis_notify.purge('0')});
}
$node->wait_for($nothing_due);
$removed += $node->sql(q{SELECT rhesis_notify.purge('0')});
is($peer->mail_count, $before + 400, 'purge() of everything keeps no mail from being sent');
is($removed, $rows + 400, 'and counts what it removes');

# ---- In a session with session_replication_role = replica, in which triggers and foreign keys have
# no effect ----

my $replica = 'SET session_replication_role = replica;';
$node->sql(q{
	CREATE TABLE public.receipt (notification_id bigint REFERENCES rhesis_notify.task_notifications ON DELETE CASCADE);
	WITH old AS (INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, finished_at)
			VALUES ('old', 'app.task', 'success', 'sent', now() - interval '20 days') RETURNING id),
		event AS (INSERT INTO rhesis_notify.delivery_events (notification_id, event) SELECT id, 'retried' FROM old)
	INSERT INTO public.receipt SELECT id FROM old});
is($node->sql("$replica SELECT rhesis_notify.purge('10 days')"), 1, 'purge() in a session of a replica');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.delivery_events AS e WHERE NOT EXISTS (SELECT FROM rhesis_notify.task_notifications AS n WHERE n.id = e.notification_id)}),
	0, 'takes the events with it');
is($node->sql('SELECT count(*) FROM public.receipt'), 0, "and an application's rows");
$node->sql('DROP TABLE public.receipt');
is($node->sql("$replica SELECT rhesis_notify.pause(), rhesis_notify.pause(), rhesis_notify.resume(), rhesis_notify.resume()"), 't|f|t|f', 'pause() and resume(), too');
is($node->sql("BEGIN; $replica SELECT FROM rhesis_notify.pause(), rhesis_notify.resume(), rhesis_notify.purge('10 days'); SHOW session_replication_role; COMMIT") =~ s/^\s+//r,
	'replica', 'the transaction goes on as one of a replica');

# ---- A row that an operator keeps locked ----

my $operator = RhesisNotify::Session->start($node);
$peer->rules({ stage => 'dot', action => 'silence', match => 'jose' });
my $held_up = $node->report(user_id => $RhesisNotify::Cluster::JOSE);
$node->wait_for_state($held_up, 'sending');
$operator->query('BEGIN');
is(($operator->query("SELECT rhesis_notify.cancel($held_up)"))[0], 'f', 'an operator is told that a mail is being sent, and keeps the transaction open');
$peer->stop;
$peer->rules;
$peer->start_again;
$before = $peer->mail_count;
$node->report_many(200, task_name => 'app.beside a locked row');
$node->wait_for(q{SELECT count(*) = 200 FROM rhesis_notify.task_notifications WHERE task_name = 'app.beside a locked row' AND delivery_status = 'sent'});
is($node->notification($held_up)->{delivery_status}, 'sending', 'the outcomes of all others are recorded');
$node->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND backend_xmin IS NULL AND state = 'idle'});
pass('and the worker waits in no transaction');
$operator->query('COMMIT');
$node->wait_for_state($held_up, 'deferred');
pass('its own follows when it is let go');

# After a reload, the worker exits only after it has recorded the outcome of such a row. Otherwise
# the mail would be sent twice.
$node->sql("SELECT rhesis_notify.retry($held_up)");
$node->wait_for_state($held_up, 'sent');
$peer->rules({ stage => 'accepted', action => 'hold' });
my $id = $node->report;
$node->wait_for_state($id, 'sending');
$operator->query('BEGIN');
$operator->query("UPDATE rhesis_notify.task_notifications SET result = '{}' WHERE id = $id");
$before = $node->worker('pid');
$node->reload;
$node->wait_for(q{SELECT state = 'stopping' FROM rhesis_notify.worker_status});
$peer->rules;
$operator->query('COMMIT');
$node->wait_for_state($id, 'sent');
%mails = mails_by_notification();
is($mails{$id}, 1, 'a worker that is to be replaced records first what was locked');
$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE pid <> $before AND state <> 'starting'");

# If a table is locked for long, the worker waits without holding a transaction open.
$node->sql('SELECT rhesis_notify.pause()');
$id = $node->report;
$node->lock_queue($operator);
$node->wait_for(q{SELECT last_error ~ 'keeps something locked' AND state = 'waiting after an error' FROM rhesis_notify.worker_status});
pass('a locked table is shown in worker_status');
$node->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND backend_xmin IS NULL AND state = 'idle'});
$operator->query('COMMIT');
$node->wait_for_state($id, 'sent');
pass('mail goes on afterwards');
$operator->quit;

$node->stop;
done_testing();
