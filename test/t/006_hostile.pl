
# Hostile input from a user, a task, a template or a mail server: it adds no header, no recipient
# and no SMTP command, harms no other row, and does not stop the server.
use strict;
use warnings FATAL => 'all';
use utf8;

use Encode qw(encode);
use RhesisNotify::Cluster qw($ACME $GLOBEX $JANE $GLOBEX_USER);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '100ms', max_attempts => 2 });
my $postmaster = $node->{_pid};

sub user
{
	my (%columns) = @_;
	my %row = (email => 'someone@example.com', name => 'Some One', organization_id => $ACME, %columns);
	my @names = sort keys %row;

	return $node->sql(sprintf 'INSERT INTO public."user" (%s) VALUES (%s) RETURNING id',
		join(', ', @names), join(', ', map { RhesisNotify::Cluster::literal($row{$_}) } @names));
}

# Reports a task, and returns its mail.
sub mail_of
{
	my (%columns) = @_;
	my $before = $peer->mail_count;
	my $id = $node->report(%columns);

	$node->wait_for_state($id, 'sent');
	my @mails = $peer->mails;
	is(scalar(@mails), $before + 1, '... one mail comes of it');
	return $mails[-1];
}

my $plain = mail_of();
my @usual_headers = $plain->header_names;

# Checks that there are only the usual headers, one recipient, CR LF at the end of each line, and
# only ASCII on the network.
sub is_harmless
{
	my ($what, $mail, $recipient) = @_;

	is_deeply([ sort $mail->header_names ], [ sort @usual_headers ], "$what: adds no header");
	is_deeply($mail->envelope->{to}, [ $recipient // 'jane@example.com' ], "$what: adds no recipient");
	is($mail->envelope->{from}, 'noreply@rhesis.example', "$what: changes no sender");
	unlike($mail->raw, qr/[^\r]\n|\r[^\n]|[^\t\r\n\x20-\x7e]/, "$what: leaves lines and bytes in order");
	is_deeply([ grep { length > 998 } split /\r\n/, $mail->raw ], [], "$what: makes no line too long");
	return;
}

my $injection = "x\r\nBcc: victim\@example.com\r\n\r\n.\r\nMAIL FROM:<a\@example.com>\r\n";

# ---- Line breaks in values for one line ----

is_harmless('a display name with line breaks', mail_of(user_id => user(name => $injection)), 'someone@example.com');
is_harmless('a task name with line breaks', mail_of(task_name => "app.$injection"));
is_harmless('a task id with line breaks', mail_of(task_id => "id $injection"));
is_harmless('a subject with line breaks', mail_of(subject_template => $injection));
is_harmless('a value in a subject with line breaks', mail_of(subject_template => '{project} {{project}}', result => '{"project": "x\\r\\nBcc: victim@example.com"}'));
is_harmless('lone carriage returns and line feeds', mail_of(subject_template => "a\rb\nc\x{0b}d\x{0c}e"));
is_harmless('an organization\'s name with line breaks', do {
	$node->sql("UPDATE public.organization SET display_name = E'a\\r\\nBcc: b\@example.com' WHERE id = '$ACME'");
	mail_of();
});

my $log = $node->log;
unlike($log, qr/^(?:Bcc|MAIL FROM|\.)/m, 'the log has no line of theirs');

# ---- Bodies ----

my $mail = mail_of(status => 'failed', error_message => "before${injection}after\r\n.\r\n..\r\n. \r\nQUIT\r\n");
is_harmless('an error message that ends the mail', $mail);
like($mail->text, qr/before.*Bcc: victim.*\n\s*\.\n.*after\n\s*\.\n\s*\.\.\n\s*\. ?\n\s*QUIT\n/s, '... and is read as it was written');

$mail = mail_of(status => 'failed', error_message => 'x' x 1_000_000);
is_harmless('an error message of 1 MB', $mail);
cmp_ok(length($mail->raw), '<', 500_000, '... is cut to what a mail should weigh');
is_harmless('an error message of one long line of é', mail_of(status => 'failed', error_message => encode('UTF-8', 'é' x 50_000)));

$mail = mail_of(result => '{"test_run_id": "' . ('y' x 2_000_000) . '"}');
is_harmless('a result of 2 MB', $mail);
cmp_ok(length($mail->raw), '<', 500_000, '... is not mailed');
is_harmless('a deep result', mail_of(result => '{"a": ' . ('[' x 2000) . (']' x 2000) . '}'));
is_harmless('a result with keys like ours', $mail = mail_of(result => '{"recipient_email": "victim@example.com", "recipient_name": "Mallory", "result_url": "https://evil.example"}'));
unlike($mail->text . $mail->html, qr/victim|Mallory|evil/, '... hides none of them');

# ---- Names that look like syntax ----

$mail = mail_of(user_id => user(name => '<img src=x onerror=alert(1)> {{task_id}} {{{error_message}}} {status.upper()}'));
is_harmless('a display name of tags', $mail, 'someone@example.com');
unlike($mail->html, qr/<img src=x/, '... is no HTML');
like($mail->text, qr/\{\{task_id\}\} \{\{\{error_message\}\}\} \{status\.upper\(\)\}/, '... and is not expanded');

foreach my $name ('"Doe, Jane" <victim@example.com>', 'a\\"b', '=?utf-8?q?Bcc=3A?=', "\x{202e}gnp.exe", "\x{1f9d1}\x{200d}\x{1f4bb}" x 40, 'x' x 10_000, "\t ", "a,b;c:d\@e")
{
	$mail = mail_of(user_id => user(name => encode('UTF-8', $name)));
	is_harmless('the display name ' . encode('UTF-8', length $name > 40 ? substr($name, 0, 40) . '…' : $name), $mail, 'someone@example.com');
	like($mail->raw_header('To'), qr/(?:^|<)someone\@example\.com>?$/, '... leaves To a mailbox');
}
is_harmless('a subject of 20,000 letters', mail_of(subject_template => encode('UTF-8', 'ü' x 20_000)));
is_harmless('an empty subject', mail_of(subject_template => '{{nothing}}'));

# ---- Addresses ----

foreach my $address ("a\@example.com\r\nBcc: b\@example.com", "a\@example.com\nb", "a\@example.com" . (' ' x 2000) . 'b@example.com', "a\@example.com> SIZE=1", '<a@example.com>', 'a@example.com, b@example.com',
	'a b@example.com', 'a@', '@example.com', 'a', 'a@b@example.com', "a\@ex\tample.com", 'a@example..com', 'a' x 65 . '@example.com', 'a@' . 'x' x 260 . '.com',
	'a@[127.0.0.1', '"a"b@example.com')
{
	my $row = $node->wait_for_state($node->report(user_id => user(email => $address)), 'skipped');
	is($row->{delivery_reason}, 'invalid_email', 'the address ' . encode('UTF-8', $address =~ s/[\r\n\t]/?/gr =~ s/^(.{50}).*/$1…/r) . ' gets no mail');
}

# ---- Who gets no mail ----

foreach my $case (
	[ 'nobody', { user_id => undef }, 'no_user' ],
	[ 'an empty user id', { user_id => '' }, 'no_user' ],
	[ 'an unknown user', { user_id => '99999999-9999-9999-9999-999999999999' }, 'unknown_user' ],
	[ 'a user id that is no uuid', { user_id => "1'; DROP TABLE \"user\"; --" }, 'unknown_user' ],
	[ 'a user id of 100 kB', { user_id => 'f' x 100_000 }, 'unknown_user' ],
	[ 'a deleted user', { user_id => user(deleted_at => '2024-01-01') }, 'unknown_user' ],
	[ 'an inactive user', { user_id => user(is_active => 'f') }, 'inactive_user' ],
	[ 'a user without an address', { user_id => user(email => undef) }, 'no_email' ],
	[ 'a user with an empty one', { user_id => user(email => '') }, 'no_email' ],
	[ 'a placeholder', { user_id => user(email => 'x@placeholder.rhesis.ai') }, 'placeholder_email' ],
	[ 'a placeholder in capitals', { user_id => user(email => 'X@PLACEHOLDER.Rhesis.AI') }, 'placeholder_email' ],
	[ 'another organization\'s user', { user_id => $GLOBEX_USER }, 'wrong_organization' ],
	[ 'an organization that does not exist', { organization_id => 'acme' }, 'wrong_organization' ],
	[ 'a silent task', { template => undef }, 'silent_task' ],)
{
	my ($what, $columns, $reason) = @$case;
	my $row = $node->wait_for_state($node->report(%$columns), 'skipped');

	is($row->{delivery_reason}, $reason, "$what: $reason");
	is($row->{attempts}, 0, "$what: no attempt");
}

# ---- Templates ----

my $id = $node->report(template => "no_such_template\r\nX");
$node->wait_for_state($id, 'sent');
is(($peer->mails)[-1]->header('Subject'), 'Task Completed: app.tasks.export - Success', 'for a template that does not exist task_completion stands in');
is(($node->events($id))[0]{event}, 'template_fallback', 'an event says so');
like(($node->events($id))[0]{detail}{message}, qr/there is no template "no_such_template/, 'and names it');

$id = $node->report(subject_template => '{{#unclosed}} {task_name');
$node->wait_for_state($id, 'sent');
is(($node->events($id))[0]{event}, 'template_fallback', 'a subject that can\'t be parsed gives way to the template\'s own');
$id = $node->report(subject_template => '{unknown_name} x');
$node->wait_for_state($id, 'sent');
is(($peer->mails)[-1]->header('Subject'), 'Task Completed: app.tasks.export - Success', 'so does one with an unknown name');
is(($node->events($id))[0]{event}, 'template_fallback', 'and an event says so');

# ---- Invalid values that the INSERT refuses ----

foreach my $case (
	[ 'a result that is a list', { result => '[1, 2]' }, qr/violates check constraint "result_is_an_object"/ ],
	[ 'a result that is a text', { result => '"text"' }, qr/violates check constraint "result_is_an_object"/ ],
	[ 'a result that is no JSON', { result => '{' }, qr/invalid input syntax for type json/ ],
	[ 'a status that is none', { status => 'retrying' }, qr/violates check constraint "status_is_success_or_failed"/ ],
	[ 'an empty task name', { task_name => '' }, qr/violates check constraint/ ],
	[ 'a task id of 501 letters', { task_id => 'x' x 501 }, qr/violates check constraint/ ],)
{
	my ($what, $columns, $says) = @$case;
	like($node->sql_error(RhesisNotify::Cluster::insert_of(%$columns)), $says, "$what is refused");
}

# ---- A mail server that tries to fill or confuse the log and the table ----

foreach my $case (
	[ 'a reply of 64 kB', { action => 'long', text => '554 5.7.0 no' } ],
	[ 'a reply of ten lines', { action => 'multiline', text => '554 5.7.0 no' } ],
	[ 'a reply byte by byte', { action => 'slow', text => '554 5.7.0 no' } ],
	[ 'control characters', { action => 'reply', text => "554 5.7.0 \x1b[31mred\x07\x00 \xc3\xa9 \xff" } ],)
{
	my ($what, $rule) = @$case;
	my $log_offset = -s $node->logfile;

	$peer->rules({ stage => 'rcpt', count => 1, %$rule });
	my $row = $node->wait_for_state($node->report, 'failed');
	is($row->{delivery_reason}, 'smtp_permanent', "$what: is understood");
	cmp_ok(length($row->{smtp_reply}), '<=', 1000, "$what: is cut at 1,000 characters");
	unlike($row->{smtp_reply}, qr/[\x00-\x1f\x7f]/, "$what: is printable");
	unlike($node->log($log_offset), qr/[\x00-\x09\x0b-\x1f\x7f]/, "$what: so is the log");
	is((grep { length > 2000 } split /\n/, $node->log($log_offset)), 0, "$what: and no line in it is long");
}
foreach my $stage (qw(greeting ehlo mail rcpt data dot))
{
	$peer->start_otherwise;
	$peer->rules({ stage => $stage, action => 'garbage', count => 1 });
	$id = $node->report;
	$node->wait_for_state($id, 'sent');
	pass("garbage at $stage: the mail goes out all the same");
	$peer->rules({ stage => $stage, action => 'reply', extra => '250 2.0.0 One more', count => 1 });
	$id = $node->report;
	$node->wait_for_state($id, 'sent');
	pass("a reply too many at $stage: the mail goes out all the same");
}
$peer->rules;

is_deeply([ grep { /victim|Bcc/ } $peer->commands ], [], 'no command was ever theirs');
is($node->{_pid}, $postmaster, 'the server is the one that was started');
unlike($node->log, qr/terminated by signal|PANIC|crash of another server process/, 'and has never crashed');
is($node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE delivery_status NOT IN ('sent', 'skipped', 'failed')"), 0, 'every row is settled');

$node->stop;
done_testing();
