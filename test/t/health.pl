# health() beside workers: each problem that the workers know, and the output for an operator about
# it and about one mail, as doc/operate.md shows it. test/pgtap/health.sql tests the checks of the
# queue's tables.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use RhesisNotify::Cluster qw($ACME $JANE $JOSE);
use RhesisNotify::Document qw(document_section write_section one_spelling);
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, allows_streaming => 1);

# Returns whether a check is ok, and its value.
sub health
{
	my ($check, $server) = @_;
	return ($server // $node)->sql("SELECT concat_ws(' | ', ok, value, advice) FROM rhesis_notify.health() WHERE check_name = '$check'");
}

# Returns the checks that are not ok.
sub ailing
{
	return $node->sql(q{SELECT coalesce(string_agg(check_name, ', '), 'none') FROM rhesis_notify.health() WHERE NOT ok});
}

# Removes times, numbers and psql's line breaks, and uses one spelling of libcurl's texts.
sub words_of
{
	my ($text) = @_;
	return one_spelling($text =~ s/\.\n +\|\.//gr) =~ s/(?:\d+[dhms] ?)+/0/gr =~ s/[^[:alpha:]]//gr;
}

# Checks that the page shows these statements with psql's output. Times and numbers may differ.
sub in_document
{
	my ($name, @statements) = @_;
	my @psql = ('psql', '-X', '-q', '-P', 'format=wrapped', '-P', 'columns=120', '-P', 'footer=off', '-d', $node->connstr('postgres'));
	my $text = '';

	foreach my $statement (@statements)
	{
		# \gx at the end has its usual meaning in psql.
		my ($query, $expanded) = $statement =~ /^(.*?)( \\gx)?$/;
		my $output;
		IPC::Run::run([ @psql, $expanded ? '-x' : (), '-c', $query ], '>', \$output) or die "psql failed: $statement\n";
		$text .= ($text eq '' ? '' : "\n") . '=> ' . ($expanded ? $statement : "$statement;") . "\n" . $output =~ s/ +$//mgr =~ s/\n+\z/\n/r;
	}
	$text = "```text\n$text```\n";
	is(join("\n", grep { length > 120 } split /\n/, $text), '', "$name fits 120 columns");
	write_section("psql: $name", $text);
	is(words_of(eval { document_section("psql: $name") } // ''), words_of($text), "doc/operate.md shows $name");
	return;
}

my $all_checks = 'SELECT check_name, ok, value FROM rhesis_notify.health()';
my $ailing_checks = 'SELECT check_name, value, advice FROM rhesis_notify.health() WHERE NOT ok \gx';

sub explanation_in_psql
{
	my ($id) = @_;
	return ("SELECT step, concat_ws(': ', decision, detail, advice) AS explanation FROM rhesis_notify.explain($id)");
}

# ---- All is well ----

my @ids = map { $node->report(task_name => 'app.tasks.nightly_report') } 1 .. 3;
$node->wait_for_state($_, 'sent') foreach @ids;
is(ailing(), 'none', 'all is well');
like(health('workers'), qr/^t \| 1 of 1 running, since \S+ \S+ \(\d+s ago\)$/, 'how many workers there are, and since when');
like(health('mail server'), qr/^t \| \d+ connections?, 0 mails on them; the last mail was sent \S+ \S+ \(\d+s ago\)$/, 'what is known of the mail server, and how old that is');
$node->wait_for(q{SELECT connections = 0 FROM rhesis_notify.worker_status});
my $connections = () = $peer->transcript =~ / S 220 /g;
in_document('a healthy database', $all_checks);
is(scalar(() = $peer->transcript =~ / S 220 /g), $connections, 'nobody connects to the mail server for it');

# ---- One mail that did not come ----

$node->sql(qq{UPDATE public."user" SET is_active = false WHERE id = '$JOSE'});
my $skipped = $node->report(task_name => 'app.tasks.nightly_report', user_id => $JOSE);
$node->wait_for_state($skipped, 'skipped');
in_document('a mail that did not come', explanation_in_psql($skipped));

# ---- The mail server cannot be reached ----

$peer->stop;
my $waiting = $node->report(task_name => 'app.tasks.nightly_report');
$node->wait_for(q{SELECT state = 'backing off' AND backing_off_until > now() + interval '5 s' FROM rhesis_notify.worker_status});
is(ailing(), 'mail server', 'a server that is down is found');
like(one_spelling(health('mail server')), qr/^f \| backing off until \S+ \S+ \(in \d+s\), after \S+ \S+ \(\d+s ago\): .*Couldn't connect.*; the last mail was sent .* \| .*check_smtp\(\)/,
	'until when it is left alone, why, and what to do');
in_document('a mail server that is down', $ailing_checks, explanation_in_psql($waiting));
$peer->start_again;
$node->wait_for_state($waiting, 'sent');
is(ailing(), 'none', 'and all is well when it is back');

# ---- Problems that do not end by themselves ----

$node->reconfigure(smtp_password => 'a wrong one');
$waiting = $node->report;
# From time to time the worker tries the server, and meanwhile its state is not "backing off".
my $refused;
RhesisNotify::Peer::wait_until(sub { ($refused = health('mail server')) =~ /^f/ }, 'the mail server is left alone');
like($refused, qr/^f \| backing off until .*: 535 .* \| Check rhesis_notify\.smtp_user and the password.*check_smtp\(\).*: this does not pass by itself/, 'a wrong password has to be corrected');
unlike($refused, qr/tries again by itself/, 'and nobody is told to wait');
$node->reconfigure(smtp_password => $peer->password);
$node->wait_for_state($waiting, 'sent');

# ---- Settings, pause, tables, processes ----

$node->reconfigure(smtp_host => '');
is(ailing(), 'settings, mail server', 'a setting that is missing');
like(health('mail server'), qr/^f \| not asked; .* \| No worker is connected: see settings and workers\.$/, 'then nobody speaks to a mail server');
$node->reconfigure(smtp_host => 'localhost');

$node->sql('ALTER TABLE public."user" RENAME email TO mail');
$waiting = $node->report;
$node->wait_for(q{SELECT state = 'waiting for recipients' FROM rhesis_notify.worker_status});
like(health('recipients'), qr/^f \| relation "user" has no column "email", \S+ \S+ \(\d+s ago\) \| .*explain\(\)/, 'a table of the app\'s that can\'t be read');
$node->sql('ALTER TABLE public."user" RENAME mail TO email');
$node->wait_for_state($waiting, 'sent');

my $operator = RhesisNotify::Session->start($node);
$node->sql('SELECT rhesis_notify.pause()');
$waiting = $node->report;
is(ailing(), 'pause', 'a pause');
$node->lock_queue($operator);
$node->wait_for(q{SELECT state = 'waiting after an error' FROM rhesis_notify.worker_status});
like(health('queue'), qr/^f \| another session keeps something locked that the queue needs, see pg_locks, .* \| A statement on the queue fails/, 'a lock that somebody keeps');
$operator->query('COMMIT');
$operator->quit;
$node->wait_for_state($waiting, 'sent');

# The objects have another version, so the worker exits.
my $version = $node->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'rhesis_notify'});
$node->sql(q{UPDATE pg_extension SET extversion = '0.1' WHERE extname = 'rhesis_notify'});
$node->sql('SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status');
$node->wait_for('SELECT count(*) = 0 FROM rhesis_notify.worker_status');
is(ailing(), 'versions, workers, mail server', 'versions that do not fit');
like(health('workers'), qr/^f \| none is running, the launcher is \| See the server's log\. max_worker_processes/, 'then there is no worker');
$node->sql("UPDATE pg_extension SET extversion = '$version' WHERE extname = 'rhesis_notify'; ALTER DATABASE postgres SET rhesis_notify.max_attempts = 5");
$node->wait_for(q{SELECT state = 'idle' FROM rhesis_notify.worker_status});
is(ailing(), 'none', 'until they fit');

# ---- A standby ----

$node->backup('backup');
my $standby = RhesisNotify::Cluster->new('standby');
$standby->{rhesis_environment} = {};
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
is(health('workers', $standby), 't | none: a standby sends nothing until it is promoted', 'a standby needs no worker');
is(health('mail server', $standby) =~ /^t \| not asked; no mail was sent since the start of the server/ ? 1 : 0, 1, 'and speaks to no mail server');

# The standby is synchronous and suspended, so the worker's commits wait for it.
$node->reconfigure('server.synchronous_standby_names' => '*');
$node->wait_for(q{SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'});
$node->wait_for_state($node->report, 'sent');
is(health('replication'), 't | no worker waits for one', 'a synchronous standby that answers');
my @receivers = split /\n/, $standby->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'});
kill 'STOP', @receivers;
{
	local $ENV{PGOPTIONS} = '-c synchronous_commit=local';
	$waiting = $node->report;
	$node->wait_for(q{SELECT state = 'waiting for a standby' FROM rhesis_notify.worker_status});
	like(health('replication'), qr/^f \| worker 1 waits for a synchronous standby, since \S+ \S+ \(\d+s ago\) \| .*synchronous_standby_names/,
		'and one that does not: health() says so');
	is($node->sql(q{SELECT query FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker'}), 'waiting for a standby', 'pg_stat_activity too');
	like($node->sql("SELECT concat_ws(' | ', decision, detail, advice) FROM rhesis_notify.explain($waiting) WHERE step = 'worker'"),
		qr/^waiting for a standby \| since .* \| .*synchronous_standby_names/, 'explain() too');
	is($node->sql("SELECT detail FROM rhesis_notify.explain($waiting) WHERE step = 'next'"), 'when a synchronous standby has answered', 'and what comes next');
}
kill 'CONT', @receivers;
$node->wait_for_state($waiting, 'sent');
is(ailing(), 'none', 'until it answers');
$node->reconfigure('server.synchronous_standby_names' => '');
$standby->stop;

$node->stop;
done_testing();
