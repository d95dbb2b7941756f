-- Tasks of a working day. Each writes one row when it is done, in its own transaction.

SET app.current_organization = 'a0000000-0000-4000-8000-000000000001';

\echo '  Jane''s test run ends: a summary of its results'
SELECT rhesis_notify.task_completed(
	task_id => 'c0000000-0000-4000-8000-000000000001',
	task_name => 'rhesis.backend.tasks.execution.results.collect_results',
	status => 'success',
	user_id => 'b0000000-0000-4000-8000-000000000001',
	organization_id => 'a0000000-0000-4000-8000-000000000001',
	started_at => now() - interval '2 minutes 45 seconds',
	result => '{"total_tests": 10, "tests_passed": 8, "tests_failed": 2, "execution_status": "Complete",
				"test_set_name": "API Tests", "project_name": "Customer Support Bot", "endpoint_name": "Production",
				"test_run_id": "abcd1234-5678-4012-8f90-567890123456"}');

\echo '  René''s test set is generated: a success'
SELECT rhesis_notify.task_completed(
	task_id => 'c0000000-0000-4000-8000-000000000002',
	task_name => 'rhesis.backend.tasks.test_set.generate_test_set',
	status => 'success',
	user_id => 'b0000000-0000-4000-8000-000000000002',
	organization_id => 'a0000000-0000-4000-8000-000000000001',
	started_at => now() - interval '48 seconds',
	result => '{"test_set_id": "d5f7a1c2-0000-4000-8000-000000000001", "test_set_name": "Safety & Tone", "num_tests_generated": 50}');

\echo '  Jane''s next run stops: a failure, with the error'
SELECT rhesis_notify.task_completed(
	task_id => 'c0000000-0000-4000-8000-000000000003',
	task_name => 'rhesis.backend.tasks.execution.execute_test_configuration',
	status => 'failed',
	user_id => 'b0000000-0000-4000-8000-000000000001',
	organization_id => 'a0000000-0000-4000-8000-000000000001',
	started_at => now() - interval '31 seconds',
	error_message => E'ConnectionError: could not reach https://bot.acme.example/chat\n  after 3 retries: <timed out>');

\echo '  Ada''s mail server is busy at first: the mail is deferred, and tried again'
SELECT rhesis_notify.task_completed(
	task_id => 'c0000000-0000-4000-8000-000000000004',
	task_name => 'rhesis.backend.tasks.test_set.generate_test_set',
	status => 'success',
	user_id => 'b0000000-0000-4000-8000-000000000003',
	organization_id => 'a0000000-0000-4000-8000-000000000001',
	started_at => now() - interval '1 hour 3 minutes',
	result => '{"test_set_name": "Long Conversations", "num_tests_generated": 1200}');

\echo '  A colleague has left: the mail server refuses the address'
SELECT rhesis_notify.task_completed(
	task_id => 'c0000000-0000-4000-8000-000000000005',
	task_name => 'rhesis.backend.tasks.test_set.generate_test_set',
	status => 'success',
	user_id => 'b0000000-0000-4000-8000-000000000004',
	organization_id => 'a0000000-0000-4000-8000-000000000001');

\echo '  A single test of a run ends: silent, because nobody has opted it in'
SELECT rhesis_notify.task_completed(
	task_id => 'c0000000-0000-4000-8000-000000000006',
	task_name => 'rhesis.backend.tasks.execution.execute_single_test',
	status => 'success',
	user_id => 'b0000000-0000-4000-8000-000000000001',
	organization_id => 'a0000000-0000-4000-8000-000000000001');

\echo '  A bot''s task ends: the address is a placeholder'
SELECT rhesis_notify.task_completed(
	task_id => 'c0000000-0000-4000-8000-000000000007',
	task_name => 'rhesis.backend.tasks.test_set.generate_test_set',
	status => 'success',
	user_id => 'b0000000-0000-4000-8000-000000000005',
	organization_id => 'a0000000-0000-4000-8000-000000000001');

\echo '  Jane''s test run reports again: a task is mailed once, so no row is written'
SELECT rhesis_notify.task_completed(
	task_id => 'c0000000-0000-4000-8000-000000000001',
	task_name => 'rhesis.backend.tasks.execution.results.collect_results',
	status => 'success',
	user_id => 'b0000000-0000-4000-8000-000000000001',
	organization_id => 'a0000000-0000-4000-8000-000000000001');
