# A running server must show what doc/dba.md says about processes, memory, hooks, roles, locks,
# network, log, WAL and disk.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Document qw(page_text document_section write_section);
use RhesisNotify::Peer;
use RhesisNotify::Session;
use RhesisNotify::Sources qw(source_text);
use Test::More;

my $page = page_text('doc/dba.md');
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve(
	'main',
	peer => $peer,
	allows_streaming => 1,
	settings => {
		'server.shared_preload_libraries' => 'pg_stat_statements, rhesis_notify',
		'server.full_page_writes' => 'off',
		'server.log_statement' => 'all',
		'server.log_min_duration_statement' => 0
	});
my $ours = q{backend_type LIKE 'rhesis\_notify%'};

sub uniq
{
	my @words = @_;
	my %seen;
	my @sorted = sort grep { !$seen{$_}++ } @words;
	return @sorted;
}

# Returns a number on the page. $pattern has the text around the number.
sub figure
{
	my ($pattern) = @_;
	my ($figure) = $page =~ $pattern or die "doc/dba.md does not say $pattern\n";
	return $figure;
}

sub wait_for_sent
{
	my ($name, $count) = @_;
	$node->wait_for("SELECT count(*) = $count FROM rhesis_notify.task_notifications WHERE task_name = '$name' AND delivery_status = 'sent'");
	return;
}

# ---- Processes ----

$node->sql('CREATE DATABASE without');
$node->sql('CREATE DATABASE with_extension');
$node->create_app('with_extension');
$node->wait_for(q{SELECT count(*) = 2 FROM rhesis_notify.worker_status WHERE state = 'idle'});
$node->wait_for(qq{SELECT count(*) = 3 FROM pg_stat_activity WHERE $ours});
is( $node->sql(qq{SELECT string_agg(concat_ws(' ', backend_type, 'in', coalesce(datname, 'none'), 'as', usename), ', ' ORDER BY backend_type, datname) FROM pg_stat_activity WHERE $ours}),
	'rhesis_notify launcher in none as postgres, rhesis_notify worker in postgres as postgres, rhesis_notify worker in with_extension as postgres',
	'one launcher, and one worker in each database with the extension');
is($node->sql(qq{SELECT usesysid FROM pg_stat_activity WHERE $ours GROUP BY 1}), 10, 'their sessions are the bootstrap superuser\'s');

# ---- Shared memory ----

my $per_process = 1024 * figure(qr/under (\d+) kB for each of `max_worker_processes`/);
is($node->sql(q{SHOW max_worker_processes}), figure(qr/its default of (\d+)/), 'the default of max_worker_processes');
cmp_ok($node->sql(q{SELECT sum(allocated_size) FROM pg_shmem_allocations WHERE name ~ 'rhesis'}), '<', 8 * $per_process, 'shared memory is as small as that');
is($node->sql(q{SELECT count(*) FROM pg_shmem_allocations WHERE name ~ 'rhesis'}), 2, '... in two allocations');

# ---- Hooks ----

my $sources = source_text('c');
my ($hooks) = $page =~ /^\| hook \| what for \|\n\|[- |]+\n((?:\|.*\n)+)/m;
is_deeply(
	[ uniq(map { /`(\w+_hook)`/g } map { /^\| ([^|]*) \|/mg } $hooks) ],
	[ uniq($sources =~ /^\t(?!previous_)(\w+_hook(?:_type)?) = (?!NULL)\w+;/mg) ],
	'the hooks are those of the sources');

# ---- Locks: a task ----

my $task_locks = $node->sql(q{
	BEGIN;
	SELECT rhesis_notify.task_completed('locks', 'app.locks', 'success');
	SELECT '| `' || relation::regclass || '` | ' || mode || ' |' FROM pg_locks
	WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation <> 'pg_locks'::regclass
	ORDER BY relation::regclass::text;
	ROLLBACK;
}) =~ s/\A\d+\n//r;
write_section('locks of a task', "| on | relation lock |\n| --- | --- |\n$task_locks\n");
is(document_section('locks of a task'), "| on | relation lock |\n| --- | --- |\n$task_locks\n", 'the locks of a task are those that the page shows');

