//! The list of the checks, from which the tests of a store are made.

use super::harness::{Check, Need};
use super::{
    aggregation, appending, erasing, filtering, idempotency, lifecycle, numbers, ordering, orphan_recovery, paging,
    purging, recreate_and_migrate, removing, round_trip, scale, sealing, text, text_patterns,
};

/// Makes a module of tests, one for each check of the suite; see [`store::conformance`](crate::store::conformance).
///
/// The first argument names the module. The second is called for each test and returns a future of the
/// [`Harness`](crate::store::conformance::Harness). The crate that calls it needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! conformance_tests {
    ($name:ident, $harness:expr $(,)?) => {
        $crate::conformance_tests! { @list tests [$name, $harness] }
    };
    (@tests [$name:ident, $harness:expr] $($theme:ident::$check:ident [$($need:ident),*],)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let harness: $crate::store::conformance::Harness = ($harness)().await;
                    let check = $crate::store::conformance::Check::named(::core::stringify!($check));
                    $crate::store::conformance::run(&check.expect("the list has this check"), &harness).await;
                }
            )*
        }
    };
    (@declare [] $($theme:ident::$check:ident [$($need:ident),*],)*) => {
        impl Check {
            /// Every check of the suite.
            pub const ALL: &'static [Self] = &[$(Self {
                name: stringify!($check),
                needs: &[$(Need::$need),*],
                body: |harness| Box::pin($theme::$check(harness)),
            },)*];
        }
    };
    (@list $then:ident [$($args:tt)*]) => {
        $crate::conformance_tests! { @$then [$($args)*]
            round_trip::an_event_comes_back_as_it_was [Reader],
            round_trip::every_phase_and_outcome_comes_back [Reader],
            round_trip::times_come_back_to_the_microsecond [Reader],
            round_trip::ids_of_any_bits_are_keys [Reader],
            round_trip::unknown_fields_are_kept [Reader],
            round_trip::deep_details_come_back [Reader],
            round_trip::each_is_found_by_its_id [Reader],
            round_trip::an_event_is_found_for_its_user_alone [Reader],
            round_trip::what_is_missing_is_not_found [Reader],
            text::everything_is_accepted [],
            text::hostile_text_comes_back [Reader],
            text::forms_of_unicode_stay_distinct [Reader],
            text::empty_and_missing_stay_distinct [Reader],
            text::values_at_their_limits_come_back [Reader],
            text::the_maximal_event_comes_back [Reader],
            numbers::integers_come_back [Reader],
            numbers::floats_come_back [Reader],
            filtering::since_includes_its_instant [Reader],
            filtering::until_excludes_its_instant [Reader],
            filtering::a_span_of_nothing_is_empty [Reader],
            filtering::text_is_matched_exactly [Reader],
            filtering::wildcards_are_plain_text [Reader],
            filtering::hostile_text_is_matched_exactly [Reader],
            filtering::missing_values_match_nothing [Reader],
            filtering::types_phases_and_outcomes_are_matched_exactly [Reader],
            filtering::patterns_match_as_they_say [Reader],
            text_patterns::patterns_agree_with_the_model [Reader],
            filtering::classes_of_statuses_match [Reader],
            filtering::targets_are_matched_each [Reader],
            filtering::details_are_matched_by_their_text [Reader],
            filtering::a_request_is_shown_once [Reader],
            filtering::filters_agree_with_the_model [Reader],
            aggregation::top_values_agree_with_the_model [Reader],
            aggregation::missing_values_are_counted [Reader],
            aggregation::buckets_are_half_open [Reader],
            aggregation::histogram_agrees_with_the_model [Reader],
            ordering::newest_come_first [Reader],
            ordering::ties_are_ordered_by_id [Reader],
            ordering::late_events_find_their_place [Reader],
            paging::pages_cover_each_event_once [Reader],
            paging::skip_and_limit_cut_the_listing [Reader],
            paging::a_page_of_nothing_is_empty [Reader],
            paging::a_cursor_outlives_its_event [Reader],
            paging::pages_hold_still_while_others_append [Reader],
            appending::a_batch_is_kept_whole [Reader],
            appending::an_empty_batch_is_fine [],
            appending::acknowledged_events_are_visible [Reader],
            appending::acknowledged_events_are_visible_to_others [Reader, SecondHandle],
            appending::concurrent_appends_are_all_kept [Reader],
            appending::two_handles_append_side_by_side [Reader, SecondHandle],
            idempotency::a_repeated_batch_is_kept_once [Reader],
            idempotency::a_repeat_within_a_batch_is_kept_once [Reader],
            idempotency::the_first_of_an_id_wins [Reader],
            idempotency::overlapping_batches_lose_nothing [Reader],
            idempotency::repeats_at_the_same_time_are_kept_once [Reader],
            idempotency::repeats_are_known_after_reopening [Reader, SecondHandle],
            scale::many_events_stay_in_order_during_maintenance [Reader],
            scale::many_events_are_stored_once_after_maintenance [Reader],
            scale::maintenance_ends [],
            purging::a_purge_spares_its_instant [Reader, Admin],
            purging::a_purge_goes_in_chunks [Reader, Admin],
            purging::a_purge_removes_all_old_events_and_no_more [Reader, Admin],
            purging::a_purge_of_nothing_removes_nothing [Reader, Admin],
            purging::purged_events_are_gone_everywhere [Reader, Admin],
            purging::a_purge_spares_concurrent_appends [Reader, Admin],
            removing::positions_are_those_of_the_listing [Reader, Removal],
            removing::exactly_the_events_at_the_positions_go [Reader, Removal],
            removing::an_event_of_another_time_stays [Reader, Removal],
            removing::a_removal_can_be_repeated [Reader, Removal],
            removing::removed_events_may_come_again [Reader, Removal],
            removing::a_removal_spares_concurrent_appends [Reader, Removal],
            removing::a_purge_after_removals_is_exact [Reader, Admin, Removal],
            removing::open_events_are_named [Removal, OrphanRecovery],
            sealing::a_sealed_batch_comes_back [Sealing],
            sealing::a_batch_that_does_not_follow_is_refused [Sealing],
            sealing::each_event_is_sealed_once [Sealing],
            sealing::late_events_are_not_skipped [Sealing],
            sealing::concurrent_appends_are_all_sealed [Sealing, SecondHandle],
            sealing::a_leaf_outlives_its_event [Reader, Admin, Sealing],
            sealing::a_removal_takes_the_seed [Removal, Sealing],
            sealing::signed_removals_come_back [Sealing],
            erasing::only_the_given_events_are_replaced [Reader, Erasure],
            erasing::no_filter_finds_an_erased_value [Reader, Erasure],
            erasing::events_that_are_left_as_they_are_stay [Reader, Erasure],
            erasing::an_erasure_spares_concurrent_appends [Reader, Erasure],
            erasing::the_copy_of_an_open_event_is_replaced [Reader, OrphanRecovery, Erasure, SecondHandle],
            erasing::seed_and_event_are_replaced_together [Sealing, Erasure],
            recreate_and_migrate::recreate_empties_the_store [Reader, Admin],
            recreate_and_migrate::recreate_leaves_a_store_that_works [Reader, Admin],
            recreate_and_migrate::recreate_forgets_the_ids [Reader, Admin],
            recreate_and_migrate::migrate_works_on_a_fresh_store [Admin],
            recreate_and_migrate::migrate_leaves_every_event [Reader, Admin],
            recreate_and_migrate::migrate_can_be_repeated [Admin],
            recreate_and_migrate::migrate_by_several_at_once [Reader, Admin, SecondHandle],
            lifecycle::capabilities_never_change [],
            lifecycle::a_working_store_is_healthy [],
            lifecycle::health_leaves_no_event_behind [Reader],
            lifecycle::a_closed_store_refuses_appends [],
            lifecycle::a_closed_store_is_not_healthy [],
            lifecycle::closing_keeps_every_event [Reader, SecondHandle],
            orphan_recovery::the_living_are_left_alone [Reader, OrphanRecovery, SecondHandle],
            orphan_recovery::completed_events_are_left_alone [Reader, OrphanRecovery, SecondHandle],
            orphan_recovery::the_dead_are_closed_once [Reader, OrphanRecovery, SecondHandle],
            orphan_recovery::the_first_to_come_closes [Reader, OrphanRecovery, SecondHandle],
            orphan_recovery::a_dropped_handle_is_dead [Reader, OrphanRecovery, SecondHandle],
            orphan_recovery::unknown_events_are_stored [Reader, OrphanRecovery, SecondHandle],
        }
    };
}

conformance_tests! { @list declare [] }
