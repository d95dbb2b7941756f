# doc/reference.md is complete and true.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Document qw(page_text);
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $reference = page_text('doc/reference.md');

# The rows of the table that begins with this head, as lists of cells without backquotes.
sub table
{
	my ($head) = @_;
	my ($rows) = $reference =~ /^\Q$head\E.*\n\|[- |]+\n((?:\|.*\n)+)/m or die "no table begins with $head";
	return map { [ map { s/^\s*`?|`?\s*$//gr } (split /\|/, $_, -1)[ 1 .. 3 ] ] } split /\n/, $rows;
}

sub uniq
{
	my %seen;
	return sort grep { !$seen{$_}++ } @_;
}

# ---- Settings: each is there, with that default, and none is left out ----

my $node = RhesisNotify::Cluster->serve('main', environment => { LANG => 'C.UTF-8' });
my @settings = table('| setting |');

is_deeply(
	[ sort map { $_->[0] } @settings ],
	[ sort 'rhesis_notify.smtp_password', split /\n/, $node->sql(q{SELECT name FROM pg_settings WHERE name LIKE 'rhesis\_notify.%'}) ],
	'the settings are those of the server');
foreach my $setting (grep { $_->[0] ne 'rhesis_notify.smtp_password' } @settings)
{
	is($node->sql("SHOW $setting->[0]"), $setting->[2], "the default of $setting->[0]");
}

my %environment = map { $_->[1] => $_->[0] } grep { $_->[1] ne '' } @settings;
my $sources = join '', map { slurp_file($_) } glob("$top/src/settings*.c");
is_deeply([ sort keys %environment ], [ uniq($sources =~ /"((?:SMTP|FROM|FRONTEND)_[A-Z_]+)"/g) ],
	'the environment variables are those of the source');

# ---- States and reasons ----

is_deeply(
	[ map { $_->[0] } table('| state | meaning') ],
	[ split /\n/, $node->sql('SELECT unnest(enum_range(NULL::rhesis_notify.delivery_state))') ],
	'the states are those of the type');

my $code = join '', map { slurp_file($_) } glob("$top/src/*.c");
foreach my $reason (map { split /`, `/, $_->[0] } table('| reason |'))
{
	like($code, qr/['"]$reason['"]/, "there is a reason $reason");
}

# ---- What a user may call or read ----

my $internal = qr/^(?:worker_slots|shipped_\w+|custom_task_types|database_pause)$/;
my %told = map { $_ => 1 } (map { $_->[0] =~ /(\w+)\(/g } table('| function |')), (map { $_->[0] } table('| table or view |'));
is_deeply(
	[
		grep { !$told{$_} && !/$internal/ } split /\n/, $node->sql(
			q{
			SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace AND prorettype <> 'trigger'::regtype
			UNION SELECT relname FROM pg_class WHERE relnamespace = 'rhesis_notify'::regnamespace AND relkind IN ('r', 'v')
			ORDER BY 1})
	],
	[], 'nothing is left out that a user may call or read');

$node->stop;
done_testing();
