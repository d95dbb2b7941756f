
# If a mail server is in trouble, the worker backs off. No mail loses an attempt, the worker sends
# one probe at a time, and an operator sees the problem. After the server is back, the next probe
# finds it, and all waiting mails are sent once.
use strict;
use warnings FATAL => 'all';

use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Document qw(document_section write_section one_spelling);
use RhesisNotify::Parallel qw(in_parallel);
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes qw(time);

my $PASSWORD = 'peer secret';

# Each fault has its own database and its own mail server:
#   name          of the fault and of its database
#   begin, end    make the server misbehave and behave; end is by default the removal of all rules
#   settings      of the database, in addition to those of its peer
#   error         a pattern for the text that an operator reads in last_error
#   reason        of the notification that met the fault
#   in_document   the name of the fault in doc/reliability.md, which shows psql's output
#   mails         the number of mails that wait; the default is 5
#   no_end        true if the server stays unreachable
my %refused = (action => 'reply', then => 'close');
my @faults = (
	{
		name => 'refused',
		begin => sub { shift->stop },
		end => sub { shift->start_again },
		error => qr/Failed to connect to localhost(?: port |:)\d+.*(?:Couldn't|Could not) connect to server/,
		reason => 'connection',
		in_document => 'a server that is down',
		mails => 50 },
	{
		name => 'silent',
		begin => sub { shift->rules({ stage => 'greeting', action => 'silence' }) },
		settings => { connect_timeout => '1s' },
		error => qr/timed out|timeout/i,
		reason => 'timeout',
		in_document => 'a server that hangs' },
	{
		name => 'wrong_certificate',
		begin => sub { shift->certificate('wrong-name') },
		end => sub { shift->certificate('good') },
		error => qr/certificate|subject name/i,
		reason => 'tls',
		in_document => 'a certificate of another name' },
	{
		name => 'expired_certificate',
		begin => sub { shift->certificate('expired') },
		end => sub { shift->certificate('good') },
		error => qr/certificate has expired/,
		reason => 'tls' },
	{
		name => 'no_starttls',
		begin => sub { shift->rules({ stage => 'ehlo', action => 'reply', text => "250-peer.test\n250 SIZE 1000000" }) },
		error => qr/STARTTLS/,
		reason => 'tls' },
	{
		name => 'login',
		begin => sub { shift->rules({ stage => 'auth', action => 'reply', text => '535 5.7.8 Username and Password not accepted' }) },
		error => qr/^535 5\.7\.8 Username and Password not accepted$/,
		reason => 'auth',
		in_document => 'a refused login' },
	{
		name => 'temporary_login',
		begin => sub { shift->rules({ stage => 'auth', action => 'reply', text => '454 4.7.0 Temporary authentication failure' }) },
		error => qr/^454 4\.7\.0 Temporary authentication failure$/,
		reason => 'auth' },
	{
		name => 'closing',
		begin => sub { shift->rules({ stage => 'greeting', text => '421 4.3.2 Service shutting down', %refused }) },
		error => qr/^421 4\.3\.2 Service shutting down$/,
		reason => 'connection' },
	{
		name => 'sender',
		begin => sub { shift->rules({ stage => 'mail', action => 'reply', text => '550 5.7.1 Sender not verified' }) },
		error => qr/^550 5\.7\.1 Sender not verified$/,
		reason => 'auth' },
	{
		name => 'quota',
		begin => sub { shift->rules({ stage => 'dot', action => 'reply', text => '454 Throttling failure: Daily message quota exceeded. Try again in 3 seconds' }) },
		error => qr/Daily message quota exceeded/,
		reason => 'quota',
		in_document => 'a used-up quota' },
	{
		name => 'unknown_name',
		begin => sub { },
		settings => { smtp_host => 'mail.invalid', connect_timeout => '2s' },
		error => qr/resolve|resolving/i,
		reason => 'connection',
		no_end => 1 },
	{
		name => 'unreachable',
		begin => sub { },
		settings => { smtp_host => '255.255.255.255', connect_timeout => '2s' },
		error => qr/connect/i,
		reason => 'connection',
		no_end => 1 });

my $node = RhesisNotify::Cluster->serve(
	'main',
	bare => 1,
	settings => {
		'server.max_worker_processes' => 32, 'server.fsync' => 'off', smtp_ca_file => RhesisNotify::Peer::certificates() . '/ca.pem',
		smtp_user => 'mailer', smtp_password => $PASSWORD, connect_timeout => '60s', send_timeout => '60s' });

sub sql_of
{
	my ($fault, $query) = @_;
	return $node->sql($query, $fault->{name});
}

sub wait_in
{
	my ($fault, $query) = @_;
	return $node->wait_for($query, $fault->{name});
}

# Runs one fault in a child process, from the first failure to the last mail. Returns what was
# observed.
sub run_fault
{
	my ($fault) = @_;
	my $peer = $fault->{peer};
	my $mails = $fault->{mails} // 5;
	my $database = $fault->{name};
	my %settings = (smtp_host => 'localhost', smtp_port => $peer->port, %{ $fault->{settings} // {} });
	my %seen;

	$node->sql("CREATE DATABASE $database");
	$node->sql("ALTER DATABASE $database SET rhesis_notify.$_ = '$settings{$_}'") foreach sort keys %settings;
	$node->create_app($database);
	$node->sql("SELECT rhesis_notify.grant_to('operator', 'operator')", $database);
	$fault->{begin}->($peer);
	$node->report_many($mails, task_name => 'app.waits', database => $database);

	# Wait for the first failure, and then for the back-off after a later one, that of a probe.
	wait_in($fault, 'SELECT count(*) > 0 FROM rhesis_notify.task_notifications WHERE smtp_reply IS NOT NULL');
	my $since = sql_of($fault, q{SELECT last_error_at FROM rhesis_notify.worker_status WHERE database = current_database()});
	$seen{psql} = psql_of_pause($fault, $since);
	$seen{error} = sql_of($fault, 'SELECT last_error FROM rhesis_notify.worker_status WHERE database = current_database()');
	$seen{attempts} = sql_of($fault, 'SELECT sum(attempts) FROM rhesis_notify.task_notifications');
	$seen{states} = sql_of($fault, q{SELECT string_agg(DISTINCT delivery_status::text, ' ') FROM rhesis_notify.task_notifications WHERE delivery_status NOT IN ('pending', 'sending', 'deferred')});
	$seen{reasons} = sql_of($fault, 'SELECT string_agg(DISTINCT delivery_reason, \' \') FROM rhesis_notify.task_notifications');
	$seen{events} = sql_of($fault, 'SELECT count(*) FROM rhesis_notify.delivery_events');
	return \%seen if $fault->{no_end};

	# The server works again. The next connection is a probe, and then all mails are sent.
	($fault->{end} // sub { shift->rules() })->($peer);
	my $before = connections($peer);
	wait_in($fault, q{SELECT count(*) > 0 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});
	my ($accepted) = $peer->transcript =~ /^(\d+) S 250 2\.0\.0 Ok: queued as 0001/m;
	$seen{new_connections} = !defined $accepted ? 'none was accepted' : $accepted > $before ? $accepted - $before : 0;
	wait_in($fault, q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications});
	$seen{attempts_in_the_end} = sql_of($fault, 'SELECT string_agg(DISTINCT attempts::text, \' \') FROM rhesis_notify.task_notifications');
	$seen{copies} = $peer->mail_count;
	my %ids = map { $_->raw_header('Message-ID') => 1 } $peer->mails;
	$seen{different} = scalar(keys %ids);
	$seen{status} = sql_of($fault, q{SELECT state <> 'backing off' AND backing_off_until IS NULL FROM rhesis_notify.worker_status WHERE database = current_database()});
	return \%seen;
}

# Returns the number of the last connection.
sub connections
{
	my ($peer) = @_;
	my @numbers = $peer->transcript =~ /^(\d+) - connected$/mg;
	return @numbers ? $numbers[-1] : 0;
}

# Returns the output of psql for an operator.
sub psql_of
{
	my ($database) = @_;
	my @queries = (
		q{SELECT state, last_error FROM rhesis_notify.worker_status;},
		q{SELECT * FROM rhesis_notify.queue_status WHERE notifications > 0;});
	my @options = ('-X', '-q', '-d', $node->connstr($database), '-c', q{SET ROLE operator});

	return join '', map { my ($out) = run_command([ 'psql', @options, '-c', $_ ]); "=> $_\n$out\n" } @queries;
}

# As psql_of(), while the worker backs off after an error that is later than $since. If the back-off
# ends before psql has asked, waits for the next one.
sub psql_of_pause
{
	my ($fault, $since) = @_;
	my $psql;

	do
	{
		wait_in($fault, qq{SELECT state = 'backing off' AND backing_off_until > now() AND last_error_at > '$since' FROM rhesis_notify.worker_status WHERE database = current_database()});
		$psql = psql_of($fault->{name});
	} until $psql =~ /backing off/;
	return $psql;
}

# In worker_status, this role sees only the worker of the database that it is connected to.
$node->sql('CREATE ROLE operator');

$_->{peer} = RhesisNotify::Peer->start(password => $PASSWORD) foreach @faults;
my @seen = in_parallel(map { my $fault = $_; sub { run_fault($fault) } } @faults);
my $log = $node->log;

foreach my $number (0 .. $#faults)
{
	my ($fault, $seen) = ($faults[$number], $seen[$number]);
	my $name = $fault->{name};
	my $mails = $fault->{mails} // 5;
	my $port = $fault->{peer}->port;
	my @warnings = $log =~ /WARNING:  SMTP server "[^"]*" port $port is in trouble/g;

	like($seen->{error}, $fault->{error}, "$name: worker_status tells of it");
	is($seen->{attempts}, 0, "$name: no attempt is used");
	is($seen->{states}, '', "$name: all mail waits");
	is($seen->{reasons}, $fault->{reason}, "$name: the reason is $fault->{reason}");
	is($seen->{events}, 0, "$name: it is no event of a message");
	is(scalar @warnings, 1, "$name: one warning, not one for each message or probe");
	next if $fault->{no_end};
	# It is 0 if the probe used a connection that was already open.
	like($seen->{new_connections}, qr/^[01]$/, "$name: the first probe after the server's return gets through");
	is($seen->{attempts_in_the_end}, 1, "$name: each mail has used one attempt in the end");
	is("$seen->{copies} $seen->{different}", "$mails $mails", "$name: all $mails are delivered once each");
	is($seen->{status}, 't', "$name: nothing is left of the pause");
}

# Returns the lines of psql's output about the worker, without numbers and column widths.
sub of_worker
{
	my ($psql) = @_;
	return one_spelling((split /^=> /m, $psql)[1]) =~ s/\d+/0/gr =~ s/-+/-/gr =~ s/ +/ /gr;
}
foreach my $number (grep { $faults[$_]{in_document} } 0 .. $#faults)
{
	my $name = "psql: $faults[$number]{in_document}";
	my $psql = "```\n" . $seen[$number]{psql} =~ s/\n+\z/\n/r . "```\n";

	write_section($name, $psql);
	is(of_worker(document_section($name)), of_worker($psql), "doc/reliability.md shows $faults[$number]{in_document} as it is");
}
like($log, qr/LOG:  SMTP server "localhost" port \d+ is back/, 'the log tells of the return');

$node->stop;
done_testing();
