//! Each check of the suite fails on a store that breaks what it checks.

use std::collections::HashSet;

use tower_audit::store::StoreErrorKind;
use tower_audit::store::conformance::{Check, Fault, run};

use crate::stores::memory::with_orphans;

use Fault::*;

/// The faults that each check must find.
const TABLE: &[(&str, &[Fault])] = &[
    (
        "an_event_comes_back_as_it_was",
        &[LosesDetails, LosesTargets, LosesClassification, FailsAppend(StoreErrorKind::Permanent)],
    ),
    ("every_phase_and_outcome_comes_back", &[ClampsOutcome]),
    ("times_come_back_to_the_microsecond", &[RoundsToMillis]),
    ("ids_of_any_bits_are_keys", &[HalvesIds]),
    ("unknown_fields_are_kept", &[LosesUnknownFields]),
    ("deep_details_come_back", &[LosesDepth]),
    ("each_is_found_by_its_id", &[FindsNothing, FindsAnother]),
    ("an_event_is_found_for_its_user_alone", &[GetsOfAnybody, GetsOfNobody]),
    ("what_is_missing_is_not_found", &[FailsToMiss]),
    ("everything_is_accepted", &[RejectsLongText, RejectsHostileText]),
    ("hostile_text_comes_back", &[LowersUserEmail, TrimsText, DropsReplacements, RejectsHostileText]),
    ("forms_of_unicode_stay_distinct", &[ComposesAccents, DropsReplacements]),
    ("empty_and_missing_stay_distinct", &[EmptyIsNull]),
    ("values_at_their_limits_come_back", &[TruncatesText, RejectsLongText]),
    ("the_maximal_event_comes_back", &[TruncatesText, RejectsLongText, LosesDetails]),
    ("integers_come_back", &[NumbersAreFloats]),
    ("floats_come_back", &[RoundsFloats]),
    ("since_includes_its_instant", &[SinceExclusive]),
    ("until_excludes_its_instant", &[UntilInclusive]),
    ("a_span_of_nothing_is_empty", &[RefusesEmptySpans, UntilInclusive]),
    ("text_is_matched_exactly", &[FoldsCase]),
    ("wildcards_are_plain_text", &[MatchesLike]),
    ("hostile_text_is_matched_exactly", &[BreaksOnQuotes, MatchesLike]),
    ("missing_values_match_nothing", &[EmptyMatchesNull, ZeroMatchesNull]),
    ("types_phases_and_outcomes_are_matched_exactly", &[MatchesTypePrefix, IgnoresPhase, ZeroMatchesNull]),
    (
        "filters_agree_with_the_model",
        &[
            MatchesAnyCondition,
            TakesClassesForStatuses,
            ForgetsTheSecondValue,
            NegationNeedsSomething,
            StarsNeedSomething,
            IgnoresPhase,
            FoldsCase,
            MatchesLike,
            SinceExclusive,
            UntilInclusive,
            CountOffByOne,
            CountIgnoresFilter,
            LooksAtTheFirstTarget,
            ComparesTextDetailsOnly,
            IgnoresFolding,
            FoldsOpenEvents,
            CursorSkipsTies,
            SkipOffByOne,
        ],
    ),
    ("targets_are_matched_each", &[LooksAtTheFirstTarget]),
    ("details_are_matched_by_their_text", &[ComparesTextDetailsOnly]),
    ("a_request_is_shown_once", &[IgnoresFolding, FoldsOpenEvents]),
    ("patterns_match_as_they_say", &[StarsNeedSomething, NegationNeedsSomething]),
    (
        "patterns_agree_with_the_model",
        &[
            StarsOverlap,
            MatchesLikeBesideStars,
            FoldsCaseBesideStars,
            ExcludedOnlyWithoutIncluded,
            StarsNeedSomething,
            NegationNeedsSomething,
            EmptyMatchesNull,
            IgnoresPhase,
        ],
    ),
    ("classes_of_statuses_match", &[TakesClassesForStatuses]),
    (
        "top_values_agree_with_the_model",
        &[TopValuesForgetMissing, TopValuesIgnoreLimit, TopValuesOrderedByValue, TopValuesIgnoreFilter],
    ),
    ("missing_values_are_counted", &[TopValuesForgetMissing, EmptyIsNull]),
    ("buckets_are_half_open", &[BucketsIncludeTheirEnd]),
    ("histogram_agrees_with_the_model", &[BucketsIncludeTheirEnd, HistogramIgnoresFilter]),
    ("newest_come_first", &[OldestFirst, OrdersByArrival]),
    ("ties_are_ordered_by_id", &[TiesReversed, OrdersByArrival]),
    ("late_events_find_their_place", &[OrdersByArrival, OldestFirst]),
    ("pages_cover_each_event_once", &[CursorInclusive, CursorSkipsTies, LimitOffByOne]),
    ("skip_and_limit_cut_the_listing", &[SkipOffByOne, LimitOffByOne, CursorInclusive]),
    ("a_page_of_nothing_is_empty", &[ZeroIsNoLimit, RefusesGreatSkips]),
    ("a_cursor_outlives_its_event", &[CursorNeedsItsEvent]),
    ("pages_hold_still_while_others_append", &[CursorInclusive, CursorSkipsTies, OrdersByArrival]),
    ("a_batch_is_kept_whole", &[LosesLastOfBatch, CountOffByOne]),
    ("an_empty_batch_is_fine", &[RefusesEmptyBatches]),
    ("acknowledged_events_are_visible", &[DelaysVisibility]),
    ("acknowledged_events_are_visible_to_others", &[SeesOnlyItsOwn, DelaysVisibility]),
    ("concurrent_appends_are_all_kept", &[LosesUnderConcurrency]),
    ("two_handles_append_side_by_side", &[LosesUnderConcurrency, SeesOnlyItsOwn]),
    ("a_repeated_batch_is_kept_once", &[StoresRepeats, RefusesRepeats]),
    ("a_repeat_within_a_batch_is_kept_once", &[StoresRepeats, Upserts]),
    ("the_first_of_an_id_wins", &[Upserts, StoresRepeats]),
    ("overlapping_batches_lose_nothing", &[DropsBatchesWithRepeats, RefusesRepeats]),
    ("repeats_at_the_same_time_are_kept_once", &[StoresRepeats]),
    ("repeats_are_known_after_reopening", &[StoresRepeatsOfOthers]),
    ("many_events_stay_in_order_during_maintenance", &[MaintenanceLoses, OrdersByArrival, SkipOffByOne]),
    ("many_events_are_stored_once_after_maintenance", &[MaintenanceForgetsIds, MaintenanceLoses]),
    ("maintenance_ends", &[MaintenanceNeverEnds]),
    ("a_purge_spares_its_instant", &[PurgeInclusive]),
    ("a_purge_goes_in_chunks", &[PurgeIgnoresLimit, PurgeStopsEarly, PurgeMiscounts, PurgeDeletesNothing]),
    (
        "a_purge_removes_all_old_events_and_no_more",
        &[PurgeNeverEnds, PurgeTakesTheNewest, PurgeDeletesNothing, PurgeInclusive],
    ),
    ("a_purge_of_nothing_removes_nothing", &[PurgeMiscounts, PurgeInclusive]),
    ("purged_events_are_gone_everywhere", &[PurgeLeavesIds, PurgeDeletesNothing]),
    ("a_purge_spares_concurrent_appends", &[PurgeTakesTheNewest, PurgeInclusive]),
    ("positions_are_those_of_the_listing", &[PositionsReversed, PositionsIgnoreSkip]),
    ("exactly_the_events_at_the_positions_go", &[RemovesNothing, RemoveMiscounts, RemoveTakesTheNewest]),
    ("an_event_of_another_time_stays", &[RemoveIgnoresTime]),
    ("a_removal_can_be_repeated", &[RemovesNothing, RemoveMiscounts]),
    ("removed_events_may_come_again", &[RemoveTakesTheNewest]),
    ("a_removal_spares_concurrent_appends", &[RemoveTakesTheNewest, RemoveMiscounts]),
    ("a_purge_after_removals_is_exact", &[RemovesNothing, PurgeInclusive]),
    ("open_events_are_named", &[NothingIsOpen, EverythingIsOpen]),
    ("a_sealed_batch_comes_back", &[LosesSeeds]),
    ("a_batch_that_does_not_follow_is_refused", &[LosesRacesUnnoticed]),
    ("each_event_is_sealed_once", &[SkipsLateEvents, ForgetsLeaves]),
    ("late_events_are_not_skipped", &[SkipsLateEvents]),
    ("concurrent_appends_are_all_sealed", &[SkipsLateEvents]),
    ("a_leaf_outlives_its_event", &[PurgeTakesLeaves]),
    ("a_removal_takes_the_seed", &[RemoveKeepsSeeds, RemovesNothing]),
    ("signed_removals_come_back", &[LosesRemovals]),
    ("only_the_given_events_are_replaced", &[ErasesNothing, EraseMiscounts, EraseTakesTheNewest, EraseKeepsACopy]),
    ("no_filter_finds_an_erased_value", &[EraseKeepsACopy, ErasesNothing]),
    ("events_that_are_left_as_they_are_stay", &[EraseReplacesAll, ErasesNothing]),
    ("an_erasure_spares_concurrent_appends", &[EraseTakesTheNewest]),
    ("the_copy_of_an_open_event_is_replaced", &[EraseKeepsOpenCopies]),
    ("seed_and_event_are_replaced_together", &[EraseKeepsSeeds, ErasesNothing]),
    ("recreate_empties_the_store", &[InitKeepsEvents]),
    ("recreate_leaves_a_store_that_works", &[InitBreaksAppends]),
    ("recreate_forgets_the_ids", &[InitKeepsIds]),
    ("migrate_works_on_a_fresh_store", &[MigrateNeedsEvents]),
    ("migrate_leaves_every_event", &[MigrateDestroys]),
    ("migrate_can_be_repeated", &[MigrateFailsTwice]),
    ("migrate_by_several_at_once", &[MigrateFailsConcurrently, MigrateDestroys]),
    ("capabilities_never_change", &[CapabilitiesChange, ServesNoAppend]),
    ("a_working_store_is_healthy", &[HealthAlwaysBad]),
    ("health_leaves_no_event_behind", &[HealthLeavesAnEvent]),
    ("a_closed_store_refuses_appends", &[AcknowledgesAfterClose, HangsAfterClose]),
    ("a_closed_store_is_not_healthy", &[HealthAlwaysGood]),
    ("closing_keeps_every_event", &[CloseLosesLast]),
    ("the_living_are_left_alone", &[RecoversLiveWriters]),
    ("completed_events_are_left_alone", &[RecoversCompleted]),
    ("the_dead_are_closed_once", &[NeverRecovers, RecoversTwice, RecoveryMiscounts, RecoversWithoutLink]),
    ("the_first_to_come_closes", &[RecoversTwice, NeverRecovers]),
    ("a_dropped_handle_is_dead", &[NeverRecovers, RecoversLiveWriters]),
    ("unknown_events_are_stored", &[RecoversWithoutLink]),
];

