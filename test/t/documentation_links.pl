# Every link has a target, every page can be found, and commands name existing targets and files.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use File::Spec;
use PostgreSQL::Test::Utils;
use RhesisNotify::Document qw(pages documents page_text blocks anchors_of targets_of);
use RhesisNotify::Sources qw(source_text);
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');

# ---- Links ----

# Returns what is missing for a target in the repository, or nothing. Paths are relative to the
# directory of the page.
sub lack
{
	my ($page, $target) = @_;
	my ($path, $anchor) = $target =~ /^([^#]*)(?:#(.*))?$/;
	my $file = $path eq '' ? $page : File::Spec->canonpath(dirname($page) . "/$path");

	return "$target: no such file" unless -e "$top/$file";
	return unless defined $anchor;
	return "$target: no such heading" unless $file =~ /\.md$/ && anchors_of(page_text($file))->{$anchor};
	return;
}

foreach my $page (documents())
{
	my @targets = grep { !m{^(?:https|mailto):} } targets_of(page_text($page));

	is_deeply([ map { lack($page, $_) } @targets ], [], "the links of $page lead somewhere");
}
is_deeply([ lack('README.md', 'doc/nowhere.md'), lack('README.md', '#nowhere'), lack('doc/install.md', '../README.md#nowhere') ],
	[ 'doc/nowhere.md: no such file', '#nowhere: no such heading', '../README.md#nowhere: no such heading' ], 'a link that does not is noticed');

# ---- Files ----

foreach my $page (documents())
{
	my @files = page_text($page) =~ m{`((?:src|test|sql|doc|examples|bench|demo|templates|\.ci)/[\w./*\[\]-]*)`}g;
	is_deeply([ grep { my $pattern = "$top/$_"; !grep { -e } glob $pattern } @files ], [], "the files that $page names are there");
}

# ---- Functions of the sources ----

my $sources = source_text('c');

sub unknown_functions
{
	my ($text) = @_;
	return grep { $sources !~ /\b$_\b/ } $text =~ /`([A-Z][a-z]+[A-Z]\w*)\(\)`/g;
}

foreach my $page (documents())
{
	is_deeply([ unknown_functions(page_text($page)) ], [], "the functions of the sources that $page names are there");
}
is_deeply([ unknown_functions('`LookUpRecipients()` and `NoSuchFunction()`') ], ['NoSuchFunction'], 'one that is not is noticed');

# ---- The output of psql fits a terminal ----

foreach my $page (pages())
{
	my @shown = grep { /^[ -]*-\+-[-+]*$|^-\[ RECORD/m } page_text($page) =~ /^```(?:text)?\n(.*?)^```$/msg;
	is_deeply([ grep { length > 120 } map { split /\n/ } @shown ], [], "what psql shows in $page fits 120 columns");
}

# ---- No contractions ----

# Returns the contractions in a text. libcurl and Celery print the two that are removed first.
sub contractions
{
	my ($text) = @_;
	$text =~ s/Couldn't|Can't retry//g;
	return $text =~ /\b(\w+n't|\w+'(?:ll|re|ve)|(?:it|that|there|what|let|here)'s)\b/gi;
}

foreach my $file (documents(), map { s{^\Q$top\E/}{}r } map { glob "$top/$_" } 'examples/*/*.{py,sql,sh,yml,yaml}', 'examples/*/*/*.py', 'templates/*', 'demo/*.sql')
{
	next if $file eq 'CHANGELOG.md'; # It names contractions that were removed.
	is_deeply([ contractions(slurp_file("$top/$file")) ], [], "$file has no contractions");
}
is_deeply([ contractions("It can't, and it's sent; they'll see Jane's mail") ], [ "can't", "it's", "they'll" ], 'one is noticed');

# ---- Every page can be found ----

my %listed = map { ("doc/$_" => 1) } targets_of(page_text('doc/README.md'));
is_deeply([ grep { m{^doc/} && $_ ne 'doc/README.md' && !$listed{$_} } pages() ], [], 'doc/README.md lists every page');

# ---- Commands ----

# Returns the targets of the Makefiles, and those of PGXS that pages name.
sub targets_in
{
	my (@makefiles) = @_;
	return map { $_ => 1 } map { slurp_file("$top/$_") =~ /^([\w-]+):/mg } @makefiles;
}

my %targets = (targets_in(qw(Makefile test/targets.mk bench/targets.mk)), map { $_ => 1 } qw(all install uninstall installcheck clean));

foreach my $page (pages())
{
	my (@unknown, @broken);

	foreach my $block (blocks(page_text($page), 'sh'))
	{
		push @broken, $block unless system('sh', '-n', '-c', $block) == 0;
		foreach my $arguments ($block =~ s/"[^"\n]*"//gr =~ /^(?:sudo )?(?:\w+=\S* )*make\b([^#;&|\n]*)/mg)
		{
			my $other = $arguments =~ s/ -C (\S+)// ? $1 : undef;
			my %there = $other ? targets_in("$other/Makefile") : %targets;
			push @unknown, grep { !/=|^-/ && !$there{$_} } split ' ', $arguments;
		}
		my $file = qr{(?:test|examples|bench|demo|\.ci)/[\w./-]+};
		push @unknown, grep { !-x "$top/$_" } $block =~ m{^(?:sudo )?(?:\w+=\S+ )*($file)}mg;
		push @unknown, grep { !-e "$top/$_" } $block =~ m{\s($file)}g;
	}
	is_deeply(\@broken, [], "the shell understands the commands of $page");
	is_deeply(\@unknown, [], "the targets and programs of $page are there");
}

# ---- Packages ----

# Debian must have the named packages for the version of PostgreSQL in this run. The pages are
# written for 15.
my ($major) = qx(pg_config --version) =~ /(\d+)/;

sub missing_packages
{
	my ($text) = @_;
	my @packages = map { s/-15$/-$major/r } grep { !/^-/ } map { split } join('', blocks($text, 'sh')) =~ /^(?:sudo )?apt(?:-get)? install ([^\n]*)/mg;

	return grep { system("apt-cache show --no-all-versions '$_' >/dev/null 2>&1") != 0 } @packages;
}

foreach my $page (documents())
{
	is_deeply([ missing_packages(page_text($page)) ], [], "Debian has the packages of $page") if page_text($page) =~ /apt(?:-get)? install/;
}
is_deeply([ missing_packages("```sh\nsudo apt-get install -y make no-such-package\n```\n") ], ['no-such-package'], 'a package that is not there is noticed');

done_testing();
