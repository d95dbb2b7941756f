# The owner of the extension's tables changes the types of columns, or drops columns. Code that
# reads these columns reports the problem, or works without them. No process crashes. After the
# tables are restored, mail continues.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);
my $started = $node->sql('SELECT pg_postmaster_start_time()');

my $id = $node->report;
$node->wait_for_state($id, 'sent');
$node->sql(qq{
	SELECT rhesis_notify.email_notification('app.export', subject_template => 'Export', display_name => 'Export');
	INSERT INTO rhesis_notify.templates (name, subject, html, text) VALUES ('task_completion', 'Done', '{{task_name}}', 'Done');
	INSERT INTO rhesis_notify.delivery_events (notification_id, event, smtp_code, enhanced_code, reply, detail)
	VALUES ($id, 'deferred', 451, '4.7.1', 'Try again later', '{"message": "later"}')});

# Drops everything that depends on the columns: constraints, policies, views and partial indexes.
# (NOT NULL stays; from PostgreSQL 18 on it is a constraint, too.)
$node->sql(<<'END');
	CREATE FUNCTION public.alter_column(t regclass, c name, to_type text, value text) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		statement text;
	BEGIN
		FOR statement IN
			SELECT format('ALTER EXTENSION rhesis_notify DROP VIEW %1$s; DROP VIEW %1$s', oid::regclass)
			FROM pg_class WHERE relnamespace = 'rhesis_notify'::regnamespace AND relkind = 'v' AND relname <> 'task_types'
			UNION ALL SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', t, conname) FROM pg_constraint WHERE conrelid = t AND contype <> 'n'
			UNION ALL SELECT format('DROP POLICY %I ON %s', polname, t) FROM pg_policy WHERE polrelid = t
			UNION ALL SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index
				WHERE indrelid = t AND indpred IS NOT NULL
		LOOP
			EXECUTE statement;
		END LOOP;
		IF to_type IS NULL THEN
			EXECUTE format('ALTER TABLE %s DROP COLUMN %I CASCADE', t, c);
		ELSE
			EXECUTE format('ALTER TABLE %1$s ALTER %2$I DROP IDENTITY IF EXISTS, ALTER %2$I DROP DEFAULT', t, c);
			EXECUTE format('ALTER TABLE %s ALTER %I TYPE %s USING %s', t, c, to_type, value);
		END IF;
	END $$;
END

my @columns = split /\n/, $node->sql(q{
	SELECT c.oid::regclass || ' ' || a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
	WHERE c.relnamespace = 'rhesis_notify'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped});
my @kinds = (q{NULL, NULL}, q{'int', '1'}, q{'bytea', '''\x01ff00aa80'''}, q{'text', '''x'''}, q{'bool', 'true'}, q{'uuid', 'gen_random_uuid()'});
my $calls = join '', map { "SELECT count(*) FROM rhesis_notify.$_;\n" } (
	'health()', "explain($id)", "preview($id)", "preview_message($id)", q{render_template('task_completion', '{}')}, 'metrics()',
	q{template_variables('task_completion')}, q{render_diff('task_completion', html => '{{x}}')}, 'copy_sign()', 'worker_slots()',
	"retry($id)", q{task_completed('other', 'app.export', 'success')});
my $writes = q{INSERT INTO rhesis_notify.templates (html) VALUES ('{{x}}'); INSERT INTO rhesis_notify.templates (name) VALUES ('mine');};
my $script = '';

foreach my $column (@columns)
{
	my ($table, $name) = split / /, $column;
	$script .= "BEGIN;\nSELECT 'altered' FROM public.alter_column('$table', '$name', $_);\n$calls$writes\nROLLBACK;\n" foreach @kinds;
}
my ($out, $err);
$node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-v', 'ON_ERROR_ROLLBACK=on', '-v', 'VERBOSITY=verbose' ]);
my $altered = () = $out =~ /^altered$/mg;
cmp_ok($altered, '>', 4 * @columns, "$altered alterations of " . scalar(@columns) . ' columns');
unlike($err, qr/server closed the connection|ERROR:  XX\w+/, 'what reads them copes, or says what is wrong');

# The worker names the column, and continues when the column is back.
my $queue = 'rhesis_notify.task_notifications';
$node->sql("ALTER TABLE $queue DROP CONSTRAINT result_is_an_object");
foreach my $change (
	[ 'error_message', 'DROP COLUMN error_message CASCADE', 'ADD COLUMN error_message text' ],
	[ 'result', q{ALTER result TYPE bytea USING NULL}, 'ALTER result TYPE jsonb USING NULL' ])
{
	my ($column, $alter, $mend) = @$change;

	$node->sql('SELECT rhesis_notify.pause()');
	$node->sql("ALTER TABLE $queue $alter");
	my $waiting = $node->report($column eq 'result' ? (result => '\\\\x01ff00aa80') : ());
	$node->sql('SELECT rhesis_notify.resume()');
	$node->wait_for("SELECT last_error ~ '$column' FROM rhesis_notify.worker_status");
	$node->sql("ALTER TABLE $queue $mend");
	$node->wait_for_state($waiting, 'sent');
	pass("$column: the worker says that it is not as it was, and goes on when it is");
}

# Without its constraint, a result may be no object.
foreach my $result ('[1, {"test_run_id": 7}]', '"' . ('text ' x 50) . '"', '12345', 'true')
{
	$node->wait_for_state($node->report(result => $result), 'sent');
	pass("a result that is no object has no variables: $result");
}
$node->sql("ALTER TABLE $queue ADD CONSTRAINT result_is_an_object CHECK (pg_catalog.jsonb_typeof(result) = 'object') NOT VALID");

is($node->sql('SELECT pg_postmaster_start_time()'), $started, 'the server still runs');
unlike($node->log, qr/was terminated by signal|PANIC:|TRAP:/, 'and none of its processes crashed');
$node->wait_for_state($node->report, 'sent');
pass('mail goes on');
$node->stop;
done_testing();
