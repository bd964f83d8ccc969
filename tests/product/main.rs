//! The whole product from outside: the real binary as processes of its own, its HTTP API, and a real engine where a
//! test needs one.
//!
//! Where the book's own implementation breaks, and the test that keeps it from doing so here. Tests without a file
//! are in this one's modules; `decide` is src/manager/decide/tests.rs, `docker` is tests/worker_docker.rs, `cli` is
//! tests/cli.rs.
//!
//! | break | test |
//! |---|---|
//! | a worker down at dispatch kills the manager | `a_worker_that_is_down_at_dispatch_leaves_the_task_pending_until_it_is_back`; decide: `a_worker_that_is_down_at_dispatch_gives_the_event_back_with_backoff_and_reason` |
//! | a dead worker wins E-PVM and greedy | comes with placement; round robin: `the_start_after_a_failure_passes_over_a_dead_worker` |
//! | E-PVM's CPU terms cancel | comes with placement |
//! | `docker rm -f` kills the worker | `a_container_removed_by_someone_else_fails_its_task_and_nothing_else`; docker: `a_container_removed_by_someone_else_fails_within_two_seconds` |
//! | a batch job that exits 0 is Failed and run 4 times | `a_batch_job_that_exits_0_is_completed_and_started_once`; decide: `a_batch_job_that_exits_0_is_completed_and_not_run_again` |
//! | a restart goes to the same, maybe dead, worker, at once | `the_start_after_a_failure_passes_over_a_dead_worker`; decide: `on_failure_restarts_with_backoff_as_often_as_it_says_and_goes_on_round_robin` |
//! | nothing is rescheduled when a worker is lost | `a_lost_workers_task_runs_on_another_and_the_original_is_stopped_when_it_is_back`; decide: `a_lost_workers_tasks_start_elsewhere_as_a_new_generation_and_say_why` |
//! | one hung worker freezes everything | `a_worker_that_hangs_does_not_delay_another`; decide: `a_hung_worker_holds_up_no_one_elses_work` |
//! | a 4xx leaves the task Scheduled for ever | `a_4xx_of_a_worker_fails_the_task_with_its_message`; decide: `a_4xx_fails_the_task_with_the_workers_message` |
//! | an event that fits nowhere is dropped | `a_task_that_fits_nowhere_waits_and_says_why`; decide: `a_task_no_worker_can_take_stays_pending_says_why_and_goes_when_one_can` |
//! | after a manager restart tasks can't be stopped | `a_killed_process_finds_its_containers_again_ten_times`, `a_killed_manager_finds_its_tasks_again`; decide: `after_a_restart_of_the_manager_tasks_can_be_stopped_and_lost_dispatches_are_made_up` |
//! | a worker restart orphans its containers | `a_killed_worker_finds_its_containers_again_ten_times`; docker: `a_restarted_worker_knows_its_containers` |
//! | one task per 10 s | `ten_tasks_do_not_wait_for_one_another` |
//! | container name = task name collides | `two_tasks_of_the_same_name_both_run`; docker: `a_foreign_container_with_the_same_name_is_left_alone` |
//! | PortBindings are ignored | `a_bound_port_answers_and_is_read_back`; docker: `ports_are_published_as_asked_and_read_back` |
//! | StartTime is never set | `a_bound_port_answers_and_is_read_back` |
//! | a stopped task shows as Running | `a_stopped_task_is_completed_and_its_container_is_gone` |
//! | DELETE of an unknown id panics | `unknown_ids_are_404_on_the_api_and_2_on_the_command_line` |
//! | "successfully" on errors, exit 0 | `unknown_ids_are_404_on_the_api_and_2_on_the_command_line`, `each_tasks_last_line_tells_how_it_ended`; cli: `no_manager_is_4_and_125_for_a_run_that_waits` |
//! | port in use exits 0 silently | `a_port_in_use_exits_4_and_names_the_address` |
//! | two processes on one store hang | `a_second_start_on_the_same_store_attaches`, `a_second_worker_on_the_same_folder_exits_4` |

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod api;
mod attach;
mod commands;
mod complete;
mod containers;
mod demo;
mod floods;
mod kill;
mod logs;
mod moves;
mod pull;
mod secrets;
mod stage;
mod submit;
mod why;
mod workers;

fn main() {
    let tests = [
        alone::tests(),
        api::tests(),
        floods::tests(),
        attach::tests(),
        commands::tests(),
        complete::tests(),
        submit::tests(),
        containers::tests(),
        kill::tests(),
        logs::tests(),
        moves::tests(),
        pull::tests(),
        secrets::tests(),
        why::tests(),
        workers::tests(),
        demo::tests(),
    ];
    support::run(tests.into_iter().flatten().collect());
}
