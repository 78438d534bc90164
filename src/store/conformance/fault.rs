//! Faults of a store.

use crate::store::StoreErrorKind;

macro_rules! faults {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// One thing that is wrong with a [`FaultyStore`](super::FaultyStore).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Fault {
            /// Every append fails with an error of this kind, and keeps nothing.
            FailsAppend(StoreErrorKind),
            /// As many appends as this, from when the fault was set, fail for now and keep nothing; the next work.
            FailsFirst(usize),
            /// One append is kept and answers an error that passes; the next work.
            StoresButReportsError,
            /// No append ever ends.
            HangsAppend,
            /// Every append panics.
            Panics,
            $($(#[$meta])* $name,)*
        }

        impl Fault {
            /// The faults that break the contract quietly: each is found by a check of the suite.
            pub const QUIET: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

faults! {
    /// The last event of a batch is not kept.
    LosesLastOfBatch,
    /// Details are not kept beyond the first key.
    LosesDetails,
    /// Details deeper than the third level are not kept.
    LosesDepth,
    /// The fields of later versions are not kept.
    LosesUnknownFields,
    /// Of the targets, only the first is kept.
    LosesTargets,
    /// `classification` is not kept.
    LosesClassification,
    /// Text is cut at 255 bytes.
    TruncatesText,
    /// `user_email` becomes lower case.
    LowersUserEmail,
    /// Text is trimmed.
    TrimsText,
    /// U+FFFD, which stands for U+0000, is dropped.
    DropsReplacements,
    /// Letters and their accents are composed.
    ComposesAccents,
    /// Empty text becomes null.
    EmptyIsNull,
    /// Numbers become floats.
    NumbersAreFloats,
    /// Floats lose the last of their bits.
    RoundsFloats,
    /// Times lose their microseconds.
    RoundsToMillis,
    /// Statuses are cut at 599.
    ClampsOutcome,
    /// Ids have 64 bits.
    HalvesIds,
    /// Text longer than 255 bytes is refused.
    RejectsLongText,
    /// Quotes and control characters are refused.
    RejectsHostileText,
    /// Nothing is found by its id.
    FindsNothing,
    /// A lookup by id returns another event.
    FindsAnother,
    /// Looking for an event of a user finds that of another.
    GetsOfAnybody,
    /// Looking for an event of a user finds none.
    GetsOfNobody,
    /// Looking for an id that is not there is an error.
    FailsToMiss,
    /// `since` excludes its instant.
    SinceExclusive,
    /// `until` includes its instant.
    UntilInclusive,
    /// A span that ends before it begins is an error.
    RefusesEmptySpans,
    /// Text is compared without regard to case.
    FoldsCase,
    /// `%` and `_` stand for other text.
    MatchesLike,
    /// Empty text matches what is missing.
    EmptyMatchesNull,
    /// A status of 0 matches what is missing.
    ZeroMatchesNull,
    /// Types are compared by their beginning.
    MatchesTypePrefix,
    /// The phase is not looked at.
    IgnoresPhase,
    /// One condition is enough.
    MatchesAnyCondition,
    /// Quotes in a filter are an error.
    BreaksOnQuotes,
    /// A class of statuses is taken for its first status.
    TakesClassesForStatuses,
    /// Only the first of several values is looked at.
    ForgetsTheSecondValue,
    /// A missing value passes no negation.
    NegationNeedsSomething,
    /// A star stands for one character at least.
    StarsNeedSomething,
    /// Texts around stars may overlap, and match in any order.
    StarsOverlap,
    /// Beside a star, `%` and `_` stand for other text.
    MatchesLikeBesideStars,
    /// Beside a star, text is compared without regard to case.
    FoldsCaseBesideStars,
    /// Excluded values are ignored where there are included values.
    ExcludedOnlyWithoutIncluded,
    /// Of several targets, only the first is looked at.
    LooksAtTheFirstTarget,
    /// Details that are no text match nothing.
    ComparesTextDetailsOnly,
    /// A folded listing has the `started` events that have ended.
    IgnoresFolding,
    /// A folded listing lacks the `started` events that are open.
    FoldsOpenEvents,
    /// The list of top values leaves out events without a value.
    TopValuesForgetMissing,
    /// The list of top values gives more values than were asked for.
    TopValuesIgnoreLimit,
    /// The list of top values is in the order of its values.
    TopValuesOrderedByValue,
    /// The list of top values counts everything.
    TopValuesIgnoreFilter,
    /// A bucket has its end, and not its beginning.
    BucketsIncludeTheirEnd,
    /// The activity is that of everything.
    HistogramIgnoresFilter,
    /// Oldest first.
    OldestFirst,
    /// Ties by id, smallest first.
    TiesReversed,
    /// Last to arrive first.
    OrdersByArrival,
    /// The event of the cursor is on the next page, too.
    CursorInclusive,
    /// The next page begins at the next instant.
    CursorSkipsTies,
    /// A cursor whose event is not kept gives nothing.
    CursorNeedsItsEvent,
    /// One more is skipped.
    SkipOffByOne,
    /// One more is given.
    LimitOffByOne,
    /// A limit of 0 is none.
    ZeroIsNoLimit,
    /// A skip that is no `i64` is an error.
    RefusesGreatSkips,
    /// A count is one too many.
    CountOffByOne,
    /// A count counts everything.
    CountIgnoresFilter,
    /// An empty batch is refused.
    RefusesEmptyBatches,
    /// A repeated event is stored a second time.
    StoresRepeats,
    /// A repeated event replaces the stored one.
    Upserts,
    /// A repeated event is an error.
    RefusesRepeats,
    /// A batch with an event that is already there is left out as a whole.
    DropsBatchesWithRepeats,
    /// A repeat of another handle's event is stored a second time.
    StoresRepeatsOfOthers,
    /// A batch is acknowledged and seen only after the next.
    DelaysVisibility,
    /// Events of other handles are not visible.
    SeesOnlyItsOwn,
    /// Of two appends at the same time, one loses an event.
    LosesUnderConcurrency,
    /// Maintenance loses an event.
    MaintenanceLoses,
    /// Maintenance forgets which ids there are.
    MaintenanceForgetsIds,
    /// Maintenance always has more to do.
    MaintenanceNeverEnds,
    /// A purge takes what is as old as its instant.
    PurgeInclusive,
    /// A purge removes nothing but says so.
    PurgeDeletesNothing,
    /// A purge takes everything at once.
    PurgeIgnoresLimit,
    /// A purge always says that there is no more.
    PurgeStopsEarly,
    /// A purge always says that there is more.
    PurgeNeverEnds,
    /// A purge says one too many.
    PurgeMiscounts,
    /// A purge takes the newest event, too.
    PurgeTakesTheNewest,
    /// Purged events are still found by id.
    PurgeLeavesIds,
    /// Events whose ids are below that of a sealed one get no leaf.
    SkipsLateEvents,
    /// A sealed event is given to the sealer again.
    ForgetsLeaves,
    /// A batch that follows another tree is answered as if it were stored.
    LosesRacesUnnoticed,
    /// The seeds are not kept.
    LosesSeeds,
    /// A removed event leaves its seed behind.
    RemoveKeepsSeeds,
    /// Signed removals are lost, all but the first.
    LosesRemovals,
    /// A leaf goes with its event.
    PurgeTakesLeaves,
    /// Positions come oldest first.
    PositionsReversed,
    /// Positions are listed from the first on.
    PositionsIgnoreSkip,
    /// A removal removes nothing but says so.
    RemovesNothing,
    /// A removal says one too many.
    RemoveMiscounts,
    /// A removal takes the newest event, too.
    RemoveTakesTheNewest,
    /// A removal takes an event of another time.
    RemoveIgnoresTime,
    /// No `started` event is said to be open.
    NothingIsOpen,
    /// Every event is said to be open.
    EverythingIsOpen,
    /// An erasure replaces nothing but says so.
    ErasesNothing,
    /// An erasure says one too many.
    EraseMiscounts,
    /// An erasure takes the newest event away.
    EraseTakesTheNewest,
    /// The events of before an erasure are still found.
    EraseKeepsACopy,
    /// An erasure replaces events that were to stay.
    EraseReplacesAll,
    /// An erasure leaves the seeds.
    EraseKeepsSeeds,
    /// An erasure leaves the copies of open `started` events.
    EraseKeepsOpenCopies,
    /// `init` leaves the events.
    InitKeepsEvents,
    /// `init` leaves a store that takes no events.
    InitBreaksAppends,
    /// `init` leaves the ids.
    InitKeepsIds,
    /// `migrate` makes the store anew.
    MigrateDestroys,
    /// `migrate` needs a store that has events.
    MigrateNeedsEvents,
    /// `migrate` fails when there is nothing missing.
    MigrateFailsTwice,
    /// `migrate` fails while another is at it.
    MigrateFailsConcurrently,
    /// `capabilities` changes with each append.
    CapabilitiesChange,
    /// `capabilities` claims that no append is served.
    ServesNoAppend,
    /// `health` is always bad.
    HealthAlwaysBad,
    /// `health` is always good.
    HealthAlwaysGood,
    /// `health` tries an append and leaves it.
    HealthLeavesAnEvent,
    /// Appends are acknowledged after `close`.
    AcknowledgesAfterClose,
    /// Appends hang after `close`.
    HangsAfterClose,
    /// `close` loses the last event.
    CloseLosesLast,
    /// The `started` events of the living are closed.
    RecoversLiveWriters,
    /// `started` events are closed although they were completed.
    RecoversCompleted,
    /// No `started` event is ever closed.
    NeverRecovers,
    /// `started` events are closed again by each who looks.
    RecoversTwice,
    /// The event that ends an orphan does not name it.
    RecoversWithoutLink,
    /// The reported number of closed orphans is one too high.
    RecoveryMiscounts,
}
