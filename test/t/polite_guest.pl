# A mail server that hangs holds up only mail: the extension has no open transaction, work on the
# database is possible, and the server stops fast in every state of the worker.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;
use Time::HiRes qw(time);

my $peer = RhesisNotify::Peer->start(receive_buffer => 65536);
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, allows_streaming => 1, settings => { retry_delay => '1s' });
my $in_flight = q{SELECT coalesce(sum(in_flight), 0) > 0 FROM rhesis_notify.worker_status WHERE database = 'postgres'};
my $all_sent = q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications};

# Runs a statement in a new session. Returns an error message if the statement fails or takes a
# minute.
sub at_once
{
	my ($statement) = @_;
	my $begin = time;
	my $error;
	local $ENV{PGOPTIONS} = ($ENV{PGOPTIONS} // '') . ' -c lock_timeout=60s -c statement_timeout=300s';

	$node->psql('postgres', $statement, stderr => \$error);
	return $error || (time - $begin < 60 ? '' : sprintf 'it took %.1f s', time - $begin);
}

# Checks that a fast shutdown takes less than a minute. Everything that it could wait for takes
# minutes, or ends at the limit of a look-up. The log would show this limit.
sub stops_fast
{
	my ($when) = @_;
	my $begin = time;
	my $log_offset = -s $node->logfile;

	$node->stop('fast');
	unlike($node->log($log_offset), qr/takes longer than/, "a fast shutdown while it is $when waits for no limit");
	cmp_ok(time - $begin, '<', 60, sprintf 'a fast shutdown while it is %s takes %.1f s', $when, time - $begin);
	return;
}

# ---- While the mail server hangs ----

$node->sql('CREATE DATABASE other');
$node->create_app('other');
$node->wait_for(q{SELECT count(*) FILTER (WHERE state = 'idle') = 2 FROM rhesis_notify.worker_status});

$peer->rules({ stage => 'dot', action => 'silence' });
$node->report_many(20, task_name => 'app.hanging');
$peer->wait_for_transcript(qr/\(mail of \d+ bytes\)/);

is( $node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'rhesis_notify'
		AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR xact_start IS NOT NULL)}),
	0, 'no transaction of ours is open');
is( $node->sql(q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type ~ 'rhesis_notify'}),
	0, 'no lock of ours is held');
foreach my $statement (
	'VACUUM FULL public."user"',
	'VACUUM rhesis_notify.task_notifications',
	'ALTER TABLE public."user" ADD COLUMN nickname text',
	'ALTER TABLE public.organization ALTER COLUMN name SET NOT NULL',
	'TRUNCATE public."user"',
	'DROP DATABASE other')
{
	is(at_once($statement), '', "$statement goes through");
	is($node->sql($in_flight), 't', '... while mails are hanging');
}

# ---- Dropped and created again while the mail server hangs ----

is(at_once('DROP EXTENSION rhesis_notify'), '', 'DROP EXTENSION goes through');
$peer->rules;
is(at_once('CREATE EXTENSION rhesis_notify'), '', 'the extension can be created again');
$node->sql(qq{INSERT INTO public."user" (id, email) VALUES ('$RhesisNotify::Cluster::JANE', 'jane\@example.com')});
my $id = $node->report(organization_id => undef);
$node->wait_for_state($id, 'sent');
pass('and mails although its predecessor\'s mails hang');

# ---- New settings while the mail server hangs ----

my $other_peer = RhesisNotify::Peer->start;
$peer->rules({ stage => 'rcpt', action => 'silence' });
$node->report_many(20, task_name => 'app.reloaded', organization_id => undef);
$node->wait_for($in_flight);
$node->reconfigure(RhesisNotify::Cluster::peer_settings($other_peer));
$node->wait_for(qq{SELECT count(*) = 20 FROM rhesis_notify.task_notifications WHERE task_name = 'app.reloaded' AND delivery_status = 'sent' AND attempts = 1});
is($other_peer->mail_count, 20, 'a reload takes mails away from a server that hangs before it has them, and costs no attempt');
$peer->rules;
$node->reconfigure(RhesisNotify::Cluster::peer_settings($peer));

# ---- A fast shutdown ----

