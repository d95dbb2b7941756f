# From each earlier version to the current one: ALTER EXTENSION UPDATE loses and changes nothing
# that users wrote, while mail continues. The result is the same as a new installation. A library
# does not crash with SQL objects of an older or a newer version.
use strict;
use warnings FATAL => 'all';

use File::Basename;
use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use RhesisNotify::Catalog qw(catalog_of differences);
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my %settings = (peer => $peer, bare => 1, settings => { 'server.max_worker_processes' => 32 });
my $node = RhesisNotify::Cluster->serve('main', %settings);
my $current = $node->sql(q{SELECT default_version FROM pg_available_extensions WHERE name = 'rhesis_notify'});
my $update = 'ALTER EXTENSION rhesis_notify UPDATE';

sub create_database
{
	my ($server, $database, $version) = @_;
	$server->sql("CREATE DATABASE $database");
	$server->create_app($database, $version);
	return;
}

sub version_in
{
	my ($server, $database) = @_;
	return $server->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'rhesis_notify'}, $database);
}

sub worker_in
{
	my ($server, $database) = @_;
	return $server->sql("SELECT pid FROM rhesis_notify.worker_status WHERE database = current_database()", $database);
}

# Waits until the database has a worker that started after the update and has examined the queue.
sub wait_for_new_worker
{
	my ($server, $database, $old) = @_;
	$server->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status
		WHERE database = current_database() AND pid <> $old AND state NOT IN ('starting', 'stopping')", $database);
	return;
}

# ---- The comparison itself: it finds every change in a catalog, and nothing else ----

create_database($node, 'fresh');
$node->sql('CREATE ROLE app');
my %fresh = catalog_of($node, 'fresh');
is_deeply([ differences(\%fresh, { catalog_of($node, 'fresh') }) ], [], 'a catalog is like itself');
cmp_ok(scalar(keys %fresh), '>', 1000, 'it has much to say');