/// Enough for the table: an event lost here is lost at any size.
const TOTAL: usize = 2500;

/// With paused time, a store that hangs fails at once.
#[tokio::test(start_paused = true)]
async fn each_check_fails_under_its_faults() {
    let mut overlooked = Vec::new();
    for (name, faults) in TABLE {
        let check = Check::named(name).unwrap_or_else(|| panic!("the suite has no check {name}"));
        for fault in *faults {
            let harness = with_orphans().with_event_count(TOTAL).with_fault(Some(*fault));
            let checking = tokio::spawn(async move { run(&check, &harness).await });
            match checking.await {
                Err(failed) if failed.is_panic() => {}
                _ => overlooked.push((name, fault)),
            }
        }
    }
    assert!(overlooked.is_empty(), "passed although broken: {overlooked:#?}");
}

#[test]
fn each_check_is_in_the_table() {
    let proven: HashSet<_> = TABLE.iter().filter(|(_, faults)| !faults.is_empty()).map(|(name, _)| *name).collect();
    let unproven: Vec<_> = Check::ALL.iter().map(Check::name).filter(|name| !proven.contains(name)).collect();
    assert!(unproven.is_empty(), "nothing shows that these can fail: {unproven:?}");
}

#[test]
fn each_quiet_fault_is_found_by_some_check() {
    let unused: Vec<_> =
        Fault::QUIET.iter().filter(|fault| !TABLE.iter().any(|(_, faults)| faults.contains(fault))).collect();
    assert!(unused.is_empty(), "no check is known to find these: {unused:?}");
}
