
# Mails are in UTF-8, whatever the encoding of the database is.
use strict;
use warnings FATAL => 'all';
use utf8;

use Encode qw(encode);
use RhesisNotify::Cluster qw($ACME);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, bare => 1);
local $ENV{PGCLIENTENCODING} = 'UTF8';

foreach my $encoding (qw(LATIN1 WIN1252 EUC_JP))
{
	my $database = lc $encoding;
	my $name = $encoding eq 'EUC_JP' ? '山田 花子' : 'José Núñez';
	my $task = $encoding eq 'EUC_JP' ? 'app.レポート' : 'app.Übersicht';

	$node->sql("CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$node->create_app($database);
	my $user = $node->sql("INSERT INTO public.\"user\" (email, name, organization_id) VALUES ('someone\@example.com', '" . encode('UTF-8', $name) . "', '$ACME') RETURNING id", $database);
	my $before = $peer->mail_count;
	my $id = $node->report(database => $database, user_id => $user, task_name => encode('UTF-8', $task), status => 'failed', error_message => encode('UTF-8', "$name: $task"));
	$node->wait_for_state($id, 'sent', $database);

	my $mail = ($peer->mails)[$before];
	like($mail->header('To'), qr/\Q$name\E/, "$encoding: the name");
	is($mail->header('Subject'), "Task Completed: $task - Failed", "$encoding: the subject");
	like($mail->text, qr/! Task Failed.*Hello \Q$name\E,.*\Q$name: $task\E/s, "$encoding: the text, but for the cross that the database can't hold");
	like($mail->html_as_seen, qr/❌ Task Failed.*Hello \Q$name\E,.*\Q$name: $task\E/s, "$encoding: the HTML");
}

# The domain of an address need not be ASCII, whatever the encoding and the locale of the database
# are.
foreach my $case ([ 'latin1', 'jane@exämple.de', 'jane@xn--exmple-cua.de' ], [ 'euc_jp', 'hanako@例え.jp', 'hanako@xn--r8jz45g.jp' ], [ 'postgres', ' jane@bücher.example ', 'jane@xn--bcher-kva.example' ])
{
	my ($database, $written, $address) = @$case;
	$node->create_app('postgres') if $database eq 'postgres';
	my $user = $node->sql("INSERT INTO public.\"user\" (email, name, organization_id) VALUES ('" . encode('UTF-8', $written) . "', 'Somebody', '$ACME') RETURNING id", $database);
	my $row = $node->wait_for_state($node->report(database => $database, user_id => $user), 'sent', $database);

	is($row->{recipient_email}, $address, "$database: the address is recorded as it was used");
	is_deeply(($peer->mails)[-1]->envelope->{to}, [$address], "$database: the envelope has the domain's IDNA form");
}
my $refused = $node->sql("INSERT INTO public.\"user\" (email, name, organization_id) VALUES ('" . encode('UTF-8', 'jäne@example.de') . "', 'Somebody', '$ACME') RETURNING id", 'latin1');
my $skipped = $node->report(database => 'latin1', user_id => $refused);
$node->wait_for_state($skipped, 'skipped', 'latin1');
like($node->sql("SELECT detail FROM rhesis_notify.explain($skipped) WHERE step = 'recipient'", 'latin1'), qr/SMTPUTF8/, 'explain() says what is wrong with another one');

# A database in SQL_ASCII does not know the encoding of its text. Valid UTF-8 is mailed unchanged,
# and other bytes do no harm.
$node->sql("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
{
	local $ENV{PGCLIENTENCODING} = 'SQL_ASCII';
	$node->create_app('bytes');
	foreach my $case ([ 'UTF-8', encode('UTF-8', 'José'), qr/Hello José,/ ], [ 'other bytes', encode('ISO-8859-1', 'José'), qr/Hello Jos.{1,3},/ ])
	{
		my ($what, $bytes, $greeting) = @$case;
		my $user = $node->sql("INSERT INTO public.\"user\" (email, name, organization_id) VALUES ('someone\@example.com', '$bytes', '$ACME') RETURNING id", 'bytes');
		my $before = $peer->mail_count;

		$node->wait_for_state($node->report(database => 'bytes', user_id => $user), 'sent', 'bytes');
		my $mail = ($peer->mails)[$before];
		like($mail->text, $greeting, "SQL_ASCII: $what");
		unlike($mail->raw, qr/[^\x00-\x7f]/, "SQL_ASCII: $what: only ASCII is on the wire");
	}
}

$node->stop;
done_testing();
