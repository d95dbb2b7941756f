
# A received mail: its envelope, headers and parts, decoded as a mail program does it.
package RhesisNotify::Mail;

use strict;
use warnings;

use Encode qw(decode);
use MIME::QuotedPrint qw(decode_qp);

# Makes an object from the bytes of a mail and its envelope.
sub new
{
	my ($class, $raw, $envelope) = @_;
	my ($head, $body) = split /\r?\n\r?\n/, $raw, 2;
	my $self = bless { raw => $raw, envelope => $envelope, head => $head, body => $body // '', headers => parse_headers($head) }, $class;

	if ($self->raw_header('Content-Type') =~ m{multipart/alternative;\s*boundary="([^"]+)"})
	{
		my (undef, @parts) = split /(?:^|\r?\n)--\Q$1\E(?:--)?(?:\r?\n|\z)/, $self->{body};
		foreach my $part (@parts)
		{
			my ($part_head, $part_body) = split /\r?\n\r?\n/, $part, 2;
			my ($type) = $part_head =~ m{^Content-Type: (text/\w+)}mi or next;
			push @{ $self->{types} }, $type;
			$self->{parts}{$type} = decode('UTF-8', decode_qp($part_body), Encode::FB_CROAK);
		}
	}
	return $self;
}

# Returns a list of [name, unfolded value], in order.
sub parse_headers
{
	my ($head) = @_;
	return [ map { [ split /:\s*/, $_, 2 ] } split /\r?\n/, $head =~ s/\r?\n(?=[ \t])//gr ];
}

sub raw { return shift->{raw}; }
sub envelope { return shift->{envelope}; }
sub types { return @{ shift->{types} // [] }; }
sub text { return shift->{parts}{'text/plain'} =~ s/\r\n/\n/gr; }
sub html { return shift->{parts}{'text/html'} =~ s/\r\n/\n/gr; }

# Returns the HTML as a reader sees it: without tags, and with entities decoded.
sub html_as_seen
{
	my ($self) = @_;
	my %named = (lt => '<', gt => '>', amp => '&', quot => '"', nbsp => ' ');
	my $text = $self->html =~ s/<(style|title).*?<\/\1>//gsr =~ s/<[^>]*>//gr;

	$text =~ s{&(?:#(\d+)|#x([0-9a-fA-F]+)|(\w+));}{defined $1 ? chr $1 : defined $2 ? chr hex $2 : $named{$3} // "&$3;"}ge;
	return $text;
}

sub header_names { return map { $_->[0] } @{ shift->{headers} }; }

# Returns the raw value of a header, or an empty string if it is missing. Dies if there are two.
sub raw_header
{
	my ($self, $name) = @_;
	my @values = map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $self->{headers} };

	die "the mail has more than one header $name\n" if @values > 1;
	return $values[0] // '';
}

# Returns the same with encoded words decoded.
sub header
{
	my ($self, $name) = @_;
	return decode('MIME-Header', $self->raw_header($name));
}

1;
