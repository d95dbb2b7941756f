
# No byte of a password or a mail is sent over a connection without the required encryption,
# verification or login. The mail waits, an operator sees the reason, and the mail is sent after the
# server is corrected.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);

# Checks that the mail server $refused gets no password and no mail, and that the reason is shown.
# After $mend has corrected the server, the mail must be sent.
sub refuses
{
	my ($what, $refused, $trouble, $mend) = @_;
	my $log_offset = -s $node->logfile;

	$node->reconfigure(RhesisNotify::Cluster::peer_settings($refused));
	my $id = $node->report;
	$node->wait_for("SELECT state = 'backing off' AND backing_off_until > now() FROM rhesis_notify.worker_status");
	like($node->worker('last_error'), $trouble, "$what: worker_status says what is wrong");
	is($node->worker('sent || $$ sent, $$ || failed || $$ failed$$') =~ s/^\d+ //r, 'sent, 0 failed', "$what: no mail has failed");

	# The worker tries the mail server again, with the same result.
	my $connections = () = $refused->transcript =~ / connected$/mg;
	RhesisNotify::Peer::wait_until(sub { (() = $refused->transcript =~ / connected$/mg) > $connections }, 'it tries again');
	my $row = $node->notification($id);
	like($row->{delivery_status}, qr/^(?:pending|sending|deferred)$/, "$what: the mail waits");
	is($row->{attempts}, 0, "$what: it has lost no attempt");
	is_deeply([ $node->events($id) ], [], "$what: nothing happened to it");
	is_deeply([ grep { !/^(?:EHLO|HELO|STARTTLS|QUIT)\b/ } $refused->commands ], [], "$what: neither password nor mail was written");
	is($refused->mail_count, 0, "$what: no mail has arrived");
	is(scalar(() = $node->log($log_offset) =~ /WARNING:  SMTP server "localhost" port \d+ is in trouble/g), 1,
		"$what: the log says so, once");

	$mend->();
	$row = $node->wait_for_state($id, 'sent');
	is($row->{attempts}, 1, "$what: mended, and it goes out with its first attempt");
	is($refused->mail_count, 1, "$what: once");
	like($node->worker('coalesce(backing_off_until::text, $$not backing off$$)'), qr/not backing off/, "$what: worker_status shows that, too");
	return;
}

foreach my $certificate (qw(self-signed wrong-name expired))
{
	my $bad_peer = RhesisNotify::Peer->start(certificate => $certificate);
	my %trouble = ('self-signed' => qr/self.signed/i, 'wrong-name' => qr/subject|name/i, expired => qr/expired/i);

	refuses("a certificate that is $certificate", $bad_peer, $trouble{$certificate}, sub { $bad_peer->certificate('good') });
}

my $plain_peer = RhesisNotify::Peer->start(no_starttls => 1);
refuses('no STARTTLS', $plain_peer, qr/STARTTLS|SSL|TLS/, sub { $plain_peer->start_otherwise(no_starttls => undef) });

my $open_peer = RhesisNotify::Peer->start(no_auth => 1);
refuses('no AUTH although a user is set', $open_peer, qr/login/, sub { $open_peer->start_otherwise(no_auth => undef) });

# A password that the server refuses does not harm the mail either.
my $locked_peer = RhesisNotify::Peer->start(password => 'another');
$node->reconfigure(RhesisNotify::Cluster::peer_settings($locked_peer), smtp_password => 'wrong one');
my $id = $node->report;
$node->wait_for("SELECT state = 'backing off' AND last_error ~ '535' FROM rhesis_notify.worker_status");
is($node->notification($id)->{attempts}, 0, 'a refused login costs no attempt');
unlike($locked_peer->transcript, qr/ C MAIL/, 'and no mail is begun');
$node->reconfigure(smtp_password => 'another');
$node->wait_for_state($id, 'sent');
unlike($node->log, qr/wrong one|another/, 'the log has no password');

# The worker also sends over TLS from the first byte, and, if that is configured, without TLS on
# loopback.
my $implicit_peer = RhesisNotify::Peer->start(implicit_tls => 1);
$node->reconfigure(RhesisNotify::Cluster::peer_settings($implicit_peer), smtp_tls => 'implicit');
$node->wait_for_state($node->report, 'sent');
like(($implicit_peer->mails)[0]->envelope->{tls}, qr/^TLSv1\.[23]$/, 'implicit TLS is spoken where it is asked for');
unlike($implicit_peer->transcript, qr/ C STARTTLS/, 'without STARTTLS');

my $naked_peer = RhesisNotify::Peer->start(certificate => undef, user => undef);
$node->reconfigure(RhesisNotify::Cluster::peer_settings($naked_peer), smtp_tls => 'none', smtp_user => '', smtp_password => '');
$node->wait_for_state($node->report, 'sent');
is(($naked_peer->mails)[0]->envelope->{tls}, undef, 'a relay on loopback may go without TLS');

my $log_offset = -s $node->logfile;
$node->reconfigure(smtp_host => 'mail.example.com');
$id = $node->report;
$node->wait_for_log(qr/WARNING:  SMTP configuration incomplete\. Email notifications will be disabled\.\n.*DETAIL:  rhesis_notify\.smtp_tls is none, which is for loopback hosts/, $log_offset);
is($node->worker('state'), 'mail off', 'any other host may not');
is($node->notification($id)->{delivery_status}, 'pending', 'the mail waits');

$node->stop;
done_testing();