# ---- Locks: a worker ----

# Look again and again while the worker sends, records and removes, because pg_locks shows only the
# current locks.
$node->sql(q{CREATE TABLE seen (relation text, mode text, UNIQUE (relation, mode))});
my $observer = RhesisNotify::Session->start($node);
$observer->begin(q{
	DO $$
	BEGIN
		LOOP
			INSERT INTO seen
			SELECT DISTINCT l.relation::regclass::text, l.mode FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
			WHERE a.backend_type = 'rhesis_notify worker' AND l.locktype = 'relation'
				AND l.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
			ON CONFLICT DO NOTHING;
			PERFORM pg_stat_clear_snapshot();
			EXIT WHEN NOT EXISTS (SELECT FROM rhesis_notify.task_notifications WHERE finished_at IS NULL)
				AND EXISTS (SELECT FROM rhesis_notify.task_notifications);
			COMMIT;
		END LOOP;
	END $$});
my $lsn = $node->sql('CHECKPOINT; SELECT pg_current_wal_insert_lsn()');
$node->report_many(3000, task_name => 'app.many', result => '{"test_run_id": "run-1", "test_set_name": "Insurance chatbot", "num_tests_generated": 250}');
wait_for_sent('app.many', 3000);
$observer->result;
$observer->quit;

my %allowed = (
	'rhesis_notify.task_notifications' => qr/^(?:AccessShare|RowShare|RowExclusive)Lock$/,
	'rhesis_notify.delivery_events' => qr/^(?:AccessShare|RowShare|RowExclusive)Lock$/);
my @seen = map { [ split /\|/ ] } split /\n/, $node->sql('SELECT relation, mode FROM seen ORDER BY 1, 2');
my @stronger = grep
{
	my ($relation, $mode) = @$_;
	my ($table) = grep { $relation =~ /^\Q$_\E(?:_\w+)?$/ } keys %allowed;
	$mode !~ ($table ? $allowed{$table} : qr/^AccessShareLock$/);
} @seen;
is_deeply(\@stronger, [], 'a worker takes no stronger lock than the page says');
my %modes = map { ("@$_" => 1) } @seen;
ok($modes{'rhesis_notify.task_notifications RowExclusiveLock'} && $modes{'"user" AccessShareLock'}, '... and these were seen') or diag(join "\n", sort keys %modes);

# ---- WAL and disk ----

my $wal = $node->sql("SELECT round((pg_current_wal_insert_lsn() - '$lsn') / 3000.0)");
note("WAL of a mail, without full-page images: $wal bytes");
my $size = $node->sql(q{SELECT pg_total_relation_size('rhesis_notify.task_notifications') / 3000});
note("disk of a finished row: $size bytes");
cmp_ok(abs($wal / 1024 / figure(qr/A mail costs about ([\d.]+) kB of WAL/) - 1), '<', 0.3, 'a mail costs as much WAL as the page says');
cmp_ok(abs($size / 1024 / figure(qr/A finished row takes about ([\d.]+) kB/) - 1), '<', 0.4, 'a finished row takes as much space as the page says');
my $updates = q{FROM pg_stat_user_tables WHERE relid = 'rhesis_notify.task_notifications'::regclass};
$node->wait_for("SELECT n_tup_upd >= 6000 $updates");
cmp_ok($node->sql("SELECT abs(n_tup_hot_upd / n_tup_upd::float8 - 0.5) $updates"), '<', 0.05, 'of the two updates of a row one is HOT');

# ---- The log ----

unlike($node->log, qr/\[\d+\] LOG: .*(?:WITH due|WITH outcome|FROM public\."user" AS r)/, 'log_statement and log_min_duration_statement show no statement of a worker');
like($node->log, qr/LOG:  statement: INSERT INTO rhesis_notify\.task_notifications/, '... and a task\'s insert');
$node->sql('CREATE EXTENSION pg_stat_statements');
cmp_ok($node->sql(q{SELECT count(*) FROM pg_stat_statements WHERE query ~ 'WITH (?:due|outcome) AS MATERIALIZED' AND calls > 1}), '>=', 2, 'pg_stat_statements shows a worker\'s statements, by few texts');