my $queue = 'rhesis_notify.task_notifications';
my %changes = (
	'a function\'s source' => [ q{CREATE OR REPLACE FUNCTION rhesis_notify.pause() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN true; END'}, qr/pause.*: source/ ],
	'a function\'s volatility' => [ 'ALTER FUNCTION rhesis_notify.pause() STABLE', qr/pause.*: volatility/ ],
	'whose rights a function has' => [ 'ALTER FUNCTION rhesis_notify.pause() SECURITY INVOKER', qr/pause.*: security definer/ ],
	'a function\'s settings' => [ 'ALTER FUNCTION rhesis_notify.pause() RESET search_path', qr/pause.*: settings/ ],
	'who may call a function' => [ 'GRANT EXECUTE ON FUNCTION rhesis_notify.pause() TO PUBLIC', qr/pause.*: privileges/ ],
	'a comment' => [ q{COMMENT ON FUNCTION rhesis_notify.pause() IS 'Something else'}, qr/pause.*: comment/ ],
	'a column\'s comment' => [ "COMMENT ON COLUMN $queue.status IS NULL", qr/column \S+\.status: comment/ ],
	'a function more' => [ 'CREATE FUNCTION rhesis_notify.more() RETURNS int LANGUAGE sql RETURN 1', qr/function .*more\(\): exists/ ],
	'a function less' => [ 'ALTER EXTENSION rhesis_notify DROP FUNCTION rhesis_notify.pause(); DROP FUNCTION rhesis_notify.pause()', qr/pause.*: exists/ ],
	'membership' => [ 'ALTER EXTENSION rhesis_notify DROP FUNCTION rhesis_notify.pause()', qr/pause.*: belongs to the extension/ ],
	'a column more' => [ "ALTER TABLE $queue ADD COLUMN more text", qr/column \S+\.more: type/ ],
	'a column\'s type' => [ 'ALTER TABLE rhesis_notify.delivery_events ALTER COLUMN smtp_code TYPE bigint', qr/column \S+\.smtp_code: type/ ],
	'a default' => [ "ALTER TABLE $queue ALTER COLUMN attempts SET DEFAULT 1", qr/column \S+\.attempts: default/ ],
	'NOT NULL' => [ "ALTER TABLE $queue ALTER COLUMN attempts DROP NOT NULL", qr/column \S+\.attempts: not null/ ],
	'a constraint' => [ "ALTER TABLE $queue DROP CONSTRAINT attempts_are_not_negative, ADD CONSTRAINT attempts_are_not_negative CHECK (attempts >= -1)",
		qr/constraint attempts_are_not_negative .*: definition/ ],
	'an index' => [ "DROP INDEX rhesis_notify.task_notifications_finished; CREATE INDEX task_notifications_finished ON $queue (finished_at)",
		qr/relation \S+task_notifications_finished: definition/ ],
	'a policy' => [ "ALTER POLICY read_own_organization ON $queue USING (true)", qr/policy read_own_organization .*: using/ ],
	'row security' => [ "ALTER TABLE $queue FORCE ROW LEVEL SECURITY", qr/relation \S+: row security/ ],
	'a trigger' => [ "ALTER TABLE $queue DISABLE TRIGGER wake_workers", qr/trigger wake_workers .*: enabled/ ],
	'a view' => [ 'CREATE OR REPLACE VIEW rhesis_notify.task_types WITH (security_invoker = true) AS '
		  . $node->sql(q{SELECT regexp_replace(pg_get_viewdef('rhesis_notify.task_types'), ';$', ' LIMIT 1')}, 'fresh'), qr/relation \S+task_types: definition/ ],
	'a view\'s options' => [ 'ALTER VIEW rhesis_notify.task_types RESET (security_invoker)', qr/relation \S+task_types: options/ ],
	'a table\'s options' => [ "ALTER TABLE $queue SET (fillfactor = 71)", qr/relation \S+: options/ ],
	'a state' => [ q{ALTER TYPE rhesis_notify.delivery_state RENAME VALUE 'held' TO 'stopped'}, qr/type .*delivery_state: labels/ ],
	'a sequence' => [ 'ALTER SEQUENCE rhesis_notify.worker_epoch INCREMENT 2', qr/relation \S+worker_epoch: sequence/ ],
	'what is dumped' => [ q{UPDATE pg_extension SET extcondition[1] = 'WHERE false' WHERE extname = 'rhesis_notify'}, qr/dumped data of \S+: condition/ ],
	'a privilege on a table' => [ "GRANT SELECT ON $queue TO PUBLIC", qr/relation \S+: privileges/ ],
	'a shipped template' => [ q{UPDATE rhesis_notify.shipped_templates SET subject = subject || '!' WHERE name = 'task_completion'}, qr/row of \S+shipped_templates/ ],
	'a shipped registration' => [ q{DELETE FROM rhesis_notify.shipped_task_types WHERE task_name = 'collect_results'}, qr/row of \S+shipped_task_types/ ]);
foreach my $change (sort keys %changes)
{
	my ($statements, $fact) = @{ $changes{$change} };
	my @differences = eval { differences(\%fresh, { catalog_of($node, 'fresh', $statements) }) };
	ok((grep { $_ =~ $fact } map { (split /\n/)[0] } @differences), "the comparison sees $change") or diag($@, join("\n", @differences));
}

$node->stop;

# ---- The update from each earlier version, whose library test/run has built ----

foreach my $from (map { basename($_) } sort glob "$ENV{RHESIS_PREVIOUS_VERSIONS}/*")
{
	my $previous = "$ENV{RHESIS_PREVIOUS_VERSIONS}/$from";
	note("The library of $from is built of " . slurp_file("$previous/sources"));
	$node = RhesisNotify::Cluster->serve("from_$from", %settings);
	create_database($node, 'fresh');
	$node->sql('CREATE ROLE app');

	# ---- The update of three databases: an empty one, one with everything that users write, and
	# one whose worker is sending mail ----

	foreach my $database (qw(empty every_state busy))
	{
		create_database($node, $database, $from);
	}
	is(version_in($node, 'every_state'), $from, "$from can be installed from its kept script");
	$node->wait_for_log(qr/LOG:  rhesis_notify \Q$current\E serves database "busy", whose objects are of version \Q$from\E\n.*HINT:  Run ALTER EXTENSION rhesis_notify UPDATE in that database/);
	pass('its queue is served, and the log says how to update');

	$node->sql('SELECT rhesis_notify.pause()', 'every_state');
	$node->wait_for(q{SELECT state = 'paused' FROM rhesis_notify.worker_status WHERE database = current_database()}, 'every_state');
	$node->customise('every_state');
	my $states = q{SELECT t.name, pg_catalog.jsonb_agg(r ORDER BY r) FROM (
		SELECT 'queue' AS name, to_jsonb(n) AS r FROM rhesis_notify.task_notifications AS n WHERE task_id <> 'sending'
		UNION ALL SELECT 'registrations', to_jsonb(c) FROM rhesis_notify.custom_task_types AS c
		UNION ALL SELECT 'templates', to_jsonb(t) FROM rhesis_notify.templates AS t
		UNION ALL SELECT 'pause', to_jsonb(p) FROM rhesis_notify.database_pause AS p) AS t GROUP BY 1 ORDER BY 1};
	my $before = $node->sql($states, 'every_state');

	# Tasks report and mails are being sent during the update. A task that reports meanwhile waits
	# until the update commits.
	$peer->rules({ stage => 'accepted', action => 'slow', pause_ms => 5, count => 100000 });
	my $mails = $peer->mail_count;
	my $worker = worker_in($node, 'busy');
	$node->report_many(300, database => 'busy', task_name => 'before');
	$node->wait_for(q{SELECT count(*) FILTER (WHERE delivery_status = 'sent') > 0 AND count(*) FILTER (WHERE delivery_status = 'sending') > 0
		FROM rhesis_notify.task_notifications}, 'busy');
	my $session = RhesisNotify::Session->start($node, database => 'busy');
	$session->query("BEGIN; $update");
	my $reporter = RhesisNotify::Session->start($node, database => 'busy');
	$reporter->begin(RhesisNotify::Cluster::insert_of(task_id => 'during'));
	$node->wait_for(q{SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE query ~ '^INSERT.*during' AND (wait_event_type = 'Lock' OR state = 'idle'))});
	$session->query('COMMIT');
	my (undef, $error) = $reporter->result;
	is($error, '', 'a task that reports during the update waits for it, or need not');
	$_->quit foreach $session, $reporter;
	$node->report_many(100, database => 'busy', task_name => 'after');
	wait_for_new_worker($node, 'busy', $worker);
	$node->wait_for(q{SELECT count(*) = 401 AND bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications}, 'busy');
	is($peer->mail_count - $mails, 401, 'each task is mailed once, before, during and after the update');
	is($node->sql('SELECT count(*) FROM rhesis_notify.delivery_events', 'busy'), 0, 'nothing is in doubt or deferred because of it');
	$peer->rules;

	foreach my $database (qw(empty every_state))
	{
		my $old = worker_in($node, $database);
		$node->sql($update, $database);
		wait_for_new_worker($node, $database, $old);
	}
	is(version_in($node, $_), $current, "$_ is of the current version") foreach qw(empty every_state busy);
	is($node->sql($states, 'every_state'), $before, 'what users wrote is as it was, a notification in each state included');
	$node->wait_for(q{SELECT delivery_status = 'pending' AND (SELECT array_agg(event) = '{in_doubt}' FROM rhesis_notify.delivery_events)
		FROM rhesis_notify.task_notifications WHERE task_id = 'sending'}, 'every_state');
	pass('what another worker was sending is due, and an event says so');

	foreach my $database (qw(empty busy))
	{
		is(join("\n", differences(\%fresh, { catalog_of($node, $database) })), '', "$database: the catalog is that of a fresh install");
	}
	# Storage parameters that an operator changed stay. Shipped ones get the current values.
	create_database($node, 'tuned', $from);
	$node->sql("ALTER TABLE $queue SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.3)", 'tuned');
	my $parameters = "SELECT string_agg(p, ' ' ORDER BY p) FROM pg_class, unnest(reloptions) AS p WHERE oid = '$queue'::regclass AND p ~ '^(fillfactor|autovacuum_vacuum_scale_factor)='";
	$node->sql($update, 'tuned');
	is($node->sql($parameters, 'tuned'), 'autovacuum_vacuum_scale_factor=0.3 fillfactor=90', 'what an operator has set stays');
	is($node->sql($parameters, 'empty'), 'autovacuum_vacuum_scale_factor=0.1 fillfactor=50', 'what was ours is new');

	# Roles keep the privileges that the earlier version granted. grant_to() adds those of the
	# current version.
	my $grant = q{SELECT rhesis_notify.grant_to('app')};
	my %granted = catalog_of($node, 'fresh', $grant);
	is(join("\n", differences(\%granted, { catalog_of($node, 'every_state', $grant) })), '', 'every_state: so it is, with what grant_to gives');

	# Version 1.0 granted operators every function but grant_to(). The update revokes trigger
	# functions, keeps the others, and does not let default privileges apply to new objects.
	if ($from eq '1.0')
	{
		$node->sql('CREATE ROLE operator_of_10; CREATE ROLE somebody');
		create_database($node, 'operated', $from);
		my %functions_of_10 = map { $_ => 1 } split /\n/, $node->sql(q{SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace}, 'operated');
		$node->sql(q{SELECT rhesis_notify.grant_to('operator_of_10', 'operator'); GRANT EXECUTE ON FUNCTION rhesis_notify.check_template() TO PUBLIC;
			ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO somebody WITH GRANT OPTION}, 'operated');
		$node->sql($update, 'operated');
		my $callable = q{SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace AND has_function_privilege('%s', oid, 'EXECUTE')
			AND (prorettype = 'trigger'::regtype) = %s};
		is($node->sql(sprintf($callable, 'operator_of_10', 'true'), 'operated'), '', 'an operator of 1.0 keeps no trigger function');
		is_deeply([ sort split /\n/, $node->sql(sprintf($callable, 'operator_of_10', 'false'), 'operated') ],
			[ sort grep { !/\.(?:grant_to|require_preload|wake_trigger|check_template|templates_changed)\(/ } keys %functions_of_10 ], 'and the other functions');
		is(join("\n", grep { !$functions_of_10{$_} } split /\n/, $node->sql(sprintf($callable, 'somebody', 'false'), 'operated')), '',
			'default privileges give nobody a new function');
	}

	$mails = $peer->mail_count;
	$node->sql('SELECT rhesis_notify.resume()', 'every_state');
	$node->wait_for(q{SELECT count(*) = 3 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'}, 'every_state');
	is($peer->mail_count - $mails, 2, 'after resume() what was pending, and what was being sent, is mailed');
	is($node->sql(q{SELECT string_agg(task_id, ' ' ORDER BY task_id) FROM rhesis_notify.task_notifications WHERE delivery_status::text = task_id}, 'every_state'),
		'cancelled deferred failed held sent skipped', 'and nothing else');

	# ---- Different versions of library and objects ----

	# Calls every function and reads every relation of the extension, with some data in it. A
	# statement may fail; the server may not. Returns the number of statements, and those that
	# failed.
	sub use_everything
	{
		my ($server, $database) = @_;
		my $started = $server->sql('SELECT pg_postmaster_start_time()');
		my $log_offset = -s $server->logfile;
		my @statements = split /\n/, $server->sql(
			q{
			SELECT 'SELECT * FROM ' || oid::regclass FROM pg_class WHERE relnamespace = 'rhesis_notify'::regnamespace AND relkind IN ('r', 'v');
			SELECT format('SELECT * FROM %s(%s)', oid::regproc, (SELECT string_agg(CASE type
					WHEN 'text'::regtype THEN quote_literal('task_completion') || '::text'
					WHEN 'jsonb'::regtype THEN '''{"a": 1}''::jsonb'
					WHEN 'bigint'::regtype THEN '1::bigint'
					WHEN 'integer'::regtype THEN '1'
					WHEN 'boolean'::regtype THEN 'true'
					WHEN 'timestamptz'::regtype THEN 'now()'
					WHEN 'interval'::regtype THEN '''1 year''::interval'
					WHEN 'regrole'::regtype THEN '''postgres''::regrole'
					ELSE format('NULL::%s', type) END, ', ' ORDER BY place)
				FROM unnest(proargtypes::regtype[]) WITH ORDINALITY AS a (type, place)))
			FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
			ORDER BY proname;
		}, $database);
		my @failed = grep { $server->psql($database, $_, timeout => 60) != 0 } @statements;

		is($server->sql('SELECT pg_postmaster_start_time()'), $started, 'the server still runs');
		unlike($server->log($log_offset), qr/was terminated by signal|PANIC|TRAP:/, 'none of its processes crashed');
		return (scalar @statements, @failed);
	}

	# The current library with the objects of that version.
	create_database($node, 'old_objects', $from);
	$node->customise('old_objects');
	my ($all, @old_failed) = use_everything($node, 'old_objects');
	cmp_ok(scalar(@old_failed), '<', $all * 0.2, "the current library and objects of $from: they work, but for " . @old_failed . " of $all");
	create_database($node, 'new_objects');
	$node->customise('new_objects');
	my (undef, @new_failed) = use_everything($node, 'new_objects');
	my %fails = map { $_ => 1 } @new_failed;
	is_deeply([ grep { !$fails{$_} } @old_failed ], [], 'what does not, does not with its own objects either (the arguments are no good)');

	# An installation with the library of that version and the scripts of the current version.
	my $installation = PostgreSQL::Test::Utils::tempdir();
	my $prefix = dirname($node->config_data('--bindir'));
	my $library = $node->config_data('--pkglibdir') . '/rhesis_notify.so';
	s/^\Q$ENV{RHESIS_STAGE}\E/$installation/ foreach $prefix, $library;
	system_or_bail('cp', '-a', "$ENV{RHESIS_STAGE}/.", $installation);
	my $current_library = "$installation/current.so";
	copy($library, $current_library) or die "could not copy: $!";

	# Installs a library as make install does: as a new file with the same name.
	my $install_library = sub
	{
		my ($file) = @_;
		copy($file, "$library.new") or die "could not copy: $!";
		rename "$library.new", $library or die "could not rename: $!";
		return;
	};

	$install_library->("$previous/rhesis_notify.so");
	my $old = RhesisNotify::Cluster->serve("old_$from", peer => $peer, bare => 1, installed => $prefix, settings => { 'server.max_worker_processes' => 16 });
	$old->create_app('postgres', $from);
	$old->sql('CREATE ROLE app');
	$old->wait_for_state($old->report, 'sent');
	pass("the library of $from serves objects of $from");

	# The current library is installed, and the server is not restarted yet.
	$install_library->($current_library);
	like($old->sql_error($update), qr/ERROR:  the library of rhesis_notify that the server has loaded is older than version \S+ of its objects.*HINT:  Restart the server/s,
		'ALTER EXTENSION UPDATE before the restart says that it is wanted');
	$old->sql('CREATE DATABASE another');
	like($old->sql_error('CREATE EXTENSION rhesis_notify', 'another'), qr/library of rhesis_notify .* is older than version \Q$current\E/, 'so does CREATE EXTENSION');
	is(version_in($old, 'postgres'), $from, 'nothing has changed');
	$old->wait_for_state($old->report, 'sent');
	pass('mail goes on');
	$old->restart;
	$old->wait_for_state($old->report, 'sent');
	pass('mail goes on after the restart');
	$old->sql($update);
	$old->wait_for_state($old->report, 'sent');
	pass('and after the update');
	is(join("\n", differences(\%fresh, { catalog_of($old, 'postgres') })), '', 'the catalog is that of a fresh install');

	# The library of the earlier version is installed again, and the objects are the current ones.
	$install_library->("$previous/rhesis_notify.so");
	$old->customise('postgres');
	my $log_offset = -s $old->logfile;
	$old->restart;
	$old->wait_for_log(qr/WARNING:  rhesis_notify sends no mail in database "postgres": .* different versions\n.*DETAIL:  The library is version \Q$from\E, the objects are version \Q$current\E\./, $log_offset);
	pass('an old library and newer objects: the log says so');
	my $waiting = $old->report;
	use_everything($old, 'postgres');
	is($old->notification($waiting)->{delivery_status}, 'pending', 'tasks report, their mail waits');
	$install_library->($current_library);
	$old->restart;
	$old->wait_for_state($waiting, 'sent');
	pass('and goes out with the right library');

	$old->stop;
	$node->stop;
}

done_testing();
