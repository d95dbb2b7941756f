# An organization can override its mails: whole mails, subjects, or the layout. A broken template is
# refused when it is written. If a template fails later, the shipped one replaces it, an event is
# recorded, and the mail is sent. The preview shows the mail that is sent.
use strict;
use warnings FATAL => 'all';
use utf8;

use Cwd qw(abs_path);
use Digest::MD5 qw(md5_hex);
use File::Basename;
use IPC::Run;
use RhesisNotify::Cluster qw($ACME $GLOBEX $JANE $GLOBEX_USER);
use RhesisNotify::Peer;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);
my %globex = (user_id => $GLOBEX_USER, organization_id => $GLOBEX);

# Reports a task, and returns its mail and its row.
sub mail_of
{
	my (%columns) = @_;
	my $before = $peer->mail_count;
	my $row = $node->wait_for_state($node->report(%columns), 'sent');

	return (($peer->wait_for_mails($before + 1))[-1], $row);
}

sub override
{
	my (%row) = @_;
	my @names = sort keys %row;

	return sprintf('INSERT INTO rhesis_notify.templates (%s) VALUES (%s)',
		join(', ', @names), join(', ', map { RhesisNotify::Cluster::literal($row{$_}) } @names));
}

sub events_of
{
	my ($row) = @_;
	return join '; ', map { "$_->{event}: $_->{detail}{message}" } $node->events($row->{id});
}

# Checks that the mail was made from the shipped template.
sub is_shipped
{
	my ($what, $mail) = @_;

	is($mail->header('Subject'), 'Task Completed: app.tasks.export - Success', "$what: the shipped subject");
	like($mail->html, qr/<!DOCTYPE html>.*Your task has completed with status/s, "$what: the shipped HTML");
	like($mail->text, qr/^✅ Task Completed\n.*Best regards,\nRhesis AI Team/s, "$what: the shipped text");
	return;
}

is_shipped('no override', mail_of());

# ---- A whole mail ----

$node->sql(override(organization_id => $ACME, name => 'task_completion', subject => 'Acme: {task_name} {{status_upper}}',
	html => '<p>{{recipient_name}} &amp; {{organization_name}}</p>', text => '{{recipient_name}} & {{organization_name}}'));
my ($mail, $row) = mail_of();
is($mail->header('Subject'), 'Acme: app.tasks.export SUCCESS', 'a whole mail: its subject');
is($mail->html, "<p>Jane Doe &amp; Acme GmbH</p>", 'a whole mail: its HTML');
is($mail->text, "Jane Doe & Acme GmbH", 'a whole mail: its text');
is(events_of($row), '', 'a whole mail: is no event');
is_shipped('another organization', mail_of(%globex));
$node->sql('DELETE FROM rhesis_notify.templates');
is_shipped('a whole mail that was deleted', mail_of());

# ---- Only the subject ----

$node->sql(override(organization_id => $ACME, name => 'task_completion', subject => '[Acme] {task_name}: {status.upper()}'));
($mail) = mail_of();
is($mail->header('Subject'), '[Acme] app.tasks.export: SUCCESS', 'only the subject');
like($mail->html, qr/<!DOCTYPE html>.*Your task has completed with status/s, 'only the subject: the HTML is the shipped one');
is((mail_of(subject_template => 'Of the task: {{status}}'))[0]->header('Subject'), 'Of the task: success', 'only the subject: a task\'s own goes first');
is_shipped('another organization', mail_of(%globex));
$node->sql('DELETE FROM rhesis_notify.templates');
is_shipped('a subject that was deleted', mail_of());

# ---- Only the layout ----

$node->sql(override(organization_id => $ACME, name => 'layout', html => '<html lang="en"><title>{{$title}}{{/title}}</title><body>ACME LABS {{$content}}{{/content}}</body></html>'));
foreach my $template (qw(task_completion test_execution_summary))
{
	($mail) = mail_of(template => $template, task_id => "layout $template", result => '{"total_tests": 3}');
	like($mail->html, qr/ACME LABS .*Task ID.*layout $template/s, "only the layout: $template is in it");
	unlike($mail->html, qr/Best regards/, "only the layout: $template has nothing of the shipped one");
	like($mail->text, qr/Best regards,\nRhesis AI Team/, "only the layout: the text of $template has the shipped one");
}
is_shipped('another organization', mail_of(%globex));

# ---- Overrides of the organization, of everybody, and the shipped template ----

$node->sql(override(name => 'layout', html => 'EVERYBODY {{$content}}{{/content}}', text => 'EVERYBODY {{$content}}{{/content}}'));
($mail) = mail_of();
like($mail->html, qr/ACME LABS/, 'the organization\'s goes before everybody\'s');
like($mail->text, qr/^EVERYBODY/, 'part by part');
like((mail_of(%globex))[0]->html, qr/^EVERYBODY/, 'who has none gets everybody\'s');
$node->sql('DELETE FROM rhesis_notify.templates');
is_shipped('a layout that was deleted', mail_of());

# ---- Refused when it is written ----

