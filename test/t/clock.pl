# The server's clock is set back by an hour, and forward again. This makes no process sleep for an
# hour longer: a back-off, the start of a worker and a lower rate end by the new clock. A mail is
# sent when the new clock reaches its due time.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

# The library of a sanitizer must be loaded before all others, so no clock can be preloaded.
plan skip_all => 'a clock that can be set is preloaded, which sanitizers do not allow' if $ENV{RHESIS_SANITIZED};

my $hour = 3600;
my $directory = PostgreSQL::Test::Utils::tempdir('clock');
my $source = abs_path(dirname(__FILE__) . '/../peers/shifted_clock.c');

system('gcc', '-O2', '-shared', '-fPIC', '-o', "$directory/clock.so", $source) == 0 or die "could not build the clock\n";

# Sets the clock of all processes of the server at once: $shift is in seconds after the real time.
sub set_clock
{
	my ($shift) = @_;
	open(my $file, '+>>', "$directory/shift") or die "could not open the clock: $!\n";
	truncate($file, 8);
	close $file;
	open($file, '+<', "$directory/shift") or die "could not open the clock: $!\n";
	syswrite($file, pack('q', $shift)) == 8 or die "could not set the clock: $!\n";
	close $file;
	return;
}

# The clock is never before the real time, because the mail server's certificate becomes valid at
# the real time.
set_clock(3 * $hour);
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer,
	environment => { LD_PRELOAD => "$directory/clock.so", SHIFTED_CLOCK => "$directory/shift" },
	settings => { from_email => 'noreply@rhesis.example', frontend_url => 'https://app.rhesis.example', retry_delay => '1s' });

sub server_is_off_by
{
	return sprintf('%.0f', ($node->sql('SELECT extract(epoch FROM clock_timestamp())') - time) / $hour);
}

sub sends
{
	$node->wait_for_state($node->report, 'sent');
	return 1;
}

# By the shifted clock the database was created less than an hour ago. After the clock is set back
# by an hour, reports look older than the database. This must not be taken for a sign of a copy.
ok(sends(), 'mail goes out');

# ---- Back ----

# The worker ends just before the clock is set back: by then the launcher has timed the next start by
# the old clock.
$node->sql(q{SELECT pg_terminate_backend(pid, 5000) FROM rhesis_notify.worker_status});
set_clock(2 * $hour);
is(server_is_off_by(), 2, 'the server\'s clock is set back by an hour');
ok(sends(), 'a worker starts although its start was timed by the old clock');

# The worker backs off from the mail server. When the clock is set back, the end of the back-off is
# an hour away.
$peer->stop;
my ($waiting, $hurried) = ($node->report, $node->report);
$node->wait_for(q{SELECT state = 'backing off' FROM rhesis_notify.worker_status});
set_clock($hour);
$peer->start_again;
ok(sends(), 'a back-off that was timed by the old clock ends');
isnt($node->notification($_)->{delivery_status}, 'sent', 'a mail that was reported before is due at its own time') foreach $waiting, $hurried;
$node->sql("UPDATE rhesis_notify.task_notifications SET next_attempt_at = now() WHERE id = $hurried; SELECT rhesis_notify.wake_workers()");
$node->wait_for_state($hurried, 'sent');
pass('the due time of such a mail can be changed');

# ---- Forward ----

set_clock(2 * $hour);
is(server_is_off_by(), 2, 'the clock is set forward by an hour');
$node->wait_for_state($waiting, 'sent');
pass('a mail that is due by the new clock goes out, without a wake-up');

# ---- A lower rate that the mail server asks for ----

# Returns the decision of the step "pace" of explain() for a waiting mail.
sub pace
{
	my ($id) = @_;
	return $node->sql("SELECT decision FROM rhesis_notify.explain($id) WHERE step = 'pace'");
}

# 40 mails are sent. 100 seconds later by the clock, one mail is sent, and for the next one the
# server asks for a lower rate.
set_clock($hour);
$node->report_many(40);
$node->wait_for(q{SELECT count(*) = 40 FROM rhesis_notify.delivery_status WHERE task = 'batch' AND state = 'sent'});
set_clock($hour + 100);
sends();
$peer->rules({ stage => 'mail', action => 'reply', text => '450 4.2.1 Peak SMTP relay limit exceeded', count => 1 });
sends();
my ($slower) = $node->log =~ /asks for a slower pace: now at most ([\d.]+) mails per second/;
is($slower, '1.0', 'mails are counted by the new clock');

$node->sql('SELECT rhesis_notify.pause()');
$waiting = $node->report;
like(pace($waiting), qr/^[1-3]\.\d mails a second$/, 'the mail server has asked for a slower pace');
set_clock(0);
like(pace($waiting), qr/^[1-3]\.\d mails a second$/, 'the slower pace stays when the clock is set back');
set_clock(100);
is(pace($waiting), 'no limit', 'the slower pace does not last longer because of this');

$node->stop;
done_testing();
