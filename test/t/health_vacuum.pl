# health() beside a session that holds up vacuum: it reports dead rows, old transactions and old
# multixacts after they exceed a limit, and its advice helps.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Session;
use Test::More;

# Mail is off, so only the test writes. Autovacuum runs only after the test shortens
# autovacuum_naptime. The limits are the lowest possible ones.
my ($transactions, $multixacts) = (100_000, 10_000);
my $node = RhesisNotify::Cluster->serve(
	'main',
	settings => {
		'server.autovacuum_naptime' => '1d',
		'server.autovacuum_freeze_max_age' => $transactions,
		'server.autovacuum_multixact_freeze_max_age' => $multixacts });
my $operator = RhesisNotify::Session->start($node);

# Returns whether a check is ok, and its value.
sub health
{
	my ($check) = @_;
	return $node->sql("SELECT concat_ws(' | ', ok, value, advice) FROM rhesis_notify.health() WHERE check_name = '$check'");
}

sub wait_for_health
{
	my ($check, $condition) = @_;
	$node->wait_for("SELECT $condition FROM rhesis_notify.health() WHERE check_name = '$check'");
	return health($check);
}

sub leave_dead_rows
{
	my ($count) = @_;
	return $node->sql(
		qq{BEGIN;
	INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status) SELECT n::text, 'app.some', 'success' FROM generate_series(1, $count) AS n;
	DELETE FROM rhesis_notify.task_notifications;
	COMMIT});
}

# Returns the statement in the advice that matches the pattern.
sub advised
{
	my ($check, $pattern) = @_;
	my ($statement) = health($check) =~ /($pattern)/ or die "health() advises nothing like $pattern: " . health($check) . "\n";
	return $statement;
}

# Uses $count transaction ids: each subtransaction that writes uses one.
sub take_transactions
{
	my ($count) = @_;
	return $node->sql(
		qq{CREATE TEMP TABLE written ();
	DO \$\$ BEGIN
		FOR n IN 1 .. $count LOOP
			BEGIN INSERT INTO written DEFAULT VALUES; EXCEPTION WHEN division_by_zero THEN NULL; END;
		END LOOP;
	END \$\$});
}

# Uses $count multixacts: each subtransaction locks the row in addition to the lock of its
# transaction, which needs a multixact.
sub take_multixacts
{
	my ($session, $count) = @_;
	return $session->query(
		qq{DO \$\$ BEGIN
		PERFORM FROM rhesis_notify.task_notifications FOR KEY SHARE;
		FOR n IN 1 .. $count LOOP
			BEGIN
				PERFORM FROM rhesis_notify.task_notifications FOR NO KEY UPDATE;
				RAISE division_by_zero;
			EXCEPTION WHEN division_by_zero THEN NULL; END;
		END LOOP;
	END \$\$});
}

# ---- Dead rows ----

$operator->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $holder = $operator->query('SELECT pg_backend_pid()');
leave_dead_rows(9000);
like(wait_for_health('autovacuum', q{value ~ '^9000 dead rows beside 0;'}), qr/^t \| [^|]*$/, 'some dead rows are usual');
leave_dead_rows(1500);
like(wait_for_health('autovacuum', q{value ~ '^10500 dead rows beside 0;'}), qr/^f \| [^|]*; it has not run yet \| It cannot keep up: look for old transactions, /, 'too many are not');
$node->sql('VACUUM rhesis_notify.task_notifications');
like(health('autovacuum'), qr/^f \| 10500 dead rows beside 0; last run .*cannot keep up/, 'a vacuum beside an old transaction does not help');
is((split /\|/, $node->sql(advised('autovacuum', 'SELECT .* ORDER BY xact_start')))[0], $holder, 'the advice finds the session that is to blame');
$operator->query('COMMIT');
$node->configure('server.autovacuum_naptime' => '1s');
$node->reload;
like(wait_for_health('autovacuum', 'ok'), qr/^t \| \d+ dead rows beside \d+; last run/, 'and autovacuum keeps up when it has gone');

# ---- Wraparound ----

my $vacuum = 'VACUUM \(FREEZE\) rhesis_notify\.[^;]*';

$node->report;
$operator->query('BEGIN');
take_multixacts($operator, $multixacts + 1000);
like(health('wraparound'), qr/^t \| oldest row \d+ transactions and 11\d\d\d multixacts ago$/, 'multixacts that autovacuum is about to freeze');
take_multixacts($operator, $multixacts);
like(health('wraparound'), qr/^f \| oldest row \d+ transactions and 21\d\d\d multixacts ago \| Run VACUUM \(FREEZE\).*find out what keeps autovacuum/, 'multixacts that it could not freeze');
my $advised = advised('wraparound', $vacuum);
$operator->query('ROLLBACK');
$node->sql($advised);
like(health('wraparound'), qr/^t \| oldest row \d+ transactions and \d+ multixacts ago$/, 'what the advice says helps');

$operator->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
$operator->query('SELECT FROM rhesis_notify.task_notifications');
take_transactions($transactions + 5000);
like(health('wraparound'), qr/^t \| oldest row 1[0-9]{5} transactions and/, 'transactions that autovacuum is about to freeze');
take_transactions($transactions);
like(health('wraparound'), qr/^f \| oldest row 2[0-9]{5} transactions and \d+ multixacts ago \| Run VACUUM \(FREEZE\).*find out what keeps autovacuum/, 'transactions that it could not freeze');
$advised = advised('wraparound', $vacuum);
$node->sql($advised);
like(health('wraparound'), qr/^f/, 'what the advice says does not help beside an old transaction');
$operator->query('COMMIT');
$node->sql($advised);
like(health('wraparound'), qr/^t \| oldest row \d+ transactions and \d+ multixacts ago$/, 'but does when it has gone');

$operator->quit;
$node->stop;
done_testing();