foreach my $case (
	[ { html => "<p>\n{{#tests}}\n</p>" }, qr/ERROR:  html of template "task_completion" cannot be parsed\nDETAIL:  Line 2, \{\{#tests\}\}: / ],
	[ { text => "a\nb\n{{task_name" }, qr/ERROR:  text of template "task_completion" cannot be parsed\nDETAIL:  Line 3, \{\{task_name: / ],
	[ { subject => '{{#a}}{{/b}}' }, qr/ERROR:  subject of template "task_completion" cannot be parsed\nDETAIL:  Line 1, \{\{\/b\}\}: / ],
	[ { html => "x\n\n{{>no_footer}}" }, qr/ERROR:  html of template "task_completion" uses a partial that does not exist\nDETAIL:  Line 3, \{\{>no_footer\}\}: / ],)
{
	my ($parts, $says) = @$case;
	my ($part) = keys %$parts;

	like($node->sql_error(override(organization_id => $ACME, name => 'task_completion', %$parts)), $says, "$part: refused with its line and tag");
	like($node->sql_error(override(name => 'mine', text => 'x', %$parts) =~ s/"task_completion"/"mine"/r), qr/ERROR:  $part of template "mine"/, "$part: for everybody too");
}
is($node->sql('SELECT count(*) FROM rhesis_notify.templates'), 0, 'nothing of it was written');
is_shipped('refused ones', mail_of());

# ---- Failures while a mail is rendered ----

$node->sql('INSERT INTO rhesis_notify.templates (organization_id, name, subject, html, text) VALUES ' . qq{
	('$ACME', 'task_completion', 'Acme {status}', E'<p>Acme</p>\n {{>footer}}', 'Acme'), ('$ACME', 'footer', NULL, 'The end.', NULL)});
is((mail_of())[0]->html, "<p>Acme</p>\n The end.", 'a template with a partial of its own');
$node->sql("DELETE FROM rhesis_notify.templates WHERE name = 'footer'");
($mail, $row) = mail_of();
is_shipped('a template whose partial is gone', $mail);
is(events_of($row), 'template_fallback: html of template "task_completion": there is no partial "footer"', 'an event says so');
is($row->{attempts}, 1, 'it is no failed attempt');
($mail, $row) = mail_of(%globex);
is_shipped('another organization', $mail);
is(events_of($row), '', 'and nothing is said of it');
$node->sql('DELETE FROM rhesis_notify.templates');
($mail, $row) = mail_of();
is_shipped('the override is deleted', $mail);
is(events_of($row), '', 'and there is no event any more');

$node->sql(override(organization_id => $ACME, name => 'task_completion', subject => 'Run {run}'));
is((mail_of(result => '{"run": 17}'))[0]->header('Subject'), 'Run 17', 'a subject with a key of the result');
($mail, $row) = mail_of();
is_shipped('a subject that can\'t be filled in', $mail);
is(events_of($row), 'template_fallback: subject of template "task_completion": there is no variable "run"', 'an event names the variable');
$node->sql('DELETE FROM rhesis_notify.templates');

# ---- The preview shows the mail that is sent ----

foreach my $case (
	[ 'a mail', {} ],
	[ 'a failure with lines of dots', { status => 'failed', error_message => ".\n..\nend\n.\n" } ],
	[ 'a template that fails', { template => 'no_such_template' } ],
	[ 'letters beyond ASCII', { subject_template => "\xc3\xa9\xe2\x9c\x85 {task_name}", task_name => "t\xc3\xa2che \xd7\x90" } ],)
{
	my ($what, $columns) = @$case;
	($mail, $row) = mail_of(%$columns);
	is($node->sql("SELECT md5(regexp_replace(rhesis_notify.preview_message($row->{id}), '^Date: [^\\r]*', ''))"),
		md5_hex($mail->raw =~ s/^Date: [^\r]*//r), "preview_message() of $what is what went over the wire, but for the date");
}

# ---- In a browser ----

sub preview
{
	my ($browser, @arguments) = @_;
	my ($output, $errors);
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', BROWSER => $browser);

	IPC::Run::run([ "$top/examples/preview.sh", @arguments ], '>', \$output, '2>', \$errors);
	return ($? >> 8, $output, $errors);
}

foreach my $template (qw(task_completion test_execution_summary))
{
	my ($result, $output) = preview('cat', $template, '{"status": "failed", "error_message": "a < b", "recipient_name": "Ada"}');

	is($result, 0, "examples/preview.sh $template");
	like($output, qr/^Subject: Task Completed: .* - Failed$/m, '... shows the subject');
	like($output, qr/^Hello Ada,\n.*^a < b\n/ms, '... the text');
	like($output, qr/<!DOCTYPE html>.*Hello <[^>]+>Ada<.*a &lt; b/s, '... and opens the HTML');
}
$node->sql(override(organization_id => $ACME, name => 'task_completion', html => 'ACME {{task_name}}'));
like((preview('cat', 'task_completion', '{}', $ACME))[1], qr/^ACME Test Execution Summary$/m, 'examples/preview.sh shows an organization\'s');
my ($result, $output, $errors) = preview('cat', 'no_such_template');
isnt($result, 0, 'examples/preview.sh fails where there is no template');
like($errors, qr/there is no template "no_such_template"/, '... and says so');

$node->stop;
done_testing();
