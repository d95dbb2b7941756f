
# A problem of a connection is not a problem of a mail. If a kept connection has died, a new one
# replaces it, without an attempt. If the server refuses a connection while others work, the worker
# uses fewer connections, and tries more later. If the server names a delay, the worker waits for
# it.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Parallel qw(in_parallel);
use RhesisNotify::Peer;
use Test::More;

my $PASSWORD = 'peer secret';
my $node = RhesisNotify::Cluster->serve(
	'main',
	bare => 1,
	settings => {
		'server.max_worker_processes' => 32, 'server.fsync' => 'off', smtp_ca_file => RhesisNotify::Peer::certificates() . '/ca.pem',
		smtp_user => 'mailer', smtp_password => $PASSWORD, retry_delay => '200ms', retry_max_delay => '200ms' });

# Creates a database with its own mail server. Returns both.
sub database
{
	my ($name, $peer_options, %settings) = @_;
	my $peer = RhesisNotify::Peer->start(password => $PASSWORD, %$peer_options);

	%settings = (smtp_host => 'localhost', smtp_port => $peer->port, %settings);
	$node->sql("CREATE DATABASE $name");
	$node->sql("ALTER DATABASE $name SET rhesis_notify.$_ = '$settings{$_}'") foreach sort keys %settings;
	$node->create_app($name);
	return { name => $name, peer => $peer };
}

sub value
{
	my ($database, $query) = @_;
	return $node->sql($query, $database->{name});
}

sub worker
{
	my ($database, $column) = @_;
	return value($database, "SELECT $column FROM rhesis_notify.worker_status WHERE database = current_database()");
}

sub wait_until_sent
{
	my ($database) = @_;
	$node->wait_for(q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications}, $database->{name});
	return;
}

sub attempts
{
	my ($database) = @_;
	return value($database, q{SELECT string_agg(DISTINCT attempts::text, ' ') FROM rhesis_notify.task_notifications});
}

sub refusals
{
	my ($database) = @_;
	return scalar(() = $database->{peer}->transcript =~ /rule: reply at greeting/g);
}

# ---- A kept connection that has died ----

# The ways in which the worker notices, at the next mail, that the connection has died.
my @deaths = (
	[ 'is closed', { action => 'close' } ],
	[ 'answers 421', { action => 'reply', text => '421 4.4.2 Timeout exceeded', then => 'close' } ],
	[ 'is silent', { action => 'silence' } ],);

sub stale
{
	my ($name, $rule, %options) = @_;
	my $database = database($name, \%options, smtp_connections => 1, send_timeout => $rule->{action} eq 'silence' ? '10s' : '60s');
	my $peer = $database->{peer};

	$node->report(database => $name, task_id => 'the first');
	wait_until_sent($database);
	$peer->rules({ stage => 'mail', connection => 1, %$rule });
	$node->report(database => $name, task_id => 'the second');
	wait_until_sent($database);
	return {
		attempts => attempts($database),
		connections => join(' ', map { $_->envelope->{connection} } $peer->mails),
		deferred => worker($database, 'deferred'),
		error => worker($database, q{coalesce(last_error, 'none')}) };
}

# ---- Too many connections ----

sub too_many
{
	my ($name, $text) = @_;
	my $database = database($name, { accept_delay => 20 }, smtp_connections => 8);
	my $peer = $database->{peer};
	my %seen;

	$peer->rules({ stage => 'greeting', above => 3, action => 'reply', text => $text, then => 'close' });
	$node->report_many(300, database => $database->{name});
	wait_until_sent($database);
	$seen{attempts} = attempts($database);
	$seen{copies} = $peer->mail_count;
	$seen{refusals} = refusals($database);
	$seen{error} = worker($database, 'last_error');
	my %connections = map { $_->envelope->{connection} => 1 } $peer->mails;
	$seen{connections} = keys %connections;

	# The server accepts more connections again. The worker opens them one by one while there is
	# work for them.
	$peer->rules;
	my $batches = 0;
	while (($seen{more} = worker($database, 'connections')) <= 4 && $batches++ < 200)
	{
		$node->report_many(60, database => $database->{name}, task_name => "app.batch $batches");
		$node->wait_for(q{SELECT count(*) < 60 FROM rhesis_notify.task_notifications WHERE delivery_status <> 'sent'}, $database->{name});
	}
	wait_until_sent($database);
	$seen{attempts_in_the_end} = attempts($database);
	return \%seen;
}

# ---- A connection that accepts no more mails ----

sub full
{
	my ($name, $rule) = @_;
	my $database = database($name, {}, smtp_connections => 2);

	$database->{peer}->rules({ mails => 10, action => 'reply', %$rule });
	$node->report_many(100, database => $name);
	wait_until_sent($database);
	return {
		attempts => attempts($database),
		copies => $database->{peer}->mail_count,
		refusals => scalar(() = $database->{peer}->transcript =~ /rule: reply at/g),
		deferred => worker($database, 'deferred'),
		error => worker($database, q{coalesce(last_error, 'none')}) };
}

my @full = (
	[ stalwart => { stage => 'data', text => '452 4.4.5 Maximum number of messages per session exceeded.' } ],
	[ exim => { stage => 'mail', text => '421 too many messages in this connection', then => 'close' } ],);
my @wordings = (
	[ postfix => '421 4.7.0 mail.example.com Error: too many connections from 127.0.0.1' ],
	[ ses => '421 Too many concurrent SMTP connections' ],
	[ other => '450 4.7.0 Error: too many connections' ],);
