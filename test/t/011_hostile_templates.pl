# A tenant may write any template. If a template exceeds a limit, this affects only its own mails.
# Other mails and the worker are not affected.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster qw($ACME $GLOBEX $JANE $GLOBEX_USER);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { max_attempts => 2 });

# The result of a task: 300 numbers and a long text.
$node->sql(q{
	CREATE FUNCTION public.ammunition() RETURNS jsonb LANGUAGE sql AS $$
		SELECT jsonb_build_object('a', (SELECT jsonb_agg(n) FROM generate_series(1, 300) AS n), 's', repeat('x', 10000), 'n', 1e300)
	$$;
});

sub nested
{
	my ($inner) = @_;
	return '{{#a}}' x 4 . $inner . '{{/a}}' x 4;
}

my %limit = (
	steps => qr/rendering takes too many steps/,
	depth => qr/nested too deeply/,
	output => qr/output is too large/,
	partials => qr/the mail uses too many partials/,
	missing => qr/there is no partial/,
	empty => qr/it is empty/,
);
my @templates = (
	[ 'sections in sections', 'html', nested(''), 'steps' ],
	[ 'sections in sections, in the text', 'text', nested('{{#s}}{{/s}}'), 'steps' ],
	[ 'sections in sections, in the subject', 'subject', nested('{{#s}}{{/s}}'), 'steps' ],
	[ 'endless output', 'html', nested('{{s}}'), 'output' ],
	[ 'endless output of the template\'s own', 'text', nested('x' x 1000), 'output' ],
	[ 'endless case changes', 'subject', nested('{s.title()}'), 'output' ],
	[ 'methods without output', 'subject', nested('{{#s:title}}{{/s:title}}'), 'steps' ],
	[ 'names of 100 kB', 'html', nested('{{' . 'n' x 100_000 . '}}'), 'steps' ],
	[ 'white space that is taken away', 'html', "{{<stretched}}{{\$b}}\n" . ' ' x 200_000 . "x\n" . ' ' x 200_000 . "\n{{/b}}{{/stretched}}", 'steps' ],
	[ 'a partial of itself', 'html', '{{>itself}}', 'depth' ],
	[ 'partials of each other', 'html', '{{>ping}}', 'depth' ],
	[ 'two partials in each of thirty', 'html', '{{>doubled_1}}', 'steps' ],
	[ 'partials that a value names', 'html', '{{#a}}{{>*.}}{{/a}}', 'missing' ],);

$node->sql(qq{
	INSERT INTO rhesis_notify.templates (organization_id, name, html)
	SELECT '$ACME', 'doubled_' || n, CASE WHEN n < 30 THEN repeat('{{>doubled_' || n + 1 || '}}', 2) ELSE 'x' END FROM generate_series(1, 30) AS n
	UNION ALL VALUES ('$ACME', 'itself', '{{>itself}}'), ('$ACME', 'ping', '{{>pong}}'), ('$ACME', 'pong', '{{>ping}}'),
		('$ACME', 'stretched', E'{{#a}}{{#a}}\\n  {{\$b}}{{/b}}\\n{{/a}}{{/a}}')});

# Returns the mail with this template, and a mail of another organization. Both tasks report in one
# transaction.
sub both_mails
{
	my ($name, $template) = @_;

	$node->sql(qq{
		INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, template, result)
		VALUES ('hostile $name', 'app.hostile', 'success', '$JANE', '$ACME', '$template', public.ammunition()),
			('other $name', 'app.other', 'success', '$GLOBEX_USER', '$GLOBEX', 'task_completion', NULL)});
	$node->wait_for("SELECT count(*) = 2 FROM rhesis_notify.task_notifications WHERE task_id IN ('hostile $name', 'other $name') AND finished_at IS NOT NULL");
	return map { $node->notification($node->sql("SELECT id FROM rhesis_notify.task_notifications WHERE task_id = '$_ $name'")) } qw(hostile other);
}

my ($ready) = both_mails('first', 'task_completion');
is($ready->{delivery_status}, 'sent', 'the worker is at work');
my $worker = $node->worker('pid');
my $number = 0;
foreach my $case (@templates)
{
	my ($what, $part, $source, $limit) = @$case;
	my $name = 'hostile_' . ++$number;

	$node->sql("INSERT INTO rhesis_notify.templates (organization_id, name, $part) VALUES ('$ACME', '$name', " . RhesisNotify::Cluster::literal($source) . ')');
	my ($row, $other) = both_mails($number, $name);
	my ($event, @more) = $node->events($row->{id});

	is($row->{delivery_status}, 'sent', "$what: the mail goes out all the same");
	is($row->{attempts}, 1, "$what: at the first attempt");
	is($event->{event}, 'template_fallback', "$what: an event says what took its place");
	like($event->{detail}{message}, $limit{$limit}, "$what: and why");
	is(scalar(@more), 0, "$what: once");
	is($other->{delivery_status} . $other->{attempts}, 'sent1', "$what: another's mail is sent");
	is(scalar($node->events($other->{id})), 0, "$what: and nothing is said of it");
}

