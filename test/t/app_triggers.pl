
# Triggers, rules and constraints of an application on the queue: if they refuse a row, this affects
# only that row, and no mail is sent twice.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '100ms', retry_max_delay => '100ms' });
my $round = 0;

$node->sql(q{CREATE TABLE public.audit (id bigint)});
$node->sql(q{CREATE ROLE auditor; GRANT USAGE, CREATE ON SCHEMA public TO auditor;
	CREATE FUNCTION public.audit_it(id bigint) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO public.audit VALUES (id)';
	ALTER FUNCTION public.audit_it OWNER TO auditor});

# Returns SQL that makes a trigger. If $condition is true, its function executes $action for rows
# whose task_id is like 'bad%'.
sub trigger_on
{
	my ($condition, $action, $kind, %are) = @_;
	$kind //= 'BEFORE UPDATE';
	my ($create, $when) = $are{deferred} ? ('CREATE CONSTRAINT TRIGGER', 'DEFERRABLE INITIALLY DEFERRED') : ('CREATE TRIGGER', '');

	return qq{
		CREATE FUNCTION public.app() RETURNS trigger LANGUAGE plpgsql AS \$\$
		BEGIN
			IF OLD.task_id LIKE 'bad%' AND $condition THEN $action END IF;
			RETURN NEW;
		END \$\$;
		$create app $kind ON rhesis_notify.task_notifications $when FOR EACH ROW EXECUTE FUNCTION public.app()};
}

my $drop = 'DROP TRIGGER app ON rhesis_notify.task_notifications; DROP FUNCTION public.app()';
my $outcome = q{NEW.delivery_status = 'sent'};
my $claim = q{NEW.delivery_status = 'sending'};

sub ids_of
{
	my ($state) = @_;
	return $node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id LIKE '% $round' AND delivery_status = '$state'");
}

# Reports five good tasks and a bad one in one statement, after $make has created an obstacle for
# the bad one. At the end $unmake removes the obstacle.
sub check_refusal
{
	my ($what, $make, $unmake, %more) = @_;
	my $before = $peer->mail_count;
	my $log_offset = -s $node->logfile;
	my $held = $more{at} eq 'claim' ? 'pending' : 'sending';

	$round++;
	$node->sql($make);
	$node->sql(qq{INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, template)
		SELECT name || ' $round', 'app.tasks.export', 'success', '$JANE', '$ACME', 'task_completion'
		FROM unnest(ARRAY['one', 'two', 'bad', 'three', 'four', 'five']) AS name});
	$node->wait_for("SELECT count(*) = 5 FROM rhesis_notify.task_notifications WHERE task_id LIKE '% $round' AND delivery_status = 'sent'");
	is($node->sql("SELECT delivery_status FROM rhesis_notify.task_notifications WHERE task_id = 'bad $round'"), $held, "$what: the others are sent, it is $held");

	# Later mails are sent, too.
	$node->wait_for_state($node->report(task_id => "later $round"), 'sent');
	pass("$what: so is what comes later");
	$node->wait_for("SELECT NOT ok AND value ~ 'refused' FROM rhesis_notify.health() WHERE check_name = 'queue'");
	pass("$what: health() says so");
	my $id = $node->sql("SELECT id FROM rhesis_notify.task_notifications WHERE task_id = 'bad $round'");
	$node->wait_for("SELECT bool_or(concat_ws(' ', step, decision, detail, advice) ~ 'refused') FROM rhesis_notify.explain($id)");
	pass("$what: explain() says so");
	RhesisNotify::Peer::wait_until(sub { $node->log($log_offset) =~ /(?:WARNING|ERROR): / }, 'the log says so');
	my @warnings = $node->log($log_offset) =~ /^(.*(?:WARNING|ERROR): .*)$/mg;
	is(scalar(@warnings), 1, "$what: the log says it once") or diag(join "\n", @warnings);
	like($warnings[0] // '', qr/(?:WARNING|ERROR):  .*$more{message}/, "$what: with the error") if $more{message};
	is($peer->mail_count, $before + 6 + ($more{at} eq 'claim' ? 0 : 1), "$what: nothing was mailed twice");

	if ($more{restart})
	{
		my $pid = $node->worker('pid');
		$node->sql("SELECT pg_terminate_backend($pid)");
		$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE pid <> $pid AND state IN ('idle', 'sending')");
		$node->wait_for_state($node->report, 'sent');
		$node->sql($unmake);
		$node->wait_for_state($id, 'sent');
		is($peer->mail_count, $before + 8, "$what: nor by the next worker");
	}
	else
	{
		$node->sql($unmake);
		$node->wait_for_state($id, 'sent');
		is($peer->mail_count, $before + 7, "$what: when the cause is gone, it is sent, once");
	}
	$node->wait_for("SELECT ok FROM rhesis_notify.health() WHERE check_name = 'queue'");
	pass("$what: and health() is content");
	return;
}

