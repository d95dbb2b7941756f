
# A mail server fails in each way, at each stage. The mail that meets the fault is sent in the end,
# or fails for a reason; it is never lost. The other mails are sent. A second copy is sent only if
# nobody can know that the first one was accepted.
#
# Each cell of the matrix is one stage and one fault, with and without PIPELINING. A real worker
# sends three notifications, and the first one meets the fault, once. The outcomes are compared with
# the table in doc/reliability.md. If a cell differs, the new table is in the log directory, and
# test/update-document copies it into the page.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($ACME);
use RhesisNotify::Document qw(document_section write_section);
use RhesisNotify::Parallel qw(in_parallel);
use RhesisNotify::Peer;
use Test::More;

my @STAGES = ('connect', 'greeting', 'EHLO', 'STARTTLS', 'TLS handshake', 'EHLO in TLS', 'AUTH', 'MAIL', 'RCPT', 'DATA', 'body', 'final dot', 'accepted');
my %RULE_STAGE = ('EHLO in TLS' => 'ehlo', 'TLS handshake' => 'tls', 'final dot' => 'dot');
my %IS_OPENING = map { $_ => 1 } @STAGES[ 0 .. 6 ];

my @FAULTS = ('4xx', '5xx', '421', 'closed', 'silence', 'garbage', 'in pieces', 'ten lines', '60 kB line', 'too early');
my %RULE = (
	'4xx' => { action => 'reply', text => '451 4.3.0 Not now' },
	'5xx' => { action => 'reply', text => '554 5.3.0 Not at all' },
	'421' => { action => 'reply', text => '421 4.3.2 Closing', then => 'close' },
	'closed' => { action => 'close' },
	'silence' => { action => 'silence' },
	'garbage' => { action => 'garbage' },
	'in pieces' => { action => 'slow', pause_ms => 0.1 },
	'ten lines' => { action => 'multiline' },
	'60 kB line' => { action => 'long' },
	'too early' => { action => 'early' });

# Can this fault happen at this stage? No reply can come too early at the greeting. In a TLS
# handshake, any reply is garbage. The body and the final dot have one reply together: at "final
# dot" the mail is not stored, and at "accepted" it is.
sub has_cell
{
	my ($stage, $fault) = @_;
	my $is_form = $fault =~ /pieces|lines?$/;

	return $fault =~ /closed|silence/ if $stage eq 'connect';
	return $fault =~ /closed|silence|garbage/ if $stage eq 'TLS handshake';
	return !$is_form && $fault ne 'too early' if $stage eq 'body';
	return !$is_form if $stage eq 'final dot';
	return $fault ne 'too early' if $stage =~ /greeting|EHLO in TLS|accepted/;
	return 1;
}

# ---- Lanes: each has a database, a worker and a mail server, and runs cells one by one ----

my $PEER_PASSWORD = 'peer secret';
my @cells = map { my $stage = $_; map { [ $stage, $_ ] } grep { has_cell($stage, $_) } @FAULTS } @STAGES;
my @lanes;

