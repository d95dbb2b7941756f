# A request of an operator is tried at once, even if the worker is backing off from a mail server or
# waits for unreadable recipients. A thousand requests do not cause a thousand attempts, and a
# report of a task is no such request.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $REQUESTS = 1000;
my $FEW = 25;
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);

# Makes the worker back off: the server names a delay that is longer than the test waits.
sub leave_alone
{
	my $id;

	$node->wait_for(q{SELECT bool_and(state = 'idle') FROM rhesis_notify.worker_status});
	$peer->rules({ stage => 'mail', action => 'reply', text => '421 4.3.2 Try again in 30 minutes', then => 'close' });
	$id = $node->report;
	$node->wait_for(q{SELECT state = 'backing off' AND backing_off_until > now() + interval '20 minutes' FROM rhesis_notify.worker_status});
	return $id;
}

sub advice
{
	my ($id, $step) = @_;
	return $node->sql("SELECT advice FROM rhesis_notify.explain($id) WHERE step = '$step'");
}

# ---- A mail server that the worker backs off from ----

my $first = leave_alone();
$node->wait_for_state($first, 'deferred');
my $second = $node->report;
my $until = $node->worker('backing_off_until');
$node->report foreach 1 .. 5;
is($node->worker('backing_off_until'), $until, 'a task that reports ends no wait');
like(advice($first, 'next'), qr/^At once: SELECT rhesis_notify\.retry\($first\);$/, 'explain() says how to try a deferred mail at once');
like(advice($second, 'next'), qr/^At once: SELECT rhesis_notify\.wake_workers\(\);$/, 'and a pending one');
$peer->rules;
is($node->sql("SELECT rhesis_notify.retry($first)"), 't', 'retry()');
$node->wait_for_state($_, 'sent') foreach $first, $second;
pass('the mail goes out at once, and all others with it');
is($node->worker('backing_off_until'), '', 'the server is not left alone any more');

$first = leave_alone();
$node->wait_for_state($first, 'deferred');
$peer->rules;
$node->sql('SELECT rhesis_notify.wake_workers()');
$node->wait_for(q{SELECT backing_off_until IS NULL FROM rhesis_notify.worker_status});
$node->sql("SELECT rhesis_notify.retry($first)");
$node->wait_for_state($first, 'sent');
pass('wake_workers() does the same');

leave_alone();
my $later = $node->report;
$node->sql('SELECT rhesis_notify.pause()');
$node->wait_for(q{SELECT paused FROM rhesis_notify.worker_status});
$peer->rules;
$node->sql('SELECT rhesis_notify.resume()');
$node->wait_for_state($later, 'sent');
pass('so does resume()');
$node->sql(q{SELECT rhesis_notify.retry(id) FROM rhesis_notify.task_notifications WHERE delivery_status = 'deferred'});
$node->wait_for(q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications});

$peer->rules({ stage => 'rcpt', action => 'reply', text => '550 5.1.1 No such user', count => 1 });
my $failed = $node->report;
$node->wait_for_state($failed, 'failed');
leave_alone();
$peer->rules;
is($node->sql(q{SELECT rhesis_notify.retry_failed(now() - interval '1 hour')}), 1, 'retry_failed()');
$node->wait_for_state($failed, 'sent');
pass('does, too');
$node->sql(q{SELECT rhesis_notify.retry(id) FROM rhesis_notify.task_notifications WHERE delivery_status = 'deferred'});
$node->wait_for(q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications});

# ---- The server is really down ----

$node->wait_for(q{SELECT bool_and(state = 'idle' AND connections = 0) FROM rhesis_notify.worker_status});
$peer->rules({ stage => 'greeting', action => 'reply', text => '421 4.3.2 Service not available', then => 'close' });
my $connections = () = $peer->transcript =~ / S 421 4\.3\.2 Service/g;
$node->report;
$node->wait_for(q{SELECT state = 'backing off' FROM rhesis_notify.worker_status});
$node->sql("DO \$\$ BEGIN FOR i IN 1..$REQUESTS LOOP PERFORM rhesis_notify.wake_workers(); COMMIT; END LOOP; END \$\$");
$connections = (() = $peer->transcript =~ / S 421 4\.3\.2 Service/g) - $connections;
cmp_ok($connections, '<=', $FEW, "$REQUESTS requests are $connections tries");
$peer->rules;
$node->wait_for(q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications});
pass('none of them is forgotten');

# ---- Recipients ----

# The time until which the worker waits.
my $until_recipients = q{SELECT (regexp_match(query, 'waiting until (\S+ \S+)'))[1]::timestamptz FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker'};

$node->sql('ALTER TABLE public."user" RENAME email TO mail');
$first = $node->report;
$node->wait_for("SELECT ($until_recipients) > now() + interval '7 seconds'");
$until = $node->sql($until_recipients);
like(advice($first, 'worker'), qr/SELECT rhesis_notify\.wake_workers\(\);$/, 'explain() says how to read recipients at once');
$node->sql('ALTER TABLE public."user" RENAME mail TO email');
$node->sql('SELECT rhesis_notify.wake_workers()');
$node->wait_for_state($first, 'sent');
is($node->sql("SELECT finished_at < '$until' FROM rhesis_notify.task_notifications WHERE id = $first"), 't', 'recipients are read again at once');

$node->stop;
done_testing();