my $raise = q{RAISE EXCEPTION 'the app says no to %', OLD.id;};

check_refusal('BEFORE, at the outcome', trigger_on($outcome, $raise), $drop, at => 'outcome', message => 'the app says no to \d+');
check_refusal('BEFORE, at the outcome, and the worker ends', trigger_on($outcome, $raise), $drop, at => 'outcome', message => 'the app says no', restart => 1);
check_refusal('AFTER, at the outcome', trigger_on($outcome, $raise, 'AFTER UPDATE'), $drop, at => 'outcome', message => 'the app says no');
check_refusal('suppressed, at the outcome', trigger_on($outcome, 'RETURN NULL;'), $drop, at => 'outcome');
check_refusal('suppressed, and the worker ends', trigger_on($outcome, 'RETURN NULL;'), $drop, at => 'outcome', restart => 1);
check_refusal('taken back, at the outcome', trigger_on($outcome, 'RETURN OLD;'), $drop, at => 'outcome');
check_refusal('made due again, at the outcome', trigger_on($outcome, q{NEW.delivery_status := 'pending'; NEW.finished_at := NULL;}), $drop, at => 'outcome', message => 'makes finished notifications due again');
check_refusal('made due again, and the worker ends', trigger_on($outcome, q{NEW.delivery_status := 'deferred'; NEW.finished_at := NULL; NEW.next_attempt_at := now();}), $drop, at => 'outcome', restart => 1);
my $due_again = q{UPDATE rhesis_notify.task_notifications SET delivery_status = 'pending', finished_at = NULL WHERE id = NEW.id;};
check_refusal('made due again after the outcome', trigger_on($outcome, $due_again, 'AFTER UPDATE'), $drop, at => 'outcome', message => 'makes finished notifications due again');
check_refusal('made due again after the outcome, and the worker ends', trigger_on($outcome, $due_again, 'AFTER UPDATE'), $drop, at => 'outcome', restart => 1);
check_refusal('made due again at COMMIT', trigger_on($outcome, $due_again, 'AFTER UPDATE', deferred => 1), $drop, at => 'outcome', message => 'makes finished notifications due again');
check_refusal('a cancel that is raised, at the outcome', trigger_on($outcome, q{RAISE query_canceled;}), $drop, at => 'outcome');
check_refusal('an audit table that is closed', trigger_on($outcome, q{PERFORM public.audit_it(OLD.id);}), $drop, at => 'outcome', message => 'permission denied');
check_refusal('a full disk that is raised', trigger_on($outcome, q{RAISE disk_full USING MESSAGE = 'no space for an audit';}), $drop, at => 'outcome', message => 'no space');
check_refusal('a check', q{ALTER TABLE rhesis_notify.task_notifications ADD CONSTRAINT app CHECK (NOT (task_id LIKE 'bad%' AND delivery_status = 'sent')) NOT VALID},
	q{ALTER TABLE rhesis_notify.task_notifications DROP CONSTRAINT app}, at => 'outcome', message => 'violates check constraint "app"');
check_refusal('deferred', trigger_on($outcome, $raise, 'AFTER UPDATE', deferred => 1), $drop, at => 'outcome', message => 'the app says no');

