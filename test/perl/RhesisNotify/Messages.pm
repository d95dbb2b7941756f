
# All messages of the extension: each ereport of the C sources and each RAISE of the SQL sources,
# with their parts.
package RhesisNotify::Messages;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename;
use PostgreSQL::Test::Utils;
use RhesisNotify::Sources qw(source_files source_text);

our @EXPORT_OK = qw(messages_of_sources style_problems sources_of_messages);

my $top = abs_path(dirname(__FILE__) . '/../../..');

my $literals = qr/(?:(?:"(?:[^"\\]|\\.)*"|[A-Z_][A-Z_0-9]{2,})\s*)+/;

# Hashes of level, sqlstates, message, detail and hint, sorted, without duplicates. "..." stands for
# an inserted value. A message has several SQLSTATEs if the code chooses between them, and none if
# it repeats another error.
sub messages_of_sources
{
	my ($node) = @_;
	my %codes = error_codes($node->config_data('--sharedir'));
	my %seen;
	my @messages = sort { "$a->{level} $a->{message}" cmp "$b->{level} $b->{message}" }
	  grep { !$seen{"$_->{level} $_->{message}"}++ }
	  map { +{ %$_, sqlstates => [ sqlstates_of($_, \%codes) ] } } (map { of_c($_) } source_files('c')), (map { of_sql($_) } source_files('sql'));
	return @messages;
}

# ---- Style ----

# Returns all files with texts for people: the C sources, the SQL sources, and the newest update
# script. Older scripts never change.
sub sources_of_messages
{
	return (source_files(), source_files('sql'), (sort glob "$top/sql/rhesis_notify--*--*.sql")[-1]);
}

# These texts do not change, because programs search for them.
my @fixed = ('SMTP configuration incomplete. Email notifications will be disabled.', 'Task completion email sent', 'Failed to send task completion email');

# Returns the places where a source breaks PostgreSQL's style guide for errors.
sub style_problems
{
	my ($source) = @_;
	my $code = $source =~ s{/\*.*?\*/}{}gsr =~ s/^\s*--.*$//gmr;
	my @problems;

	while ($code =~ /((?:"(?:[^"\\]|\\.)*"\s*)+|'(?:[^'\n]|'')*')/g)
	{
		my $text = $1 =~ s/''/'/gr;
		push @problems, "contraction: $text" if $text =~ /\w(?:n't|'ll|'re|'ve)\b|\b(?:it|that|there|what|let)'s\b/i;
	}
	while ($code =~ /\berr(msg|detail|hint)\(\s*($literals)/g)
	{
		my ($part, $raw) = ($1, $2);
		my $text = join '', map { /"(.*)"/s ? $1 : '%d' } $raw =~ /("(?:[^"\\]|\\.)*"|\w+_FORMAT)/g;

		next if grep { index($text, $_) == 0 } @fixed;
		push @problems, "no plural form: $text" if $text =~ /%l*z?[du] [a-z]+s\b(?<!\bis)(?<!\bdoes)(?<!\bsends)(?<!\basks)(?<!\ballows)(?<!\bms)/;
		next if $part ne 'msg';
		push @problems, "full stop: $text" if $text =~ /[^.]\.$/;
		push @problems, "capital: $text" if $text =~ /^[A-Z][a-z]/;
	}
	return @problems;
}

# ---- SQLSTATEs ----

# Maps the names of macros and of conditions to SQLSTATEs. PostgreSQL installs this list for
# procedural languages.
sub error_codes
{
	my ($sharedir) = @_;
	my %codes;

	foreach (split /\n/, slurp_file("$sharedir/errcodes.txt"))
	{
		next unless /^(\w{5})\s+[EWS]\s+(ERRCODE_\w+)(?:\s+(\w+))?/;
		$codes{$2} = $1;
		$codes{$3} //= $1 if defined $3;
	}
	return %codes;
}

my %code_without = (ERROR => 'XX000', WARNING => '01000', LOG => '00000', NOTICE => '00000');

sub sqlstates_of
{
	my ($message, $codes) = @_;

	return $code_without{ $message->{level} } unless defined $message->{condition};
	return map { $codes->{$_} // () } $message->{condition} =~ /\b([A-Z_]{9,}|[a-z_]{9,})\b/g;
}

# ---- C ----

my %macros = map { /^#define (\w+)((?:(?:\s*\\\n|\s)*"(?:[^"\\]|\\.)*")+)/mg } source_text();

# Joins adjacent literals, and macros between them, to one text.
sub text_of
{
	my ($source) = @_;
	my $text = '';

	while ($source =~ /"((?:[^"\\]|\\.)*)"|([A-Z_][A-Z_0-9]{2,})/g)
	{
		$text .= defined $1 ? $1 : $2 =~ /_FORMAT\z/ ? '%d' : text_of($macros{$2} // '');
	}
	return $text =~ s/\\(.)/$1/gr =~ s/(?:%-?[\d.*]*l*[a-zA-Z])+/.../gr =~ s/"\.\.\."/.../gr =~ s/%%/%/gr;
}

# Returns the arguments of the call, up to its closing parenthesis.
sub arguments_from
{
	my ($text) = @_;
	return $text =~ /\A(\((?:[^()"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)'|(?1))*\))/ ? $1 : die 'unbalanced parentheses';
}

sub part
{
	my ($call, $name) = @_;
	my $text = $call =~ /\b$name(?:_plural\(\s*$literals,|\()\s*($literals)/ ? text_of($1) : undef;

	return defined $text && $text =~ /\w/ ? $text : undef;
}

sub of_c
{
	my ($file) = @_;
	my $source = slurp_file($file) =~ s{/\*.*?\*/}{}gsr;
	my @messages;

	while ($source =~ /\bereport\b/g)
	{
		my $call = arguments_from(substr $source, pos $source);
		my ($level) = $call =~ /\A\(\s*(\w+)/;
		my $message = part($call, 'errmsg') // next;

		push @messages,
		  {
			level => $level,
			message => $message,
			detail => part($call, 'errdetail'),
			hint => part($call, 'errhint'),
			condition => $call =~ /\berrcode(\((?:[^()]|(?1))*\))/ ? $1 : undef
		  };
	}
	return @messages;
}

# ---- SQL ----

sub of_sql
{
	my ($file) = @_;
	my $source = slurp_file($file);
	my @messages;

	while ($source =~ /\bRAISE (EXCEPTION|NOTICE|WARNING) '((?:[^']|'')*)'(.*?);\n/sg)
	{
		my ($level, $message, $rest) = ($1, $2, $3);
		my %options = map { s/''/'/gr } $rest =~ /(ERRCODE|DETAIL|HINT) = '((?:[^']|'')*)'/g;

		push @messages,
		  {
			level => $level eq 'EXCEPTION' ? 'ERROR' : $level,
			message => $message =~ s/''/'/gr =~ s/"%"/.../gr =~ s/%/.../gr,
			detail => $options{DETAIL},
			hint => $options{HINT},
			condition => $options{ERRCODE} // ($level eq 'EXCEPTION' ? 'raise_exception' : undef)
		  };
	}
	return @messages;
}

1;