my $locker = RhesisNotify::Session->start($node);
$locker->query('BEGIN; LOCK TABLE rhesis_notify.custom_task_types');
my $offset = -s $node->logfile;
my $behind_lock = $node->report(task_name => 'app.locked');
$node->wait_for(q{SELECT state = 'waiting after an error' FROM rhesis_notify.worker_status WHERE database = current_database()});
like($node->log($offset), qr/CONTEXT:  SQL statement "WITH due AS/, 'a statement that fails is the context of its error');
unlike($node->log($offset), qr/CONTEXT:.*\$1 = /, '... without parameters');
$locker->query('COMMIT');
$locker->quit;
$node->wait_for_state($behind_lock, 'sent');

# ---- The network ----

# Returns the sockets of a process, each as "STATE REMOTE PORT".
sub sockets_of
{
	my ($pid) = @_;
	my %inodes = map { (readlink($_) // '') =~ /^socket:\[(\d+)\]$/ ? ($1 => 1) : () } glob "/proc/$pid/fd/*";
	my @sockets;

	foreach my $line (map { split /\n/, slurp_file($_) } "/proc/$pid/net/tcp", "/proc/$pid/net/tcp6")
	{
		my @fields = split ' ', $line;
		next unless @fields > 9 && $inodes{ $fields[9] };
		push @sockets, join ' ', $fields[3] eq '0A' ? 'listening' : 'connected', hex((split /:/, $fields[2])[1]);
	}
	return @sockets;
}

$peer->rules({ stage => 'dot', action => 'silence' });
$node->report_many(20, task_name => 'app.hanging');
$node->wait_for(q{SELECT sum(in_flight) >= 8 FROM rhesis_notify.worker_status WHERE database = current_database()});
my $worker = $node->worker('pid');
my @sockets = sockets_of($worker);
is_deeply([ uniq(@sockets) ], [ 'connected ' . $peer->port ], 'a worker is connected to the mail server and to nothing else, and listens nowhere');
cmp_ok(scalar(@sockets), '<=', figure(qr/`rhesis_notify\.smtp_connections` \((\d+)\) at a time/), '... by so many connections');
my $launcher = $node->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'rhesis_notify launcher'});
is_deeply([ sockets_of($launcher) ], [], 'the launcher has no connection');
is($node->sql(qq{SELECT count(*) FROM pg_stat_activity WHERE $ours AND backend_xmin IS NOT NULL}), 0, 'no snapshot is held while mails are on the wire');
$peer->rules;

# ---- Changes that need a restart ----

is($node->sql(q{SELECT count(*) FROM pg_settings WHERE name LIKE 'rhesis\_notify.%' AND context IN ('postmaster', 'internal', 'superuser-backend', 'backend')
		AND name <> 'rhesis_notify.instance'}),
	0, 'no setting of the extension but instance needs a restart, nor a new session');

# ---- A standby ----

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', qq{SELECT count(*) FROM pg_stat_activity WHERE $ours}), 0, 'a standby has no process of the extension');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM rhesis_notify.worker_status}), 0, 'worker_status is empty there');
is($standby->safe_psql('postgres', q{SELECT count(*) >= 3000 FROM rhesis_notify.delivery_status}), 't', 'delivery_status can be read there');
is($standby->safe_psql('postgres', q{SELECT notifications >= 3000 FROM rhesis_notify.queue_status WHERE state = 'sent'}), 't', 'and queue_status');
$standby->stop;

# ---- Removal ----

$node->sql(q{CREATE ROLE app; SELECT rhesis_notify.grant_to('app'); DROP EXTENSION rhesis_notify});
is($node->sql(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'rhesis_notify'}), 0, 'the schema is gone');
is($node->sql(q{DROP ROLE app}), '', '... and the privileges with it');
$node->wait_for(qq{SELECT string_agg(backend_type || coalesce(' ' || datname, ''), ', ' ORDER BY 1) = 'rhesis_notify launcher, rhesis_notify worker with_extension'
	FROM pg_stat_activity WHERE $ours});
pass('its workers have left, the launcher stays');

$node->stop('immediate');
$peer->stop;
done_testing();