check_refusal('BEFORE, at the claim', trigger_on($claim, $raise), $drop, at => 'claim', message => 'the app says no');
check_refusal('AFTER, at the claim', trigger_on($claim, $raise, 'AFTER UPDATE'), $drop, at => 'claim', message => 'the app says no');
check_refusal('deferred, at the claim', trigger_on($claim, $raise, 'AFTER UPDATE', deferred => 1), $drop, at => 'claim', message => 'the app says no');
check_refusal('suppressed, at the claim', trigger_on($claim, 'RETURN NULL;'), $drop, at => 'claim');
check_refusal('taken back, at the claim', trigger_on($claim, 'RETURN OLD;'), $drop, at => 'claim');
check_refusal('given to another worker, at the claim', trigger_on($claim, 'NEW.claimed_by := 1;'), $drop, at => 'claim');
check_refusal('held, at the claim', trigger_on($claim, q{NEW.delivery_status := 'held'; NEW.claimed_by := NULL;}), $drop, at => 'claim');
check_refusal('a cancel that is raised, at the claim', trigger_on($claim, q{RAISE query_canceled;}), $drop, at => 'claim');

# ---- A rule stops every row: health(), explain(), worker_status and the log name the rule ----

sub check_rule
{
	my ($rule, $table, $stopped) = @_;
	my $log_offset = -s $node->logfile;
	my $named = "rule an_apps of rhesis_notify.$table: ";

	$node->sql($rule =~ s/AS/CREATE RULE an_apps AS/r);
	my @ids = map { $node->report } 1 .. 3;
	$node->wait_for("SELECT NOT ok AND value ~ '$named' FROM rhesis_notify.health() WHERE check_name = 'queue'");
	my $advice = $node->sql(q{SELECT advice FROM rhesis_notify.health() WHERE check_name = 'queue'});
	like($advice, qr/^DROP RULE an_apps ON rhesis_notify.$table; No mail goes out/, "$rule: health() says what to do");
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.explain($_) WHERE step = 'next' AND detail ~ '$named' AND advice ~ 'DROP RULE an_apps'") foreach @ids;
	pass("$rule: explain() says so of every row");
	$node->wait_for("SELECT last_error ~ '^$named' FROM rhesis_notify.worker_status");
	pass("$rule: so does worker_status.last_error");
	like($node->log($log_offset), qr/WARNING: .*$named.*\n.*\n.*HINT:  DROP RULE an_apps/, "$rule: and the log");
	is($node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE id IN ($ids[0], $ids[1], $ids[2]) AND delivery_status = '$stopped'"), 3, "$rule: they are $stopped");
	$node->sql($_) foreach $advice =~ /(DROP RULE .*?;)/, $advice =~ /(SELECT .*?;)/;
	$node->wait_for_state($_, 'sent') foreach @ids;
	$node->wait_for("SELECT ok FROM rhesis_notify.health() WHERE check_name = 'queue'");
	pass("$rule: without it, all are sent");
	return;
}

check_rule('AS ON UPDATE TO rhesis_notify.task_notifications DO ALSO INSERT INTO public.audit VALUES (NEW.id)', 'task_notifications', 'pending');
check_rule(q{AS ON UPDATE TO rhesis_notify.task_notifications WHERE NEW.task_id = 'none' DO ALSO DELETE FROM public.audit}, 'task_notifications', 'pending');
check_rule('AS ON UPDATE TO rhesis_notify.task_notifications DO INSTEAD NOTHING', 'task_notifications', 'pending');
check_rule('AS ON INSERT TO rhesis_notify.delivery_events DO ALSO INSERT INTO public.audit VALUES (NEW.id)', 'delivery_events', 'sending');

# ---- Operator functions ----

$node->sql('SELECT rhesis_notify.pause()');
my $waiting = $node->report(task_id => 'bad operator');
$node->sql(trigger_on('true', 'RETURN NULL;'));
like($node->sql_error("SELECT rhesis_notify.cancel($waiting)"), qr/notification $waiting is not cancelled.*HINT/s, 'cancel() does not say true of what a trigger has suppressed');
$node->sql("$drop; UPDATE rhesis_notify.task_notifications SET delivery_status = 'held' WHERE id = $waiting; " . trigger_on('true', 'RETURN NULL;'));
like($node->sql_error("SELECT rhesis_notify.retry($waiting)"), qr/notification $waiting is not retried.*HINT/s, 'nor does retry()');
is($node->sql("SELECT count(*) FROM rhesis_notify.delivery_events WHERE notification_id = $waiting"), 0, 'and neither leaves an event');

$node->stop;
done_testing();
