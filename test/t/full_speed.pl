# Workers and servers are ended at full speed: some thousand mails per second over 16 connections,
# on a server with fsync. No mail is lost. A mail that was recorded is never sent again. A mail that
# was sent twice had been claimed and not recorded. If mails in doubt are held, no mail is sent
# twice.
#
# The moments are random. The log has the SEED with which they can be repeated.
use strict;
use warnings FATAL => 'all';

use List::Util qw(max shuffle sum uniq);
use RhesisNotify::Cluster qw($ACME);
use RhesisNotify::Sink;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $connections = 16;
my $most_claimed = 16 * $connections;
my $sink = RhesisNotify::Sink->start('full_speed_sink');
my $node = RhesisNotify::Cluster->serve('main', settings => {
	$sink->settings,
	smtp_connections => $connections,
	retry_delay => '100ms',
	log_deliveries => 'off',
	'server.fsync' => 'on',
	'server.restart_after_crash' => 'on' });

# The ways to end a worker. `end` gets its process id. `revive` starts the server again, where no
# process does this by itself. `is_crash` means that the worker has no time to record outcomes.
my $terminated = { end => sub { kill 'TERM', shift } };
my $killed = { end => sub { kill 'KILL', shift }, is_crash => 1 };
my $restarted = { end => sub { $node->stop('fast') }, revive => sub { $node->start } };
my $crashed = { end => sub { $node->stop('immediate') }, revive => sub { $node->start }, is_crash => 1 };

my $seed = $ENV{SEED} // time;
srand $seed;
diag("SEED=$seed");

# The number of finished tasks with this name.
my %queued;

# Reports more tasks while the queue is paused, each for another user. The task_id of a row is the
# local part of the recipient, by which the sink identifies the mail.
sub queue
{
	my ($name, $rows) = @_;
	my $first = ($queued{$name} // 0) + 1;

	$queued{$name} += $rows;
	$node->sql(qq{
		SELECT rhesis_notify.pause();
		WITH u AS (
			INSERT INTO public."user" (email, name, organization_id)
			SELECT '$name-' || n || '\@example.com', 'Jane Doe', '$ACME' FROM generate_series($first, $queued{$name}) AS n
			RETURNING id, email, organization_id)
		INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, template)
		SELECT split_part(email, '\@', 1), '$name', 'success', id, organization_id, 'task_completion' FROM u;
		ANALYZE});
	return;
}

# Ends the pause when at least $rows rows wait. If too few wait, adds $more rows before.
sub resume_with
{
	my ($name, $rows, $more) = @_;

	$node->sql('SELECT rhesis_notify.pause()');
	queue($name, $more) if $rows > $node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name = '$name' AND delivery_status = 'pending'");
	$node->sql('SELECT rhesis_notify.resume()');
	return;
}

# Ends the worker as $deed says, and waits for the next one. Returns $deed with what was true before:
# the epoch of the worker, the number of waiting rows, the rows that were recorded as sent, and the
# time when these were read. If no row was waiting, does nothing and returns nothing.
sub end_worker
{
	my ($name, $deed) = @_;
	my ($pid, $epoch, $waiting, $recorded) = split /\|/, $node->sql(qq{
		SELECT pid, epoch, count(*) FILTER (WHERE delivery_status = 'pending'), string_agg(task_id, ' ') FILTER (WHERE delivery_status = 'sent')
		FROM rhesis_notify.worker_slots(), rhesis_notify.task_notifications
		WHERE database = current_database() AND task_name = '$name' GROUP BY pid, epoch});
	my $moment = clock_gettime(CLOCK_MONOTONIC);

	return unless $waiting;
	$deed->{end}->($pid);
	$deed->{revive}->() if $deed->{revive};
	$node->wait_for("SELECT pid <> $pid FROM rhesis_notify.worker_slots() WHERE database = current_database()");
	return { %$deed, epoch => $epoch, waiting => $waiting, recorded => [ split ' ', $recorded ], moment => $moment };
}

# Sends mails, and meanwhile ends the worker in each of these ways. Returns the results of
# end_worker(). If the worker has sent all mails before the next one, adds more mails.
sub drain
{
	my ($name, $rows, @deeds) = @_;
	my @ends;

	foreach my $deed (@deeds)
	{
		my $end;

		until ($end)
		{
			# Wait for more mails than one worker can have claimed, so that the next worker is at
			# work.
			my $mails = $most_claimed + int rand 700;
			resume_with($name, $mails + 2 * $most_claimed, $rows);
			$sink->mail_count($sink->mail_count + $mails);
			$end = end_worker($name, $deed);
		}
		push @ends, $end;
	}
	$node->wait_for("SELECT NOT EXISTS (SELECT FROM rhesis_notify.task_notifications WHERE delivery_status IN ('pending', 'deferred', 'sending'))");
	return @ends;
}

