
# The documentation as tests read it: its pages, their fenced blocks, and the parts that tests
# write.
#
# A part that a test has measured or generated stands between two lines of a page:
#
#   <!-- measured: NAME -->     or     <!-- generated: NAME -->
#   <!-- end of NAME -->
#
# The test of a page may need SQL before that of the page. It stands in a comment:
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

# Returns the paths of README.md, CHANGELOG.md and the pages of doc/, from the top of the checkout.
sub pages
{
	return ('README.md', 'CHANGELOG.md', map { 'doc/' . basename($_) } sort glob "$top/doc/*.md");
}

# Returns the same, and all other Markdown files of the checkout.
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

# Returns the fenced blocks in a language. If they are indented as part of a list, the indentation
# is removed.
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

# Returns the SQL that the test of the page executes before the SQL of the page.
sub beginning_of
{
	my ($text) = @_;
	return $text =~ /^<!-- The test of this page begins with\n(.*?)^-->$/ms ? $1 : '';
}

# Removes fenced blocks and text between backquotes, which contain no headings and no links.
sub prose_of
{
	my ($text) = @_;
	return $text =~ s/^( *)```.*?^\1```$//msgr =~ s/`[^`\n]*`/`/gr;
}

# Returns the anchors of the headings, as GitHub makes them.
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

# Returns the targets of links and pictures.
sub targets_of
{
	my ($text) = @_;
	my $prose = prose_of($text);
	return ($prose =~ /\]\(([^)\s]+)\)/g, $prose =~ /(?:src|srcset|href)="([^"]+)"/g);
}

# Returns the page that contains this part, and the text of the part.
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

# Returns the text in the spelling of older versions of libcurl.
sub one_spelling
{
	my ($text) = @_;
	return $text =~ s/Could not connect/Couldn't connect/gr =~ s/target hostname/target host name/gr =~ s/(Failed to connect to [^\s:]+):(?=\d)/$1 port /gr;
}

# Writes the expected text of a part to a file. test/update-document reads it there.
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
