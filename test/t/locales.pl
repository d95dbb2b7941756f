
# Names of tasks, the words for a status and the words of SMTP belong to no language. They are the
# same in each locale.
use strict;
use warnings FATAL => 'all';
use utf8;

use Encode qw(decode encode);
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Peer;
use Test::More;

# Locales of the C library that a test machine may not have.
my $locales = PostgreSQL::Test::Utils::tempdir();
my %libc = ('tr_TR.UTF-8' => [ 'tr_TR', 'UTF-8', 'UTF8' ], 'tr_TR.ISO-8859-9' => [ 'tr_TR', 'ISO-8859-9', 'LATIN5' ]);
foreach my $locale (sort keys %libc)
{
	my ($input, $charmap) = @{ $libc{$locale} };
	# localedef prints a warning and still makes the locale.
	system_log('localedef', '--no-archive', '-c', '-i', $input, '-f', $charmap, "$locales/$locale");
	delete $libc{$locale} unless -d "$locales/$locale";
}

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve(
	'main',
	peer => $peer,
	bare => 1,
	environment => %libc ? { LOCPATH => $locales } : {},
	settings => { from_email => 'Rhesis AI <noreply@rhesis.example>', frontend_url => 'HTTPS://APP.RHESIS.EXAMPLE/I', placeholder_domains => 'PLACEHOLDER.RHESIS.AI', 'server.max_worker_processes' => 20 });
local $ENV{PGCLIENTENCODING} = 'UTF8';

my $has_icu = $node->sql(q{SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i'}) eq 't';
my %databases = (
	plain => q{ENCODING 'UTF8' LOCALE 'C.UTF-8'},
	bytes => q{ENCODING 'UTF8' LOCALE 'C'},
	$has_icu ? (map { ("icu_$_" => qq{ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE '$_' LOCALE 'C.UTF-8'}) } qw(tr az lt el und en-US-u-va-posix)) : (),
	map { ('libc_' . lc($_) => qq{ENCODING '$libc{$_}[2]' LOCALE '$_'}) } keys %libc);

my $subject = '{task_name.title()} {task_name.upper()} {task_name.lower()} {task_name.capitalize()} {status.title()} {status.upper()} {status.lower()} {status.capitalize()}';

foreach my $database (sort keys %databases)
{
	$node->sql(qq{CREATE DATABASE "$database" TEMPLATE template0 $databases{$database}});
	$node->create_app($database);

	my $before = $peer->mail_count;
	my $id = $node->report(database => $database, task_name => 'app.IMPORT_files', status => 'failed', subject_template => $subject);
	$node->wait_for_state($id, 'sent', $database);
	is(($peer->mails)[$before]->header('Subject'),
		'App.Import_Files APP.IMPORT_FILES app.import_files App.import_files Failed FAILED failed Failed',
		"$database: a subject");

	$node->sql(q{INSERT INTO public."user" (id, email, name) VALUES ('99999999-9999-9999-9999-999999999999', 'i@placeholder.rhesis.ai', 'I')}, $database);
	is( $node->wait_for_state($node->report(database => $database, user_id => '99999999-9999-9999-9999-999999999999', organization_id => undef), 'skipped', $database)
		->{delivery_reason},
		'placeholder_email',
		"$database: a domain");
}

# Returns the subject of a mail in this database. Letters that are not ASCII follow the locale.
sub subject_of
{
	my ($database, $name, $method) = @_;
	my $id = $node->report(database => $database, task_name => encode('UTF-8', $name), subject_template => "{task_name.$method()}");

	return decode('UTF-8', $node->sql("SELECT subject FROM rhesis_notify.preview($id)", $database));
}

SKIP:
{
	skip 'this PostgreSQL has no ICU', 5 unless $has_icu;
	is(subject_of('icu_el', 'ΟΔΟΣ FIN', 'lower'), 'οδος fin', 'a final sigma');
	is(subject_of('icu_tr', 'ΟΔΟΣ FIN', 'lower'), 'οδος fin', 'a final sigma, in a locale that changes ASCII');
	is(subject_of('icu_tr', 'çığ ıssız', 'upper'), 'ÇIĞ ISSIZ', 'letters of the language, in upper case');
	is(subject_of('icu_tr', 'ÇİĞ', 'lower'), 'çiğ', 'in lower case');
	is(subject_of('icu_tr', 'élan vital', 'title'), 'Élan Vital', 'as a title');
}

$node->stop;
done_testing();
