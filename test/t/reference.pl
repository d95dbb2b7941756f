# The generated parts of doc/reference.md agree with the catalog, the settings and the sources, and
# its reasons are those in the code. After a change: TESTS=reference test/run servers;
# test/update-document
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Document qw(page_text document_section write_section);
use RhesisNotify::Reference qw(sections);
use RhesisNotify::Sources qw(source_text);
use Test::More;

my $node = RhesisNotify::Cluster->serve('main', environment => { LANG => 'C.UTF-8' });

sub uniq
{
	my @words = @_;
	my %seen;
	my @sorted = sort grep { !$seen{$_}++ } @words;
	return @sorted;
}

$node->sql(q{CREATE ROLE a_task; CREATE ROLE an_operator; CREATE ROLE a_monitor});
$node->sql(q{SELECT rhesis_notify.grant_to('a_task'), rhesis_notify.grant_to('an_operator', 'operator'), rhesis_notify.grant_to('a_monitor', 'monitor')});

foreach my $section (sections($node))
{
	my ($name, $text) = @$section;

	write_section($name, $text);
	is_deeply([ split /\n/, document_section($name) ], [ split /\n/, $text ], "$name: the document has what there is (test/update-document takes it over)");
}

# ---- Facts that are in the sources, and not in the catalog ----

my $sources = source_text('c');
my $reference = page_text('doc/reference.md');

is_deeply(
	[ uniq($reference =~ /^\| `rhesis_notify\.\w+` \|.*, or the environment's `(\w+)`/mg) ],
	[ uniq($sources =~ /"((?:SMTP|FROM|FRONTEND|RHESIS_NOTIFY)_[A-Z_]+)"/g) ],
	'the variables of the environment are those that are read');

my ($reasons) = $reference =~ /^\| reason \| of \| meaning \|\n\|[- |]+\n((?:\|.*\n)+)/m;
my @documented = map { /^\| ([^|]*) \|/mg ? $1 =~ /`(\w+)`/g : () } split /\n/, $reasons;
my @given = (
	$sources =~ /OUTCOME_\w+,\s*"(\w+)"/g,
	$sources =~ /(?:\breason|skip_reason) = "(\w+)"/g,
	$sources =~ /\b(?:Settle|SettleUnprepared|ReturnDeferred)\([^;"]*"(\w+)"/g,
	$sources =~ /\bTHEN '(\w+_\w+|expired|interrupted)'/g,
	source_text('sql') =~ /\bdelivery_reason = '(\w+)'/g,
	$sources =~ /^\t+return "(\w+_email|\w+_user|wrong_organization)";/mg);

is_deeply([ uniq(@documented) ], [ uniq(@given) ], 'the reasons are those that the code gives');

my ($events) = document_section('events');
is_deeply(
	[ uniq($events =~ /^\| `(\w+)`/mg) ],
	[
		uniq(
			$sources =~ /\bevent = (?:[^;"]*\? )?"(\w+)"/g,
			$sources =~ /event = [^;"]*\? "(\w+)" : "(\w+)"/g,
			source_text('sql') =~ /INSERT INTO rhesis_notify\.delivery_events[^;]*?VALUES \(\w+\.id, '(\w+)'/g,
			$sources =~ /SELECT a\.id, '(\w+)'/g)
	],
	'the events are those that the code records');

$node->stop;
done_testing();
