# The log shows claims, connections, outcomes, wake-ups and records at debug1 and debug2, and the
# dialogue with the mail server at debug3. The data of a login and the content of a mail are never in
# it.
use strict;
use warnings FATAL => 'all';

use MIME::Base64;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $PASSWORD = 'Very Secret Word 31415';
my $BODY = 'words of the body alone';
my $peer = RhesisNotify::Peer->start(mechanisms => 'PLAIN LOGIN CRAM-MD5', password => $PASSWORD);
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { 'server.log_min_messages' => 'debug3' });

# Returns the forms of the password that a login may have. In base64 a text looks different after
# none, one or two bytes of another text.
sub forms_of
{
	my ($secret) = @_;
	my @encoded = map { substr(encode_base64(('x' x $_) . $secret, ''), 4, -4) } 1 .. 3;
	return ($secret, @encoded, encode_base64("\0mailer\0$secret", ''), encode_base64($secret, ''));
}

foreach my $mechanism ('PLAIN', 'LOGIN', 'CRAM-MD5')
{
	my $offset = -s $node->logfile;

	$node->reconfigure(smtp_auth => $mechanism);
	my $id = $node->report(status => 'failed', error_message => $BODY);
	$node->wait_for_state($id, 'sent');
	my $log = $node->log($offset);
	like($log, qr/DEBUG:  SMTP connection \d+ > AUTH \Q$mechanism\E$/m, "$mechanism: the log has the mechanism");
	like($log, qr/DEBUG:  SMTP connection \d+ < 235$/m, '... and that the login succeeded');
	unlike($log, qr/< (?:334|235) /, '... but no challenge');
	my ($response) = $mechanism eq 'CRAM-MD5' ? encode_base64('mailer ', '') =~ /^(.{8})/ : encode_base64('mailer', '');
	is(join(' ', grep { index($log, $_) >= 0 } forms_of($PASSWORD), $response), '', '... and nothing of the login');
	is(index($log, $BODY), -1, '... nor of the mail');
	like($log, qr/> MAIL FROM:<noreply\@rhesis\.example>.*\n(?:.*\n)*.*> RCPT TO:<jane\@example\.com>\n(?:.*\n)*.* < 250 2\.0\.0 Ok: queued/, '... but the rest of the dialogue');
}

my $log = $node->log;
like($log, qr/DEBUG:  woken: rows are due/, 'a wake-up is in the log');
like($log, qr/DEBUG:  claimed 1 notifications/, 'and a claim');
like($log, qr/DEBUG:  connected to SMTP server "localhost" port \d+/, 'and a connection');
like($log, qr/DEBUG:  notification \d+: 250 2\.0\.0 Ok: queued as \d+$/m, 'and an outcome');
like($log, qr/DEBUG:  recorded 1 of 1 outcomes in \d+\.\d+ ms$/m, 'and that it is recorded, with rows and milliseconds');

# A wrong password is not in the log, but the reply to it is.
my $offset = -s $node->logfile;
$node->reconfigure(smtp_password => 'not the word 2718', smtp_auth => 'PLAIN LOGIN');
$node->report(status => 'failed', error_message => $BODY);
$node->wait_for(q{SELECT state = 'backing off' FROM rhesis_notify.worker_status});
$log = $node->log($offset);
like($log, qr/DEBUG:  SMTP connection \d+ < 535$/m, 'a login that fails is in the log');
is(join(' ', grep { index($log, $_) >= 0 } forms_of('not the word 2718')), '', '... without the password');

$node->reconfigure('server.log_min_messages' => 'debug2');
$offset = -s $node->logfile;
$node->reconfigure(smtp_password => $PASSWORD);
$node->wait_for(q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications});
unlike($node->log($offset), qr/DEBUG:  SMTP connection/, 'at debug2 there is no dialogue');

$node->stop;
done_testing();
