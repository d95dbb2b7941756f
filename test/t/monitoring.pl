# examples/monitoring/ with Debian's exporter and Prometheus: the queries return the metrics of
# metrics(), every alert rule and every query of the dashboard runs in the real Prometheus, and
# alerts fire during faults and end after them.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use File::Copy;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Daemon;
use RhesisNotify::Document qw(blocks);
use RhesisNotify::Peer;
use Test::More;

my $examples = abs_path(dirname(__FILE__) . '/../../examples/monitoring');
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { in_doubt => 'hold' });
my $http = HTTP::Tiny->new(timeout => $PostgreSQL::Test::Utils::timeout_default);

# Runs a subcommand of promtool. Returns true if it reports no problem.
sub promtool
{
	my ($arguments, $input) = @_;
	my $output;
	my $content = IPC::Run::run([ 'promtool', @$arguments ], '<', \($input // ''), '>&', \$output);

	return ($content, $output);
}

sub promtool_ok
{
	my ($arguments, $input, $what) = @_;
	my ($content, $output) = promtool($arguments, $input);

	return ok($content, $what) || diag($output);
}

# ---- The files, and the text format ----

promtool_ok([ 'check', 'rules', "$examples/alerts.yml" ], undef, 'promtool likes the alert rules');
promtool_ok([ 'check', 'config', "$examples/prometheus.yml" ], undef, 'and the configuration');
promtool_ok([ 'test', 'rules', "$examples/alerts_test.yml" ], undef, 'the rules fire when they should, after the time they should');
my $played = slurp_file("$examples/alerts_test.yml");
foreach my $alert (slurp_file("$examples/alerts.yml") =~ /^ +- alert: (\w+)$/mg)
{
	like($played, qr/alertname: $alert\n +exp_alerts:\n +- exp_labels:/, "alerts_test.yml has $alert fire");
	like($played, qr/alertname: $alert, exp_alerts: \[\]/, '... and not fire');
}

# From PostgreSQL 19 on, a name has no line end.
my ($gap, $escaped_gap) = $node->sql('SHOW server_version_num') < 190000 ? ("\n", '\n') : (' ', ' ');
my $odd_name = qq{odd "name" \\ of${gap}a database};
$node->sql('CREATE DATABASE ' . '"' . $odd_name =~ s/"/""/gr . '"');
my $metrics;
{
	my $connection = $node->connstr('postgres') =~ s/dbname='.*?'/"dbname='" . $odd_name =~ s{(['\\])}{\\$1}gr . "'"/er;
	my @psql = ('psql', '-X', '-A', '-t', '-q', '-d', $connection);

	IPC::Run::run([ @psql, '-c', 'CREATE EXTENSION rhesis_notify' ]) or die 'could not create the extension';
	$node->wait_for(q{SELECT count(*) = 2 FROM rhesis_notify.worker_status WHERE state = 'idle'});
	IPC::Run::run([ @psql, '-c', 'SELECT rhesis_notify.metrics()' ], '>', \$metrics) or die 'could not read metrics';
}
$metrics =~ s/\n+\z/\n/;
promtool_ok([ 'check', 'metrics' ], $metrics, 'promtool likes the metrics, of a database with an odd name too');
like($metrics, qr/^rhesis_notify_worker_up\{database="odd \\"name\\" \\\\ of\Q$escaped_gap\Ea database",worker="1"\} 1$/m, 'whose name is escaped');
unlike($metrics, qr/\@/, 'no address is in them');

# ---- The exporter ----

my $readme = slurp_file("$examples/README.md");
$node->sql($_) foreach blocks($readme, 'sql');
foreach my $forbidden ('TABLE rhesis_notify.task_notifications', 'SELECT * FROM rhesis_notify.health()', 'SELECT * FROM rhesis_notify.worker_status')
{
	like($node->sql_error("SET ROLE prometheus; $forbidden"), qr/permission denied/, "the exporter's role may not: $forbidden");
}
$node->wait_for_state($node->report, 'sent');

my $exporter_port = PostgreSQL::Test::Cluster::get_free_port();
my $exporter = RhesisNotify::Daemon->start('exporter',
	[ 'prometheus-postgres-exporter', "--web.listen-address=127.0.0.1:$exporter_port", "--extend.query-path=$examples/queries.yaml" ],
	environment => { DATA_SOURCE_NAME => sprintf('host=%s port=%d user=prometheus dbname=postgres sslmode=disable', $node->host, $node->port) });

# Returns the samples that the exporter exposes, without the label that it adds: { name{labels} =>
# value }.
sub samples
{
	my ($text) = @_;
	my %samples;

	while ($text =~ /^(rhesis_notify_\w+)\{(.*)\} (\S+)$/mg)
	{
		my ($name, $labels, $value) = ($1, $2, $3);
		$samples{$name . join(',', sort grep { !/^server=/ } split /,/, $labels)} = $value;
	}
	return \%samples;
}

my $exported = '';
RhesisNotify::Peer::wait_until(
	sub {
		die 'the exporter has ended: ' . $exporter->log unless $exporter->is_running;
		$exported = $http->get("http://127.0.0.1:$exporter_port/metrics")->{content};
		$exported =~ /^rhesis_notify_database_info/m;
	},
	'the exporter has figures');
my ($theirs, $ours) = (samples($exported), samples($node->sql('SET ROLE prometheus; SELECT rhesis_notify.metrics()')));
# The exporter adds the label "version" to all figures of the database, so it is not compared.
is_deeply(
	[ sort map { s/,version="[^"]*"//r } keys %$theirs ],
	[ sort map { s/,version="[^"]*"//r } keys %$ours ],
	'it exposes the metrics of metrics(), with their names and labels');
foreach my $name (qw(rhesis_notify_worker_sent_total rhesis_notify_worker_up rhesis_notify_queue_notifications))
{
	is_deeply({ map { $_ => $theirs->{$_} } grep { /^$name/ } keys %$theirs }, { map { $_ => $ours->{$_} } grep { /^$name/ } keys %$ours }, "and the values of $name");
}
is($theirs->{'rhesis_notify_worker_sent_totaldatabase="postgres",worker="1"'}, 1, 'one mail was sent');
unlike($exported, qr/\@example/, 'no address is exposed');
promtool_ok([ 'check', 'metrics' ], join('', map { "$_\n" } grep { /^(?:# \w+ )?rhesis_notify_/ } split /\n/, $exported), 'promtool likes what the exporter makes of them');

# ---- Prometheus ----

# The configuration of the example, with other ports and shorter intervals.
my $directory = PostgreSQL::Test::Utils::tempdir('prometheus');
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $config = slurp_file("$examples/prometheus.yml") =~ s/127\.0\.0\.1:9187/127.0.0.1:$exporter_port/r =~ s/interval: 15s/interval: 1s/gr;
append_to_file("$directory/prometheus.yml", $config);
append_to_file("$directory/alerts.yml", slurp_file("$examples/alerts.yml") =~ s/for: \w+/for: 2s/gr =~ s/\[2m\]/[10s]/gr);
my $prometheus = RhesisNotify::Daemon->start('prometheus',
	[ 'prometheus', "--config.file=$directory/prometheus.yml", "--storage.tsdb.path=$directory/data", "--web.listen-address=127.0.0.1:$port" ]);

# Returns an answer of the HTTP API. Dies unless it is a success.
sub api
{
	my ($path, %parameters) = @_;
	my $response = $http->get("http://127.0.0.1:$port/api/v1/$path?" . $http->www_form_urlencode(\%parameters));
	my $answer = eval { decode_json($response->{content}) } // {};

	die "$path: $response->{status} $response->{content}\n" unless ($answer->{status} // '') eq 'success';
	return $answer->{data};
}

# Returns the number of series of an expression now, or its error.
sub series
{
	my ($expression) = @_;
	my $data = eval { api('query', query => $expression) };
	return $data ? scalar(@{ $data->{result} }) : "an error: $@";
}

RhesisNotify::Peer::wait_until(
	sub {
		die 'Prometheus has ended: ' . $prometheus->log unless $prometheus->is_running;
		(eval { series('rhesis_notify_worker_sent_total') } // 0) eq '1';
	},
	'Prometheus has figures');

# ---- The rules ----

my @rules = map { @{ $_->{rules} } } @{ api('rules')->{groups} };
is_deeply([ $readme =~ /^\| `(\w+)` \|/mg ], [ map { $_->{name} } @rules ], 'README.md has all alerts');
is(scalar(@rules), scalar(() = slurp_file("$examples/alerts.yml") =~ /^ +- alert:/mg), 'Prometheus has all rules');
foreach my $rule (@rules)
{
	is(series($rule->{query}), 0, "$rule->{name} runs, and finds nothing while all is well");
	ok($rule->{annotations}{summary} && $rule->{annotations}{description} && $rule->{labels}{severity}, "$rule->{name} says what is wrong and what to do");
}
my $known = join '|', map { /^# TYPE (rhesis_notify_\w+)/ ? $1 : () } split /\n/, $node->sql('SELECT rhesis_notify.metrics()');
my $used = slurp_file("$examples/alerts.yml") . slurp_file("$examples/grafana-dashboard.json");
is_deeply([ grep { !/^(?:$known)$/ } $used =~ /\b(rhesis_notify_(?:worker|queue|database)_\w+)/g ], [], 'rules and dashboard name no metric that does not exist');

# ---- The dashboard ----

my $dashboard = decode_json(slurp_file("$examples/grafana-dashboard.json"));
RhesisNotify::Peer::wait_until(sub { series('rate(rhesis_notify_worker_sent_total[1m])') eq '1' }, 'there are rates');
foreach my $panel (@{ $dashboard->{panels} })
{
	foreach my $target (@{ $panel->{targets} })
	{
		my $expression = $target->{expr} =~ s/\$__rate_interval/1m/gr =~ s/\$database/.*/gr;
		my $count = series($expression);

		ok($count =~ /^\d+$/ && $count > 0, "the panel \"$panel->{title}\" has data: $target->{legendFormat}") or diag("$expression: $count");
	}
}
my ($variable) = map { $_->{query}{query} } grep { $_->{name} eq 'database' } @{ $dashboard->{templating}{list} };
like($variable, qr/^label_values\(rhesis_notify_database_info, database\)$/, 'its variable asks for databases');
is_deeply(api('label/database/values', 'match[]' => 'rhesis_notify_database_info'), ['postgres'], 'and finds them');

# ---- Alerts ----

sub alert_is
{
	my ($name, $state, $what) = @_;
	my $seen;
	my $is = eval {
		RhesisNotify::Peer::wait_until(
			sub {
				my ($alert) = grep { $_->{labels}{alertname} eq $name } @{ api('alerts')->{alerts} };
				$seen = $alert ? $alert->{state} : 'inactive';
				return $seen eq $state;
			},
			"$name is $state");
		1;
	};
	return ok($is, $what) || diag("$name is $seen; " . encode_json(api('alerts')));
}

$peer->stop;
$node->report;
alert_is('RhesisNotifyBackingOff', 'firing', 'a mail server that is down raises an alert');
$peer->start_again;
$node->wait_for(q{SELECT count(*) = 2 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});
alert_is('RhesisNotifyBackingOff', 'inactive', 'which ends when it is back');

$node->sql('SELECT rhesis_notify.pause()');
alert_is('RhesisNotifyPaused', 'firing', 'so does a pause');
$node->sql(q{INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, next_attempt_at) VALUES ('late', 'x', 'success', now() - interval '1 h')});
my $late = 'rhesis_notify_database_oldest_due_seconds > 300';
RhesisNotify::Peer::wait_until(sub { series($late) eq '1' }, 'a late mail is seen');
is(series((grep { $_->{name} eq 'RhesisNotifyMailDelayed' } @rules)[0]->{query}), 0, 'what a pause makes late is no alert of its own');
$node->sql('SELECT rhesis_notify.resume()');
alert_is('RhesisNotifyPaused', 'inactive', 'until it ends');

$peer->rules({ stage => 'accepted', action => 'close', count => 1 });
my $held = $node->report;
$node->wait_for_state($held, 'held');
alert_is('RhesisNotifyHeld', 'firing', 'and a mail that is held');
$node->sql("SELECT rhesis_notify.cancel($held)");
alert_is('RhesisNotifyHeld', 'inactive', 'until somebody has decided');

$node->sql(q{UPDATE pg_extension SET extversion = '0.1' WHERE extname = 'rhesis_notify'});
$node->sql(q{SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status WHERE database = 'postgres'});
alert_is('RhesisNotifyNoWorker', 'firing', 'and a worker that is missing');

$exporter->stop;
alert_is('RhesisNotifyNoFigures', 'firing', 'and an exporter that is');

$prometheus->stop;
$node->stop;
done_testing();