# Each phase has a name, the rule that keeps the worker in it, and a query that is true while the
# worker is in it.
my @phases = (
	[ 'idle', undef, q{SELECT state = 'idle' FROM rhesis_notify.worker_status} ],
	[ 'in the middle of connecting', { stage => 'greeting', action => 'silence' }, $in_flight ],
	[ 'in the middle of the TLS handshake', { stage => 'tls', action => 'silence' }, $in_flight ],
	[ 'logging in', { stage => 'auth', action => 'silence' }, $in_flight ],
	[ 'waiting for the reply to RCPT', { stage => 'rcpt', action => 'silence' }, $in_flight ],
	[ 'waiting for the reply to a mail', { stage => 'dot', action => 'silence' }, $in_flight ],
	[ 'backing off', { stage => 'mail', action => 'reply', text => '421 4.3.2 Going down' }, q{SELECT state = 'backing off' FROM rhesis_notify.worker_status} ],
	[ 'sending', undef, q{SELECT count(*) > 5 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent' AND task_name = 'app.phase 8'} ],);
my $number = 0;
# The application's relation is slow.
my $slow = q{ALTER TABLE public."user" RENAME TO person;
	CREATE VIEW public."user" AS SELECT person.* FROM public.person, (SELECT pg_sleep(60) OFFSET 0) AS pause};
my $quick = q{DROP VIEW public."user"; ALTER TABLE public.person RENAME TO "user"};
$node->sql($slow);
$node->report(organization_id => undef);
$node->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND wait_event = 'PgSleep'});
stops_fast('looking recipients up');
$node->start;
$node->sql($quick);
$node->wait_for($all_sent);

# A synchronous standby does not answer, so commits wait for it.
{
	local $ENV{PGOPTIONS} = '-c synchronous_commit=local';
	my $waits = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND wait_event = 'SyncRep'};
	my $mails = $peer->mail_count;

	$node->sql("CREATE DATABASE bystander_$_") foreach 1 .. 3;
	$node->configure('server.synchronous_standby_names' => 'absent');
	$node->reload;
	$node->report_many(20, task_name => 'app.not replicated', organization_id => undef);
	$node->wait_for($waits);
	foreach my $number (1 .. 3)
	{
		is(at_once("DROP DATABASE bystander_$number"), '', 'a database can be dropped while the worker waits for a synchronous standby');
		$node->wait_for($waits);
	}
	is($peer->mail_count, $mails, 'nothing is mailed of which the standby has no claim');
	# A look-up of recipients would take a minute.
	$node->sql($slow);
	stops_fast('waiting for a synchronous standby, about to look recipients up');
	$node->configure('server.synchronous_standby_names' => '');
	$node->start;
	$node->sql($quick);
	$node->wait_for($all_sent);
}

foreach my $phase (@phases)
{
	my ($name, $rule, $reached) = @$phase;

	$number++;
	$peer->stop;
	$peer->rules($rule // ());
	$peer->start_again;
	$node->report_many($name eq 'sending' ? 2000 : 20, task_name => "app.phase $number", organization_id => undef)
	  unless $name eq 'idle';
	$node->wait_for($reached);
	stops_fast($name);
	$peer->rules;
	$node->start;
	$node->wait_for($all_sent);
}

# A mail larger than the socket buffers.
$node->sql(q{INSERT INTO rhesis_notify.templates (name, subject, html, text) VALUES ('big', 'big', '{{#big}}{{.}}{{/big}}', '{{#big}}{{.}}{{/big}}')});
$peer->rules({ stage => 'body', action => 'silence', bytes => 100_000 });
$node->report(organization_id => undef, template => 'big', result => '{"big": [' . join(', ', ('"' . 'x' x 3900 . '"') x 230) . ']}');
$peer->wait_for_transcript(qr/rule: silence at body/);
stops_fast('in the middle of a mail');
$peer->rules;
$node->start;
$node->wait_for($all_sent);

# What keeps the worker from sending: how to cause it, how to check it, how to end it. The deferred
# row may have been sent before the obstacle exists. So another row is reported that is certainly
# due.
sub lock_queue
{
	$node->sql('SELECT rhesis_notify.pause()');
	$node->report(organization_id => undef);
	return $node->lock_queue(RhesisNotify::Session->start($node));
}

sub hide_addresses
{
	$node->sql('ALTER TABLE public."user" RENAME email TO address');
	$node->report(organization_id => undef);
	return;
}
my @obstacles = (
	[ 'paused', sub { $node->sql('SELECT rhesis_notify.pause()') }, q{SELECT state = 'paused' FROM rhesis_notify.worker_status},
		'SELECT rhesis_notify.resume()' ],
	[ 'waiting for recipients', \&hide_addresses,
		q{SELECT state = 'waiting for recipients' FROM rhesis_notify.worker_status}, 'ALTER TABLE public."user" RENAME address TO email' ],
	[ 'waiting for a lock', \&lock_queue,
		q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND wait_event_type = 'Lock'}, 'SELECT true' ],
	[ 'waiting after an error', \&lock_queue, q{SELECT state = 'waiting after an error' FROM rhesis_notify.worker_status}, 'SELECT true' ],);
foreach my $obstacle (@obstacles)
{
	my ($name, $begin, $reached, $end) = @$obstacle;

	$node->wait_for(q{SELECT count(*) FILTER (WHERE state = 'idle') = 1 FROM rhesis_notify.worker_status});
	$peer->rules({ stage => 'rcpt', action => 'reply', text => '451 4.3.0 Not now', count => 1 });
	$node->wait_for_state($node->report(organization_id => undef), 'deferred');
	my $session = $begin->();
	$node->wait_for($reached);
	stops_fast($name);
	$node->start;
	$node->sql($end);
	$node->wait_for($all_sent);
}
pass('every mail was sent after all');

$node->stop;
done_testing();
