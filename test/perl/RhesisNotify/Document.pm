
# The documentation as tests see it: its pages, what is fenced in them, and the parts that tests write.
#
# What a test has measured or made stands between two lines of a page:
#
#   <!-- measured: NAME -->     or     <!-- generated: NAME -->
#   <!-- end of NAME -->
#
# SQL that the test of a page needs before the page's own stands in a comment:
#
#   <!-- The test of this page begins with
#   DROP EXTENSION rhesis_notify;
#   -->
package RhesisNotify::Document;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename;
use File::Find;
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(pages documents page_text blocks beginning_of anchors_of targets_of document_section write_section one_spelling);

my $top = abs_path(dirname(__FILE__) . '/../../..');

# Paths from the top: README.md and CHANGELOG.md, then doc/'s.
sub pages
{
	return ('README.md', 'CHANGELOG.md', map { 'doc/' . basename($_) } sort glob "$top/doc/*.md");
}

# These, and what else there is of Markdown beside examples, benchmarks and tests.
sub documents
{
	my %seen = map { $_ => 1 } pages();
	my @others;

	find({
			no_chdir => 1,
			wanted => sub {
				$File::Find::prune = 1 if m{/(?:node_modules|build|\.git)\z};
				push @others, s{^\Q$top\E/}{}r if /\.md\z/;
			} }, $top);
	return (pages(), sort grep { !$seen{$_} } @others);
}

sub page_text
{
	my ($page) = @_;
	return slurp_file("$top/$page");
}

# The fenced blocks of a language, without the indentation of a list that they stand in.
sub blocks
{
	my ($text, $language) = @_;
	my @blocks;

	while ($text =~ /^( *)```$language\n(.*?)^\1```$/msg)
	{
		my ($indentation, $block) = ($1, $2);
		push @blocks, $block =~ s/^$indentation//mgr;
	}
	return @blocks;
}

# What the page's own SQL needs to be there.
sub beginning_of
{
	my ($text) = @_;
	return $text =~ /^<!-- The test of this page begins with\n(.*?)^-->$/ms ? $1 : '';
}

# Without fenced blocks and what is between backquotes: nothing in there is a heading or a link.
sub prose_of
{
	my ($text) = @_;
	return $text =~ s/^( *)```.*?^\1```$//msgr =~ s/`[^`\n]*`/`/gr;
}

# The names under which headings can be linked to, as GitHub makes them.
sub anchors_of
{
	my ($text) = @_;
	my $without_blocks = $text =~ s/^( *)```.*?^\1```$//msgr;
	my (%anchors, %seen);

	foreach my $heading ($without_blocks =~ /^#+ (.*)$/mg)
	{
		my $anchor = lc($heading =~ s/\[([^\]]*)\]\([^)]*\)/$1/gr) =~ s/[^\w\s-]//gr =~ s/ /-/gr;
		my $count = $seen{$anchor}++;
		$anchors{ $count ? "$anchor-$count" : $anchor } = 1;
	}
	return \%anchors;
}

# What the page links to or shows.
sub targets_of
{
	my ($text) = @_;
	my $prose = prose_of($text);
	return ($prose =~ /\]\(([^)\s]+)\)/g, $prose =~ /(?:src|srcset|href)="([^"]+)"/g);
}

# The page that has this part, and what it says there.
sub find_section
{
	my ($name) = @_;

	foreach my $page (pages())
	{
		return ($page, $2) if page_text($page) =~ /^<!-- (measured|generated): \Q$name\E -->\n(.*?)^<!-- end of \Q$name\E -->$/ms;
	}
	die "no page has a section \"$name\"\n";
}

sub document_section
{
	my ($name) = @_;
	my (undef, $section) = find_section($name);
	return $section;
}

# The text, with what libcurl says as its older versions spell it.
sub one_spelling
{
	my ($text) = @_;
	return $text =~ s/Could not connect/Couldn't connect/gr =~ s/target hostname/target host name/gr =~ s/(Failed to connect to [^\s:]+):(?=\d)/$1 port /gr;
}

# Leave what it should say where test/update-document finds it.
sub write_section
{
	my ($name, $text) = @_;
	my $file = "$PostgreSQL::Test::Utils::log_path/measured $name.md";

	open(my $handle, '>:raw', $file) or die "could not write $file: $!\n";
	print $handle $text;
	close $handle or die "could not write $file: $!\n";
	return;
}

1;