my @stale = map { my $death = $_; map { [ @$death, $_ ] } 1, 0 } @deaths;
my @seen = in_parallel(
	(map { my $wording = $_; sub { too_many('many_' . $wording->[0], $wording->[1]) } } @wordings),
	(map { my $number = $_; sub { stale("stale_$number", $stale[$number][1], $stale[$number][2] ? () : (no_pipelining => 1)) } } 0 .. $#stale),
	(map { my $full = $_; sub { full("full_$full->[0]", $full->[1]) } } @full));

foreach my $number (0 .. $#stale)
{
	my ($name, undef, $pipelining) = @{ $stale[$number] };
	my $seen = $seen[ @wordings + $number ];

	is($seen->{attempts}, 1, "a kept connection that $name, " . ($pipelining ? 'with' : 'without') . ' PIPELINING: no attempt is lost');
	is($seen->{connections}, '1 2', '... each mail is sent once, the second over a new connection');
	is($seen->{deferred}, 0, '... at once');
	is($seen->{error}, 'none', '... and the server is not thought to be in trouble');
}
foreach my $number (0 .. $#wordings)
{
	my ($name, $text) = @{ $wordings[$number] };
	my $seen = $seen[$number];

	is($seen->{attempts}, 1, "$text: no message loses an attempt");
	is($seen->{copies}, 300, '... each mail is sent, once');
	cmp_ok($seen->{refusals}, '<=', 16, '... the server is not asked again and again');
	is($seen->{error}, $text, '... worker_status tells of it');
	cmp_ok($seen->{more}, '>', 4, '... and when it takes more, more are used');
	is($seen->{attempts_in_the_end}, 1, '... no message has lost an attempt by that either');
}
foreach my $number (0 .. $#full)
{
	my $text = $full[$number][1]{text};
	my $seen = $seen[ @wordings + @stale + $number ];

	is($seen->{attempts}, 1, "$text: no message loses an attempt");
	is($seen->{copies}, 100, '... each mail is sent, once');
	cmp_ok($seen->{refusals}, '<=', 4, '... each of both connections meets the limit once, then it is known');
	is($seen->{deferred}, 0, '... at once');
	is($seen->{error}, 'none', '... and the server is not thought to be in trouble');
}
unlike($node->log, qr/asks for a slower pace/, 'nor is the pace slowed down');
like($node->log, qr/LOG:  SMTP server "localhost" port \d+ allows \d connections? at a time/, 'the log tells how many are used');
unlike($node->log, qr/is in trouble: 4.*too many/i, 'and there is no trouble');

# ---- A delay that the server names ----

my $named = database('named', {}, retry_max_delay => '1h', smtp_connections => 1);
$named->{peer}->rules({ stage => 'rcpt', action => 'reply', text => '450 4.7.1 Greylisted, try again in 300 seconds' });
my $id = $node->report(database => 'named', task_id => 'greylisted');
$node->wait_for_state($id, 'deferred', 'named');
is(value($named, "SELECT next_attempt_at - now() BETWEEN interval '200 s' AND interval '300 s' FROM rhesis_notify.task_notifications WHERE id = $id"),
	't', 'a delay named for a message is kept');
$named->{peer}->rules({ stage => 'mail', action => 'reply', text => '421 4.3.2 Try again in 200 seconds', then => 'close' });
$node->report(database => 'named', task_id => 'later');
$node->wait_for(q{SELECT backing_off_until - now() BETWEEN interval '100 s' AND interval '200 s' FROM rhesis_notify.worker_status WHERE database = current_database()}, 'named');
pass('a delay named for the server is kept');
is(value($named, q{SELECT attempts FROM rhesis_notify.task_notifications WHERE task_id = 'later'}), 0, '... and costs no attempt');

# Whatever delay a server names, the worker waits no longer than retry_max_delay.
my $patient = database('patient', {}, retry_delay => '20s', retry_max_delay => '10min', smtp_connections => 1);
foreach my $delay ('in 999999999 hours', 'in 99999999999999999999 seconds', 'after 999999:59:59', 'in 720 minutes')
{
	$patient->{peer}->rules({ stage => 'rcpt', action => 'reply', text => "450 4.7.1 Try again $delay" });
	$id = $node->report(database => 'patient');
	$node->wait_for_state($id, 'deferred', 'patient');
	is(value($patient, "SELECT next_attempt_at - now() BETWEEN interval '5 min' AND interval '10 min' FROM rhesis_notify.task_notifications WHERE id = $id"),
		't', "a message waits for retry_max_delay when a server says: $delay");
}
foreach my $delay ('in -5 minutes', 'in 0 seconds', 'in -999999999999999999999 hours')
{
	$patient->{peer}->rules({ stage => 'rcpt', action => 'reply', text => "450 4.7.1 Try again $delay" });
	$id = $node->report(database => 'patient');
	$node->wait_for_state($id, 'deferred', 'patient');
	is(value($patient, "SELECT next_attempt_at - now() BETWEEN interval '1 s' AND interval '20 s' FROM rhesis_notify.task_notifications WHERE id = $id"),
		't', "it waits for retry_delay when a server says: $delay");
}
$patient->{peer}->rules({ stage => 'mail', action => 'reply', text => '421 4.3.2 Try again in 999999999 hours', then => 'close' });
$node->report(database => 'patient');
$node->wait_for(q{SELECT backing_off_until - now() BETWEEN interval '5 min' AND interval '10 min' FROM rhesis_notify.worker_status WHERE database = current_database()}, 'patient');
pass('a server that names such a delay is left alone for retry_max_delay');

$node->stop;
done_testing();
