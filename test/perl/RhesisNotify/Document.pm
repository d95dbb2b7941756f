
# Parts of doc/reliability.md that tests have measured. Each stands between two lines:
#
#   <!-- measured: NAME -->
#   <!-- end of NAME -->
package RhesisNotify::Document;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename;
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(document_section write_section);

my $document = abs_path(dirname(__FILE__) . '/../../../doc/reliability.md');

# What the document says there.
sub document_section
{
	my ($name) = @_;
	my ($section) = slurp_file($document) =~ /^<!-- measured: \Q$name\E -->\n(.*?)^<!-- end of \Q$name\E -->$/ms
	  or die "there is no section \"$name\" in $document\n";

	return $section;
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