# Checks what must be true for both values of in_doubt. Returns the rows, and the times when the
# sink accepted their mails, both by task_id.
sub check
{
	my ($name, @ends) = @_;
	my (%rows, %moments);

	foreach my $line (split /\n/, $node->sql(qq{
		SELECT task_id, delivery_status, delivery_reason, attempts,
			(SELECT count(*) FROM rhesis_notify.delivery_events WHERE notification_id = n.id AND event = 'in_doubt')
		FROM rhesis_notify.task_notifications AS n WHERE task_name = '$name'}))
	{
		my ($task_id, @facts) = split /\|/, $line;
		@{ $rows{$task_id} }{qw(state reason attempts in_doubt)} = @facts;
	}
	foreach my $mail (grep { $_->[0] =~ /^$name-/ } $sink->mails)
	{
		push @{ $moments{ $mail->[0] } }, $mail->[1];
	}
	my %left = map { split /\|/ } split /\n/, $node->sql(qq{
		SELECT coalesce(e.detail ->> 'epoch', 'none'), count(*)
		FROM rhesis_notify.delivery_events AS e JOIN rhesis_notify.task_notifications AS n ON n.id = e.notification_id
		WHERE task_name = '$name' AND event = 'in_doubt' GROUP BY 1});

	is(scalar(grep { $_->{waiting} > 0 && @{ $_->{recorded} } > 0 } @ends), @ends, "$name: each of " . @ends . ' ends came in the middle');
	is(scalar(keys %rows), $queued{$name}, "$name: each row is there");
	is_deeply([ grep { $rows{$_}{state} eq 'sent' && !$moments{$_} } keys %rows ], [], "$name: what is recorded as sent was accepted");
	is_deeply([ uniq(map { my $end = $_; grep { max(@{ $moments{$_} // [0] }) > $end->{moment} } @{ $end->{recorded} } } @ends) ],
		[], "$name: what was recorded is never sent again");
	# A crash need not leave mails in doubt: when the signal arrives, some time after end_worker()
	# has counted the waiting rows, the worker may have no claimed rows.
	my %crashed = map { $_->{epoch} => 1 } grep { $_->{is_crash} } @ends;
	is_deeply([ grep { !$crashed{$_} } keys %left ], [], "$name: SIGTERM and fast shutdowns leave no mail in doubt");
	ok(scalar(keys %left), "$name: crashes leave mails in doubt");
	cmp_ok(max(0, values %left), '<=', $most_claimed, "$name: no crash leaves more mails in doubt than a worker claims");
	is_deeply([ grep { $rows{$_}{attempts} != $rows{$_}{in_doubt} + ($rows{$_}{state} eq 'sent') } keys %rows ],
		[], "$name: each row has counted its attempts");
	return (\%rows, \%moments);
}

# Returns the highest rate, in mails per second, of $count consecutive mails.
sub pace
{
	my ($count) = @_;
	my @moments = map { $_->[1] } $sink->mails;

	return max(map { $count / ($moments[ $_ + $count ] - $moments[$_]) } 0 .. $#moments - $count);
}

# ---- Mails in doubt are sent again ----

my @ends = drain('again', 40_000, shuffle(($terminated, $killed, $restarted, $crashed) x 3));
my ($rows, $moments) = check('again', @ends);
is_deeply([ grep { $rows->{$_}{state} ne 'sent' } keys %$rows ], [], 'again: each row is sent');
is_deeply([ grep { @{ $moments->{$_} } > 1 + $rows->{$_}{in_doubt} } keys %$moments ], [], 'again: what came twice was in doubt');
diag(sprintf '%d mails came twice, of %d that were in doubt; up to %d mails/s',
	sum(map { @$_ - 1 } values %$moments), sum(map { $_->{in_doubt} } values %$rows), pace(2000));

# ---- Mails in doubt are held ----

$node->reconfigure(in_doubt => 'hold');
@ends = drain('hold', 10_000, shuffle($terminated, $killed, $restarted, $crashed));
($rows, $moments) = check('hold', @ends);
is_deeply([ grep { $rows->{$_}{state} ne ($rows->{$_}{in_doubt} ? 'held' : 'sent') } keys %$rows ], [], 'hold: what was in doubt is held, each other row is sent');
is_deeply([ grep { ($rows->{$_}{reason} eq 'in_doubt') != ($rows->{$_}{state} eq 'held') } keys %$rows ], [], 'hold: and says why');
is_deeply([ grep { @{ $moments->{$_} } > 1 } keys %$moments ], [], 'hold: none came twice');

$node->stop;
$sink->stop;
done_testing();