# The same for templates that a task names in its row.
foreach my $case ([ 'a subject', nested('{{#s}}{{/s}}'), 'steps' ], [ 'a subject of 100 kB of tags', '{{n}}' x 20_000, 'output' ],
	[ 'a subject of 100 kB of methods', '{s.upper()}' x 9_000, 'output' ],)
{
	my ($what, $subject, $limit) = @$case;
	my $id = $node->sql('INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, template, subject_template, result) '
		  . "VALUES ('$what', 'app.hostile', 'success', '$JANE', '$ACME', 'task_completion', " . RhesisNotify::Cluster::literal($subject) . ', public.ammunition()) RETURNING id');
	my $row = $node->wait_for_state($id, 'sent');

	like(($node->events($id))[0]{detail}{message}, $limit{$limit}, "$what of a task: the template's own goes out, and an event says why");
}

# A template of one megabyte of tags takes long to parse, and a mail of one megabyte takes long to
# send. Both are allowed.
$node->sql("INSERT INTO rhesis_notify.templates (organization_id, name, html) VALUES ('$ACME', 'tags', repeat('{{n}}', 200000)), ('$ACME', 'large', repeat('0123456789', 100000))");
foreach my $template (qw(tags large))
{
	my ($row, $other) = both_mails($template, $template);
	is($row->{delivery_status}, 'sent', "$template: the mail goes out");
	is($other->{delivery_status}, 'sent', "$template: so does another's");
}
is_deeply([ map { length } $node->sql("SELECT html FROM rhesis_notify.preview((SELECT id FROM rhesis_notify.task_notifications WHERE task_id = 'hostile large'))") ],
	[1_000_000], 'a mail of 1 MB is whole');

# ---- Many hostile templates ----

sub report_many_hostile
{
	my ($name) = @_;
	$node->sql(qq{
		INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, template, result)
		SELECT '$name ' || n, '$name', 'success', CASE WHEN n % 10 = 0 THEN '$GLOBEX_USER' ELSE '$JANE' END,
			CASE WHEN n % 10 = 0 THEN '$GLOBEX' ELSE '$ACME' END, 'hostile_' || n % $number + 1, public.ammunition()
		FROM generate_series(1, 200) AS n});
	return;
}

report_many_hostile('app.flood');
$node->wait_for("SELECT count(*) = 200 FROM rhesis_notify.task_notifications WHERE task_name = 'app.flood' AND delivery_status = 'sent'");
is($node->sql("SELECT count(DISTINCT notification_id) FROM rhesis_notify.delivery_events JOIN rhesis_notify.task_notifications AS n ON n.id = notification_id
		WHERE task_name = 'app.flood' AND event = 'template_fallback'"), 200, 'of 200 hostile mails each goes out as what ships');
is($node->worker('pid'), $worker, 'it is the worker that began');
SKIP:
{
	skip 'AddressSanitizer keeps freed memory', 1 if $ENV{RHESIS_SANITIZED};
	my ($memory) = PostgreSQL::Test::Utils::slurp_file("/proc/$worker/status") =~ /^VmHWM:\s+(\d+) kB/m;
	cmp_ok($memory, '<', 400 * 1024, 'which never took 400 MB of memory');
}

# A worker that is rendering can be stopped at once.
report_many_hostile('app.interrupted');
$node->wait_for("SELECT count(*) > 0 FROM rhesis_notify.task_notifications WHERE task_name = 'app.interrupted' AND delivery_status = 'sending'");
$node->sql("SELECT pg_terminate_backend($worker, 60000)") eq 't' or die 'the worker did not end';
$node->wait_for("SELECT count(*) = 200 FROM rhesis_notify.task_notifications WHERE task_name = 'app.interrupted' AND delivery_status = 'sent'");
isnt($node->worker('pid'), $worker, 'a worker that is ended while it renders is replaced, and nothing is lost');

unlike($node->log, qr/terminated by signal|PANIC|crash of another server process|out of memory/, 'the server has never crashed');

$node->stop;
done_testing();