sub add_lanes
{
	my ($count, $pipelining, $settings, @its_cells) = @_;
	foreach my $number (1 .. $count)
	{
		push @lanes, {
			name => 'lane' . (@lanes + 1),
			pipelining => $pipelining,
			settings => $settings,
			cells => [ map { $its_cells[$_] } grep { $_ % $count == $number - 1 } 0 .. $#its_cells ] };
	}
	return;
}

foreach my $pipelining (1, 0)
{
	my $is_silent = sub { $_->[1] eq 'silence' || $_->[1] eq 'too early' };
	my %one = (smtp_connections => 1);
	my %impatient = (connect_timeout => '10s', send_timeout => '10s');

	add_lanes(5, $pipelining, \%one, grep { !$is_silent->() } @cells);
	add_lanes(3, $pipelining, { %one, %impatient }, grep { $is_silent->() && ($IS_OPENING{ $_->[0] } || $_->[1] ne 'silence') } @cells);
	# Here the other mails have connections of their own, so they do not wait for the timeout.
	add_lanes(1, $pipelining, { smtp_connections => 3, %impatient }, grep { $_->[1] eq 'silence' && !$IS_OPENING{ $_->[0] } } @cells);
}

my $node = RhesisNotify::Cluster->serve(
	'main',
	bare => 1,
	settings => {
		'server.max_worker_processes' => 64, 'server.autovacuum' => 'off', 'server.fsync' => 'off',
		smtp_ca_file => RhesisNotify::Peer::certificates() . '/ca.pem', smtp_user => 'mailer', smtp_password => $PEER_PASSWORD,
		connect_timeout => '60s', send_timeout => '60s', retry_delay => '300ms', retry_max_delay => '300ms', log_deliveries => 'off' });

sub set_up_lane
{
	my ($lane) = @_;
	my %settings = (smtp_host => 'localhost', smtp_port => $lane->{peer}->port, %{ $lane->{settings} });

	$node->sql("CREATE DATABASE $lane->{name}");
	$node->sql("ALTER DATABASE $lane->{name} SET rhesis_notify.$_ = '$settings{$_}'") foreach sort keys %settings;
	$node->create_app($lane->{name});
	$node->sql(
		qq{
		INSERT INTO public."user" (id, email, organization_id)
		SELECT ('22222222-2222-2222-2222-00000000000' || n)::uuid, name || '\@example.com', '$ACME'
		FROM unnest('{victim,second,third}'::text[]) WITH ORDINALITY AS u (name, n);

		-- A mail that is larger than the buffers of the sockets.
		INSERT INTO rhesis_notify.templates (name, subject, html, text) VALUES ('big', 'big', '{{#big}}{{.}}{{/big}}', '{{#big}}{{.}}{{/big}}');

		CREATE TABLE public.history (n bigint GENERATED ALWAYS AS IDENTITY, id bigint, state text, reason text, attempts int);
		CREATE FUNCTION public.remember() RETURNS trigger LANGUAGE plpgsql AS \$\$
		BEGIN
			INSERT INTO public.history (id, state, reason, attempts) VALUES (NEW.id, NEW.delivery_status, NEW.delivery_reason, NEW.attempts);
			RETURN NULL;
		END \$\$;
		CREATE TRIGGER remember AFTER UPDATE ON rhesis_notify.task_notifications FOR EACH ROW EXECUTE FUNCTION public.remember();

		CREATE PROCEDURE public.wait_for(condition text) LANGUAGE plpgsql AS \$\$
		DECLARE
			holds boolean;
			until timestamptz := clock_timestamp() + interval '$PostgreSQL::Test::Utils::timeout_default s';
		BEGIN
			LOOP
				EXECUTE condition INTO holds;
				EXIT WHEN holds;
				IF clock_timestamp() > until THEN
					RAISE 'waited in vain for: %: %', condition,
						(SELECT json_agg(h) FROM (SELECT * FROM public.history ORDER BY n DESC LIMIT 20) AS h);
				END IF;
				PERFORM pg_sleep(0.02);
				COMMIT;
			END LOOP;
		END \$\$;
	}, $lane->{name});
	return;
}

# Runs one cell. Returns what happened. "pending" is no outcome: the mail was returned to the queue.
sub run_cell
{
	my ($lane, $stage, $fault) = @_;
	my $peer = $lane->{peer};
	my $seen = $peer->mail_count;
	my $offset = length $peer->transcript;
	my $template = $stage eq 'body' ? 'big' : 'task_completion';
	my $big = $stage eq 'body' ? q{jsonb_build_object('big', (SELECT jsonb_agg(repeat('é', 3900)) FROM generate_series(1, 115)))} : q{'{}'};
	my $rule = { stage => $RULE_STAGE{$stage} // lc $stage, count => 1, %{ $RULE{$fault} } };

	$rule->{after} = 1 if $stage eq 'EHLO in TLS';
	$rule->{bytes} = 100000 if $stage eq 'body'; # the other mails are shorter
	$peer->rules($rule);
	my $history = $node->sql(
		qq{
		CALL public.wait_for('SELECT connections = 0 AND state = ''idle'' FROM rhesis_notify.worker_status WHERE database = current_database()');
		INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, template, result)
		SELECT '$stage, $fault, ' || n, 'app.task', 'success', '22222222-2222-2222-2222-00000000000' || n, '$ACME',
			CASE n WHEN 1 THEN '$template' ELSE 'task_completion' END, CASE n WHEN 1 THEN $big ELSE '{}'::jsonb END
		FROM generate_series(1, 3) AS n;
		CALL public.wait_for('SELECT bool_and(delivery_status IN (''sent'', ''failed'')) FROM rhesis_notify.task_notifications');
		SELECT (h.id - min(h.id) OVER ()) || ' ' || h.state || ' ' || coalesce(h.reason, '-') || ' ' || h.attempts
		FROM public.history AS h JOIN rhesis_notify.task_notifications AS t USING (id)
		WHERE t.task_id LIKE '$stage, $fault, %' AND h.state NOT IN ('sending', 'pending') ORDER BY h.n;
	}, $lane->{name});
	$peer->hang_up;
	return observe($stage, $fault, $history, substr($peer->transcript, $offset), ($peer->mails)[ $seen .. $peer->mail_count - 1 ]);
}

sub observe
{
	my ($stage, $fault, $history, $transcript, @mails) = @_;
	my @history = map { my ($row, $state, $reason, $attempts) = split / /; { row => $row, state => $state, reason => $reason, attempts => $attempts } }
	  split /\n/, $history;
	my ($connection) = $transcript =~ /^(\d+) - rule: /m;
	my (@of, @copies, %ids);

	push @{ $of[ $_->{row} ] }, $_ foreach @history;
	foreach my $mail (@mails)
	{
		my ($name) = $mail->envelope->{to}[0] =~ /^(\w+)/;
		push @copies, $name;
		$ids{$name}{ $mail->raw_header('Message-ID') } = 1;
	}

	# The row that met the fault is the first one whose first outcome is not "sent". If there is
	# none, it counts as the first row.
	my ($victim) = grep { $of[$_][0]{state} ne 'sent' } 0 .. 2;
	my @others = grep { $_ != ($victim // 0) } 0 .. 2;
	my @names = qw(victim second third);
	my $first = $of[ $victim // 0 ][0];
	my $last = $of[ $victim // 0 ][-1];

	return {
		stage => $stage,
		fault => $fault,
		met => defined $connection ? 1 : 0,
		first => $first,
		last => $last,
		copies => scalar(grep { $_ eq $names[ $victim // 0 ] } @copies),
		one_id => scalar(grep { keys %{ $ids{$_} } > 1 } keys %ids) == 0 ? 1 : 0,
		others => [ map { my $other = $_; join ' ', (map { "$_->{state} $_->{attempts}" } @{ $of[$other] }), scalar(grep { $_ eq $names[$other] } @copies) } @others ],
		overtaken => scalar(grep { $_->{row} != ($victim // 0) } grep_before(\@history, $first)),
		reused => defined $connection && grep({ $_->envelope->{connection} == $connection && $_->envelope->{to}[0] ne "$names[$victim // 0]\@example.com" } @mails) ? 1 : 0,
		transcript => $transcript,
		history => $history };
}

# Returns the outcomes that were recorded before this one.
sub grep_before
{
	my ($history, $entry) = @_;
	my @before;

	foreach (@$history)
	{
		last if $_ == $entry;
		push @before, $_;
	}
	return @before;
}

# ---- The run ----

foreach my $lane (@lanes)
{
	$lane->{peer} = RhesisNotify::Peer->start(password => $PEER_PASSWORD, receive_buffer => 65536, $lane->{pipelining} ? () : (no_pipelining => 1));
}
my @setters = map { my $number = $_; [ grep { $_ % 3 == $number } 0 .. $#lanes ] } 0 .. 2;
in_parallel(map { my $numbers = $_; sub { set_up_lane($lanes[$_]) foreach @$numbers; return []; } } @setters);

my @results = in_parallel(
	map {
		my $lane = $_;
		sub { return [ map { run_cell($lane, @$_) } @{ $lane->{cells} } ]; }
	} @lanes);

my %observed;
foreach my $number (0 .. $#lanes)
{
	$observed{"$_->{stage}, $_->{fault}"}{ $lanes[$number]{pipelining} } = $_ foreach @{ $results[$number] };
}

# ---- The table ----

# It depends on the network whether libcurl sees the early reply in time. The table has the worse
# outcome.
my %OR_WELL = ('STARTTLS, too early' => 'deferred | `timeout` | 0 | sent | 1 | no');

sub outcome_of
{
	my ($cell) = @_;
	my ($first, $last) = @$cell{qw(first last)};
	my $reason = $first->{reason} eq '-' ? '' : "`$first->{reason}`";
	my $worse = $OR_WELL{"$cell->{stage}, $cell->{fault}"};

	return $worse if $worse && $first->{state} eq 'sent';
	return join(' | ',
		$first->{state}, $reason, $first->{attempts}, $last->{state} eq $first->{state} && $last == $first ? '' : $last->{state},
		$cell->{copies}, $cell->{reused} ? 'yes' : 'no');
}

sub table_lines
{
	my @lines = (
		'| stage | fault | PIPELINING | at first | reason | attempts used | in the end | copies accepted | connection used again |',
		'| --- | --- | --- | --- | --- | --- | --- | --- | --- |');

	foreach my $cell (@cells)
	{
		my ($with, $without) = map { outcome_of($observed{"$cell->[0], $cell->[1]"}{$_}) } 1, 0;
		my $name = "| $cell->[0] | $cell->[1]";

		push @lines, $with eq $without ? "$name | both | $with |" : ("$name | with | $with |", "$name | without | $without |");
	}
	return @lines;
}

my @lines = table_lines();
my %documented = map { $_ => 1 } split /\n/, document_section('fault matrix');
write_section('fault matrix', join("\n", @lines) . "\n");

# ---- What must hold ----

foreach my $cell (@cells)
{
	foreach my $pipelining (1, 0)
	{
		my $seen = $observed{"$cell->[0], $cell->[1]"}{$pipelining};
		my ($first, $last) = @$seen{qw(first last)};
		my $name = "$cell->[1] at $cell->[0], " . ($pipelining ? 'with' : 'without') . ' PIPELINING';
		my $outcome = outcome_of($seen);
		my $row = "| $cell->[0] | $cell->[1] | %s | $outcome |";
		my $is_documented = grep { $documented{ sprintf $row, $_ } } 'both', $pipelining ? 'with' : 'without';
		# If a server has stored the mail and its reply does not say so, the mail is sent again,
		# unless the reply refuses it for good.
		my $copies = ($last->{state} eq 'sent' ? 1 : 0) + ($cell->[0] eq 'accepted' && $first->{state} ne 'sent' ? 1 : 0);
		my $good = 1;

		$good &&= ok($seen->{met}, "$name: it happened");
		$good &&= ok($is_documented, "$name: $outcome");
		$good &&= is_deeply($seen->{others}, [ 'sent 1 1', 'sent 1 1' ], "$name: the others are sent, once each, at the first attempt");
		$good &&= is($seen->{copies}, $copies, "$name: neither lost nor sent too often");
		$good &&= ok($seen->{one_id}, "$name: copies have one Message-ID");
		$good &&= is($first->{attempts}, 0, "$name: the server's trouble uses no attempt") if $IS_OPENING{ $cell->[0] } && $first->{state} ne 'sent';
		$good &&= is($seen->{overtaken}, 2, "$name: the others did not wait for the time-out") if $cell->[1] eq 'silence' && !$IS_OPENING{ $cell->[0] };
		diag("$name\n$seen->{history}\n$seen->{transcript}") unless $good;
	}
}
is_deeply([ split /\n/, document_section('fault matrix') ], \@lines, 'doc/reliability.md has the table as it was measured');

$node->stop;
done_testing();
